/// @file
/// Kernel stacks of processes, in the shared range: each with a page below it that is never mapped (layout.h), so that an
/// overflow faults at once and is named in the panic.
///
///     kBootStackEnd                                                              kStacksEnd
///     | guard | stack 0     | guard | stack 1     | guard | stack 2     | ...    |
///
/// A few stacks that are free stay mapped, so that most forks find one ready.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"

namespace mm::kernel_stacks {

/// Of a process's stack, without its guard page. The deepest that the tests know, exec() of a path on a page that a fault has to read from
/// the disk, uses less than half of it (deepest_use()).
inline constexpr size_t kPages = 2;

inline constexpr size_t kReady = 4;  ///< Stacks that stay mapped while nobody has them.

/// Makes the first kReady stacks. Once, at boot. Panics when there is no memory for them.
void initialize();

/// @return one past the stack's last byte; Error::OutOfMemory
Result<VirtAddr> allocate();
/// Takes back what allocate() returned. It must not be the running stack.
void free(VirtAddr top);

/// Words for a fault in a guard page below a stack in use; null for every other address.
const char* explain_fault(VirtAddr address);

/// Stacks that somebody has.
size_t in_use();

/// The most bytes that any stack has ever been used for, in a kernel with CONFIG_MEMORY_DEBUGGING; else 0. Looks at each stack's words.
size_t deepest_use();

/// Frames of stacks that nobody uses, and that are kept for the next process.
size_t frames_kept();

} // namespace mm::kernel_stacks
