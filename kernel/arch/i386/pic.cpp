#include "arch/i386/pic.h"

#include "arch/i386/ports.h"

namespace i386::pic {
namespace {

constexpr uint16_t kMasterCommand = 0x20, kMasterData = 0x21;
constexpr uint16_t kSlaveCommand = 0xA0, kSlaveData = 0xA1;
constexpr unsigned kCascadeLine = 2; // where the second controller hangs on the first

constexpr uint8_t kInitialize = 0x11;     // ICW1: edge triggered, cascaded, ICW4 follows
constexpr uint8_t k8086Mode = 0x01;       // ICW4
constexpr uint8_t kEndOfInterrupt = 0x20; // OCW2, not specific
constexpr uint8_t kReadInService = 0x0B;  // OCW3

uint16_t masked = 0xFFFF;

void write_masks() {
    out_byte(kMasterData, static_cast<uint8_t>(masked));
    out_byte(kSlaveData, static_cast<uint8_t>(masked >> 8));
}

} // namespace

void initialize() {
    out_byte(kMasterCommand, kInitialize);
    out_byte(kSlaveCommand, kInitialize);
    out_byte(kMasterData, kFirstVector); // ICW2
    out_byte(kSlaveData, kFirstVector + 8);
    out_byte(kMasterData, 1u << kCascadeLine); // ICW3: a mask for the master
    out_byte(kSlaveData, kCascadeLine);        //       and a number for the slave
    out_byte(kMasterData, k8086Mode);
    out_byte(kSlaveData, k8086Mode);
    masked = static_cast<uint16_t>(~(1u << kCascadeLine));
    write_masks();
}

void unmask(unsigned line) {
    masked = static_cast<uint16_t>(masked & ~(1u << line));
    write_masks();
}

void acknowledge(unsigned line) {
    if (line >= 8) out_byte(kSlaveCommand, kEndOfInterrupt);
    out_byte(kMasterCommand, kEndOfInterrupt);
}

bool is_spurious(unsigned line) {
    if (line != 7 && line != 15) return false;
    const uint16_t command = line == 7 ? kMasterCommand : kSlaveCommand;
    out_byte(command, kReadInService);
    if (in_byte(command) & 0x80) return false;
    if (line == 15) out_byte(kMasterCommand, kEndOfInterrupt); // the master did serve its cascade line
    return true;
}

} // namespace i386::pic
