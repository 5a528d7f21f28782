/// @file
/// How the kernel gets and gives back frames: the frame allocator, with an owner's count on top.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/zone.h"

namespace mm::frames {

/// One frame with a reference count of 1.
/// @return Error::OutOfMemory when there is none in `zone` or below
Result<FrameNumber> allocate(Zone zone, Contents contents);

/// Drops one reference; the last one gives the frame back to the allocator.
/// @return Error::NotAllocated when the frame has no owner
Result<void> release(FrameNumber frame);

/// Adds an owner to an allocated frame.
void share(FrameNumber frame);

/// Frames handed out by allocate() and not yet given back. Kept by the kernel, not by the lab's piece.
size_t in_use();

/// For tests of what happens without memory: the next `count` allocations succeed, every later one fails with
/// Error::OutOfMemory although frames are free.
void fail_after(size_t count);

/// Ends what fail_after() began.
void fail_never();

} // namespace mm::frames
