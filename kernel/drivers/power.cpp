#include "drivers/power.h"

#include "arch/cpu.h"
#include "arch/i386/ports.h"
#include "lib/format.h"

void restart_machine() {
    // On the PC/AT the keyboard controller's spare output pins got the CPU's reset line, and there it stayed.
    constexpr uint16_t controller_command = 0x64;
    constexpr uint8_t pulse_reset_line = 0xFE;
    i386::out_byte(controller_command, pulse_reset_line);
    Cpu::halt_forever(); // the reset takes a moment
}

void shut_down_machine() {
    constexpr uint16_t bochs_port = 0x8900;     // Bochs's "unmapped" device ends the run after this word
    constexpr uint16_t acpi_control = 0x604;    // QEMU's PIIX4: PM1a control, where the BIOS put it
    constexpr uint16_t sleep_enable = 1u << 13; // ACPI 1.0b, 4.7.3.2.1; sleep type 0 is "soft off" there
    for (const char letter : {'S', 'h', 'u', 't', 'd', 'o', 'w', 'n'}) i386::out_byte(bochs_port, static_cast<uint8_t>(letter));
    i386::out_word(acpi_control, sleep_enable);
    print("The machine may be switched off.\n");
    Cpu::halt_forever();
}
