/// @file
/// Memory of any size for the kernel itself. **Contract of lab 04-heap**, second half (file kmalloc.cpp).
///
/// Small blocks come from caches (slab.h), one for each size class, or from whatever the piece prefers; blocks of more than a page
/// from runs of frames (mm::frames, mm::pages) while there are any, else from vmalloc (mm/paging/vmalloc.h), which needs single
/// frames only. So a block is contiguous in virtual, not always in physical memory; devices take mm::dma.
///
/// Blocks are guarded as slab.h says, at the size that was asked for, not at that of the class: byte [size] behind a block is
/// red zone. Their contents are unspecified at first.
///
/// All functions fail without a trace: after an error nothing has changed, and no frame is lost.
#pragma once

#include <cstddef>

#include "lib/call_site.h"
#include "lib/result.h"
#include "mm/heap/slab.h"

namespace mm {

/// A block of at least `bytes` bytes at a multiple of kHeapAlignment.
/// @return Error::InvalidArgument for 0 bytes; Error::OutOfMemory when there is not so much memory (3 GiB, say)
Result<void*> kmalloc(size_t bytes, CallSite site = CallSite::here());

/// A block at a multiple of `alignment`, for kfree() as any other.
/// @param alignment  a power of two up to kPageSize
/// @return as kmalloc(), and Error::InvalidArgument for any other alignment
Result<void*> kmalloc_aligned(size_t bytes, size_t alignment, CallSite site = CallSite::here());

/// Changes a block's size. Its contents stay as far as both sizes go; the block may move, and is then aligned to kHeapAlignment only.
/// krealloc(nullptr, bytes) is kmalloc(bytes). With CONFIG_MEMORY_DEBUGGING the block's site is the caller's from now on.
/// @return as kmalloc(), and as kfree() for a block that is none. The old block is as it was then.
Result<void*> krealloc(void* block, size_t bytes, CallSite site = CallSite::here());

/// Takes a block back.
/// @param block  what one of the functions above returned; null is fine and does nothing
/// @return Error::NotAllocated and a Finding, as slab::free()
Result<void> kfree(void* block, CallSite site = CallSite::here());

} // namespace mm
