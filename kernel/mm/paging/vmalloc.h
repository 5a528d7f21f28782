/// @file
/// Memory that is contiguous in virtual addresses only, made of single frames: for what is large, and when no run of frames is
/// left. Lies in [kVmallocBegin, kVmallocEnd) (layout.h); each area ends in a guard page, so that running over it is
/// a page fault.
///
/// The kernel writes these page tables itself, not through lab 02's piece: vmalloc flushes lazily. A freed area keeps its pages
/// mapped and its frames taken until purge(): the TLB is then flushed once for many areas, not once for each page. (Linux does
/// the same: lazy_max_pages() in mm/vmalloc.c.) Until then allocate() may hand an area of the same size out again as it is; with
/// CONFIG_MEMORY_DEBUGGING it does not, so that who uses a freed area is caught by a page fault sooner or later.
/// What a freed area holds is not changed by free(): poison comes when purge() gives its frames back.
#pragma once

#include <cstddef>
#include <cstdint>

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

/// Figures since the boot, and of this moment.
struct Statistics {
    size_t areas;         ///< In use.
    size_t pages;         ///< Of these areas, without guard pages.
    size_t lazy_areas;    ///< Freed, waiting for purge().
    size_t lazy_pages;
    size_t purges;        ///< That had something to do.
    size_t full_flushes;  ///< Of the TLB, by these purges; the others invalidated a few pages singly.
};

/// What an address of vmalloc's range belongs to.
enum class Place : uint8_t {
    Nothing,  ///< To no area.
    Area,     ///< To an area, in use or freed.
    Guard,    ///< To the guard page behind an area.
    Gone,     ///< To an area that purge() took apart, or its guard page. Known of the last 32 only, with CONFIG_MEMORY_DEBUGGING.
};

/// The answer of find().
struct Found {
    Place place = Place::Nothing;
    Area area = {};       ///< Except for Place::Nothing.
};

/// Registers purge() as a shrinker. Once, at boot; maps nothing, takes no frame.
void initialize();

/// Whole pages for `bytes` bytes, writable, global, with unspecified contents. Frames come from Zone::High or below.
/// @return Error::InvalidArgument for 0 bytes; Error::OutOfMemory when frames or addresses are short, after purge() did not help, and always
///         without CONFIG_PAGING.
///         Nothing has changed then.
Result<void*> allocate(size_t bytes, CallSite site = CallSite::here());

/// Gives an area back. Any access to it is an error from now on, although it faults only after purge(), which comes by itself
/// when kLazyPages pages wait, and when memory or addresses are short.
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

Statistics statistics();

/// Panics when vmalloc's own records contradict each other. For tests.
void check_invariants();

/// Whose an address is: for what is said about a page fault.
Found find(const void* address);

/// Shows every area, lowest address first.
void for_each(void (*visit)(void* context, const Area& area), void* context);

} // namespace mm::vmalloc
