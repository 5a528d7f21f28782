/// @file
/// The frame allocator: who owns which 4 KiB of physical memory. **Contract of labs 01-frames** (order 0 only) **and
/// 03-buddy** (all orders).
///
/// The rest of the kernel calls `mm::frames` (frames.h), which adds reference counts on top of these functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/physical/zone.h"

namespace mm {

/// What the caller wants to find in a new frame.
enum class Contents : uint32_t {
    Unspecified = 0,  ///< Anything; the caller overwrites it.
    Zeroed = 1,       ///< 4096 zero bytes, as a new page table or a user's page must have.
};

/// Every 32-bit word of a freed frame holds this (CONFIG_MEMORY_DEBUGGING), except the first kFreeFrameHeader bytes, which an
/// allocator may use for links. Whoever still reads the frame sees at once that it is gone.
inline constexpr uint32_t kFreedFramePoison = 0xF4EEDF4E;
inline constexpr size_t kFreeFrameHeader = 16;

namespace frame_allocator {

/// Takes over physical memory. Called once at boot, before any other function here, with paging already on.
///
/// @param usable    what sanitise() returned: sorted, disjoint
/// @param reserved  frames that are memory but taken: frame 0, the BIOS area, the kernel's image, boot modules, the frame
///                  table, the kernel's page tables. In any order; they may overlap each other, reach outside `usable`, or
///                  lie where there is no memory at all.
///
/// After it, exactly the frames that are in `usable` and in no reserved range are free. The contents of free frames are
/// unspecified until they are freed for the first time.
Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved);

/// Hands out 2^order free frames in a row, aligned to their size.
///
/// @param order     lab 01 serves order 0 and answers Error::Unsupported to every other
/// @param zone      the highest zone that the caller can use. The allocator takes from it while it has free frames, then
///                  falls back to the next lower zone, and so on; never to a higher one.
/// @param contents  Contents::Zeroed fills the frames with zeros
/// @return the first frame; Error::OutOfMemory when no zone that is allowed has one (nothing has changed then)
///
/// Cost does not grow with the size of memory (except for Zeroed, which must write the frame).
Result<FrameNumber> allocate(Order order, Zone zone, Contents contents);

/// Takes back what allocate() handed out with the same order. With CONFIG_MEMORY_DEBUGGING the frames are filled with
/// kFreedFramePoison.
///
/// @return Error::NotAllocated when the frame is not in use: free already, reserved, never handed out, or no memory at
///         all; Error::Unsupported for an order that allocate() does not serve. Nothing has changed then.
Result<void> free(FrameNumber first, Order order);

/// How many frames of exactly this zone are free now.
size_t free_frames(Zone zone);

} // namespace frame_allocator
} // namespace mm
