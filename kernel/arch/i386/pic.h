/// @file
/// The two 8259A interrupt controllers of a PC: sixteen lines, told to use the vectors right behind the CPU's exceptions.
#pragma once

#include <cstdint>

namespace i386::pic {

inline constexpr uint8_t kFirstVector = 0x20; ///< Line 0; lines 0 to 15 follow each other.
inline constexpr unsigned kLines = 16;

/// Programs both controllers from nothing (no BIOS may have run) and masks all lines.
void initialize();

/// Lets interrupts of `line` (0 to 15) through.
void unmask(unsigned line);

/// Ends the service of `line`, so that it and the lines below it in rank may interrupt again.
void acknowledge(unsigned line);

/// Whether an interrupt of line 7 or 15 is a phantom: the controller gives these numbers when a request vanished before the
/// CPU asked for its number (8259A data sheet, "default IR7").
bool is_spurious(unsigned line);

} // namespace i386::pic
