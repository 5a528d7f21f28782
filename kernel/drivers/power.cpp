#include "drivers/power.h"

#include "arch/cpu.h"
#include "arch/i386/ports.h"

void restart_machine() {
    // On the PC/AT the keyboard controller's spare output pins got the CPU's reset line, and there it stayed.
    constexpr uint16_t controller_command = 0x64;
    constexpr uint8_t pulse_reset_line = 0xFE;
    i386::out_byte(controller_command, pulse_reset_line);
    Cpu::halt_forever(); // the reset takes a moment
}
