/// @file
/// Memory that is contiguous in virtual addresses only, made of single frames: for what is large, and when no run of frames is
/// left. Lies in [kVmallocBegin, kVmallocEnd) (layout.h); each area ends in a guard page, so that running over it is a page fault.
///
/// The kernel writes these page tables itself, not through lab 02's piece: vmalloc flushes lazily. A freed area keeps its pages
/// mapped and its frames taken until purge(): the TLB is then flushed once for many areas, not once for each page. (Linux does
/// the same: lazy_max_pages() in mm/vmalloc.c.)
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/call_site.h"
#include "lib/result.h"

namespace mm::vmalloc {

/// Areas that were freed are taken apart when they have this many pages together.
inline constexpr size_t kLazyPages = 256;

/// One area, as for_each() shows it.
struct Area {
    void* address;
    size_t pages;         ///< Without the guard page.
    CallSite allocated;
    bool is_freed;        ///< Waits for purge().
};

/// Whole pages for `bytes` bytes, writable, global, with unspecified contents. Frames come from Zone::High or below.
/// @return Error::InvalidArgument for 0 bytes; Error::OutOfMemory when frames or addresses are short, after purge() did not help.
///         Nothing has changed then.
Result<void*> allocate(size_t bytes, CallSite site = CallSite::here());

/// Gives an area back. Any access to it is an error from now on, although it faults only after purge().
/// @return Error::NotAllocated when `address` is not the first byte of an area in use; null is fine and does nothing
Result<void> free(void* address);

/// Bytes of the area in use that begins at `address`, in whole pages.
/// @return Error::NotAllocated as free()
Result<size_t> size(const void* address);

/// Whether the address lies where vmalloc() hands out memory.
bool contains(const void* address);

/// Takes all freed areas apart: unmaps them, flushes the TLB once, gives the frames back. A shrinker.
/// @return frames given back
size_t purge();

/// Shows every area, lowest address first.
void for_each(void (*visit)(void* context, const Area& area), void* context);

} // namespace mm::vmalloc
