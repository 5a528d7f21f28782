/// @file
/// Who called whom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"

namespace i386 {

/// Where a backtrace begins.
struct StackPlace {
    VirtAddr instruction; ///< EIP
    VirtAddr stack;       ///< ESP
    VirtAddr frame;       ///< EBP
};

/// Follows the chain of stack frames: each function pushes its caller's EBP and points EBP at it, with the return address
/// in the word above (we compile with -fno-omit-frame-pointer). Every word is probed before it is believed, so a chain that
/// the failing code has destroyed ends the backtrace and nothing else.
///
/// @param places  receives the instruction and then the return addresses, innermost first
/// @return how many were written
size_t collect_backtrace(StackPlace from, std::span<uint32_t> places);

/// Prints one place a line, with the function's name; a place that follows itself (recursion) only once, with a count.
void print_backtrace(StackPlace from);

} // namespace i386
