/// @file
/// The first serial port (16550 UART): the kernel's console under the grader, and in the terminal of `make run`.
#pragma once

#include <optional>

/// Programs the UART from nothing (115200 baud, 8 data bits, no parity, 1 stop bit) and becomes a console. Without a UART at
/// COM1 it does nothing.
void initialize_serial();

/// Lets arriving characters interrupt, and keeps up to 256 of them: somebody typing ahead, or pasting, loses nothing.
void enable_serial_input();

/// Has `listener` called (in the interrupt, with interrupts off) whenever characters have arrived.
void set_serial_listener(void (*listener)());

/// The next character that has arrived since enable_serial_input(), if there is one.
std::optional<char> poll_serial();
