#include "drivers/serial.h"

#include <cstddef>
#include <cstdint>

#include "arch/i386/ports.h"
#include "lib/format.h"

namespace {

using i386::in_byte;
using i386::out_byte;

// Registers of a 16550 (National Semiconductor PC16550D data sheet, table II), as offsets from COM1.
constexpr uint16_t kCom1 = 0x3F8;
constexpr uint16_t kData = kCom1 + 0;              // with DLAB set: the divisor's low byte
constexpr uint16_t kInterruptEnable = kCom1 + 1;   // with DLAB set: its high byte
constexpr uint16_t kFifoControl = kCom1 + 2;
constexpr uint16_t kLineControl = kCom1 + 3;
constexpr uint16_t kModemControl = kCom1 + 4;
constexpr uint16_t kLineStatus = kCom1 + 5;

constexpr uint8_t kDivisorAccess = 0x80;           // LCR: DLAB
constexpr uint8_t k8n1 = 0x03;                     // LCR
constexpr uint8_t kFifoOnAndCleared = 0x07;        // FCR
constexpr uint8_t kReadyOutput = 0x03;             // MCR: DTR and RTS
constexpr uint8_t kDataReady = 0x01;               // LSR
constexpr uint8_t kTransmitterReady = 0x20;        // LSR: THRE
constexpr uint16_t kDivisor = 1;                   // 115200 baud / 1
constexpr uint8_t kNoDevice = 0xFF;                // what a port reads where nothing answers

void put(char character) {
    while (!(in_byte(kLineStatus) & kTransmitterReady)) {}
    out_byte(kData, static_cast<uint8_t>(character));
}

/// Terminals want a carriage return with each line feed.
void write(const char* text, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        if (text[i] == '\n') put('\r');
        put(text[i]);
    }
}

} // namespace

void initialize_serial() {
    if (in_byte(kLineStatus) == kNoDevice) return;
    out_byte(kInterruptEnable, 0);
    out_byte(kLineControl, kDivisorAccess);
    out_byte(kData, kDivisor & 0xFF);
    out_byte(kInterruptEnable, kDivisor >> 8);
    out_byte(kLineControl, k8n1);
    out_byte(kFifoControl, kFifoOnAndCleared);
    out_byte(kModemControl, kReadyOutput);
    add_console(write);
}

std::optional<char> poll_serial() {
    const uint8_t status = in_byte(kLineStatus);
    if (status == kNoDevice || !(status & kDataReady)) return std::nullopt;
    return static_cast<char>(in_byte(kData));
}
