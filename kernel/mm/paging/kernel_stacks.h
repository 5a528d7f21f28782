/// @file
/// Kernel stacks of processes, in the shared range: each with a page below it that is never mapped (layout.h), so that an
/// overflow faults at once and is named in the panic.
#pragma once

#include "lib/address.h"
#include "lib/result.h"

namespace mm::kernel_stacks {

inline constexpr size_t kPages = 2;  ///< Of a process's stack, without its guard page.

/// @return one past the stack's last byte; Error::OutOfMemory
Result<VirtAddr> allocate();
/// Takes back what allocate() returned. It must not be the running stack.
void free(VirtAddr top);

} // namespace mm::kernel_stacks
