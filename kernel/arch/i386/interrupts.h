/// @file
/// Hardware interrupts: who is called for which line.
#pragma once

namespace i386 {

/// Calls `handler` for every interrupt of `line` (0 timer, 1 keyboard, 4 first serial port ...) from now on, with interrupts
/// off, and lets the line through. Interrupts still have to be enabled once (Cpu::enable_interrupts()).
void set_interrupt_handler(unsigned line, void (*handler)());

} // namespace i386
