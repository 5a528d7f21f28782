/// @file
/// The kernel's own command line, for people: look at memory, map a page, provoke a crash and read what the kernel says.
#pragma once

/// Reads commands from the serial line and the keyboard, for ever. Turns interrupts on; the timer must have been set up.
[[noreturn]] void run_monitor();
