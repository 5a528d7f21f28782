/// @file
/// Who called whom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"

namespace i386 {

/// Follows the chain of stack frames: each function pushes its caller's EBP and points EBP at it, with the return address
/// in the word above (we compile with -fno-omit-frame-pointer). Every word is probed before it is believed, so a chain that
/// the failing code has destroyed ends the backtrace and nothing else.
///
/// @param places  receives `instruction` and then the return addresses, innermost first
/// @return how many were written
size_t collect_backtrace(VirtAddr instruction, VirtAddr stack, VirtAddr frame, std::span<uint32_t> places);

/// Prints one place a line, with the function's name.
void print_backtrace(std::span<const uint32_t> places);

} // namespace i386
