#include "drivers/serial.h"

#include <cstddef>
#include <cstdint>

#include "arch/i386/interrupts.h"
#include "arch/i386/ports.h"
#include "lib/format.h"

namespace {

using i386::in_byte;
using i386::out_byte;

// Registers of a 16550 (National Semiconductor PC16550D data sheet, table II), as offsets from COM1.
constexpr uint16_t kCom1 = 0x3F8;
constexpr uint16_t kData = kCom1 + 0;            // with DLAB set: the divisor's low byte
constexpr uint16_t kInterruptEnable = kCom1 + 1; // with DLAB set: its high byte
constexpr uint16_t kFifoControl = kCom1 + 2;
constexpr uint16_t kLineControl = kCom1 + 3;
constexpr uint16_t kModemControl = kCom1 + 4;
constexpr uint16_t kLineStatus = kCom1 + 5;

constexpr uint8_t kDivisorAccess = 0x80;    // LCR: DLAB
constexpr uint8_t k8n1 = 0x03;              // LCR
constexpr uint8_t kFifoOnAndCleared = 0x07; // FCR
constexpr uint8_t kReadyOutput = 0x03;      // MCR: DTR and RTS
constexpr uint8_t kInterruptOutput = 0x08;  // MCR: OUT2, which gates the interrupt line on a PC
constexpr uint8_t kDataAvailable = 0x01;    // IER
constexpr uint8_t kDataReady = 0x01;        // LSR
constexpr uint8_t kTransmitterReady = 0x20; // LSR: THRE
constexpr uint8_t kTransmitterEmpty = 0x40; // LSR: TEMT, the last bit is on the wire
constexpr unsigned kInterruptLine = 4;
constexpr uint16_t kDivisor = 1;    // 115200 baud / 1
constexpr uint8_t kNoDevice = 0xFF; // what a port reads where nothing answers

void put(char character) {
    while (!(in_byte(kLineStatus) & kTransmitterReady)) {}
    out_byte(kData, static_cast<uint8_t>(character));
}

/// Terminals want a carriage return with each line feed. A finished line is waited for, so that whoever stops the machine behind
/// it finds all of it sent.
void write(const char* text, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        if (text[i] == '\n') put('\r');
        put(text[i]);
    }
    if (length == 0 || text[length - 1] != '\n') return;
    while (!(in_byte(kLineStatus) & kTransmitterEmpty)) {}
}

/// What has arrived and was not asked for yet. The interrupt handler moves `end`, poll_serial() moves `begin`; both count up
/// for ever and are cut to an index at use.
constexpr size_t kBufferBytes = 256;
char buffer[kBufferBytes];
volatile size_t begin = 0, end = 0;

void (*listener)() = nullptr;

void receive() {
    while (in_byte(kLineStatus) & kDataReady) {
        const auto character = static_cast<char>(in_byte(kData));
        if (end - begin == kBufferBytes) continue; // full: lost, as with any keyboard
        buffer[end % kBufferBytes] = character;
        end = end + 1;
    }
    if (listener) listener();
}

bool has_port() { return in_byte(kLineStatus) != kNoDevice; }

} // namespace

void initialize_serial() {
    if (!has_port()) return;
    out_byte(kInterruptEnable, 0);
    out_byte(kLineControl, kDivisorAccess);
    out_byte(kData, kDivisor & 0xFF);
    out_byte(kInterruptEnable, kDivisor >> 8);
    out_byte(kLineControl, k8n1);
    out_byte(kFifoControl, kFifoOnAndCleared);
    out_byte(kModemControl, kReadyOutput);
    add_console(write);
}

void enable_serial_input() {
    if (!has_port()) return;
    i386::set_interrupt_handler(kInterruptLine, receive);
    out_byte(kModemControl, kReadyOutput | kInterruptOutput);
    out_byte(kInterruptEnable, kDataAvailable);
    receive(); // what is there already raises no interrupt any more
}

void set_serial_listener(void (*new_listener)()) { listener = new_listener; }

std::optional<char> poll_serial() {
    if (begin == end) return std::nullopt;
    const char character = buffer[begin % kBufferBytes];
    begin = begin + 1;
    return character;
}
