/// @file
/// How the kernel gets and gives back frames: the frame allocator (a lab's piece) below, with watermarks, a cache of frames at
/// hand, owners' counts and an account on top.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/zone.h"

namespace mm::frames {

/// One frame with a reference count of 1. Comes from the frame cache when that has one. When every zone that is allowed is down
/// to its watermark (watermarks.h), the shrinkers (shrinker.h) are asked for memory first.
/// @return Error::OutOfMemory when there is none in `zone` or below
Result<FrameNumber> allocate(Zone zone, Contents contents);

/// As allocate(), and may take the last frames below the watermark: for a caller whose work frees memory.
Result<FrameNumber> allocate_reserve(Zone zone, Contents contents);

/// 2^order frames in a row, the first a multiple of 2^order: one run, one owner, counted in the first frame.
/// @return Error::OutOfMemory when there is no such run; Error::Unsupported for an order that the frame allocator does not
///         serve (lab 01 serves order 0). The caller has another way then: single frames, or vmalloc (mm/paging/vmalloc.h).
Result<FrameNumber> allocate_run(Order order, Zone zone, Contents contents);

/// Drops one reference; the last one gives the frame back.
/// @return Error::NotAllocated when the frame has no owner, or is part of a larger run
Result<void> release(FrameNumber frame);

/// release() for each of many frames, all of which have an owner: for who takes a process's pages away.
void release_all(const FrameNumber* frames, size_t count);

/// Drops one reference of a run; the last one gives its frames back.
/// @return Error::NotAllocated when `first` is not the first frame of a run of this order
Result<void> release_run(FrameNumber first, Order order);

/// Takes a run of kMaxOrder apart: from now on it is 1024 single frames, each with one reference, which come back one by one with
/// release(). The run must have one owner.
void split_run(FrameNumber first);

/// Adds an owner to an allocated frame or run.
void share(FrameNumber first);

/// From now on the frame, which is allocated and no run, is FrameUse::Pageable, with these two words in its entry: whoever reclaims pages
/// keeps it in its books, and is told when its last owner goes.
void make_pageable(FrameNumber frame, uint32_t word0, uint32_t word1);

/// Who is told that the last owner of a pageable frame has gone, just before the frame goes back. Must not allocate, nor touch its count.
void set_pageable_listener(void (*gone)(FrameNumber frame));

/// Frames handed out and not yet given back, those of runs included. Kept by the kernel, not by the lab's piece.
size_t in_use();

/// Frames handed out since the boot.
size_t allocations();

/// Allocations that failed since the boot because there was no frame, or no run. Who failed for want of memory can tell by it whether frames
/// would help. Those that fail_after() made fail do not count.
inline size_t refusals() {
    extern size_t frames_refused; // written in frames.cpp only; read at every page fault
    return frames_refused;
}
/// Of these, the ones of single frames: then there is no memory left at all, while a run may be missing where memory is only fragmented.
inline size_t single_refusals() {
    extern size_t single_frames_refused;
    return single_frames_refused;
}

/// While one of these lives, every allocation of single frames may take the last ones, as allocate_reserve(): for who calls others
/// (lab 02's piece, say) to free memory. (Linux's PF_MEMALLOC.)
class UseReserve {
public:
    UseReserve();
    ~UseReserve();
    UseReserve(const UseReserve&) = delete;
    UseReserve& operator=(const UseReserve&) = delete;
};

/// For tests of what happens without memory: the next `count` allocations (a run counts as one) succeed, every later one fails
/// with Error::OutOfMemory although frames are free.
void fail_after(size_t count);

/// Ends what fail_after() began.
void fail_never();

} // namespace mm::frames

/// Frames by their permanent address: what most of the kernel wants.
namespace mm::pages {

/// A run of 2^order pages in identity-mapped memory, as a pointer to its first byte. Errors as frames::allocate_run().
Result<void*> allocate(Order order, Contents contents);

/// One page. Linux's get_free_page(), or get_zeroed_page() with Contents::Zeroed.
Result<void*> get_free_page(Contents contents = Contents::Unspecified);

/// Gives back what allocate() or get_free_page() (order 0) returned.
/// @return Error::NotAllocated when it is not such an address
Result<void> free(void* address, Order order = Order(0));

} // namespace mm::pages
