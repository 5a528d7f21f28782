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

/// The largest run that anybody asks for: 2^10 frames, 4 MiB, one large page.
inline constexpr Order kMaxOrder{10};

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

/// Hands out a run: 2^order free frames in a row, the first of which is a multiple of 2^order.
///
/// @param order     lab 01 serves order 0, lab 03 all up to kMaxOrder; to every other they answer Error::Unsupported
/// @param zone      the highest zone that the caller can use. The allocator takes from it while it has a free run of this order,
///                  then falls back to the next lower zone, and so on; never to a higher one.
/// @param contents  Contents::Zeroed fills the frames with zeros
/// @return the first frame; Error::OutOfMemory when no zone that is allowed has such a run (nothing has changed then)
///
/// Whenever 2^order aligned frames in a row are free, they count as a run, however they came to be free: in whatever pieces
/// and order they were freed, they serve the larger request.
///
/// Cost does not grow with the size of memory (except for Zeroed, which must write the frames). Lab 03: nor with the number of
/// free or used runs; at worst it grows with the number of orders.
Result<FrameNumber> allocate(Order order, Zone zone, Contents contents);

/// Takes back what allocate() handed out with the same order. With CONFIG_MEMORY_DEBUGGING the frames are filled with
/// kFreedFramePoison.
///
/// @return Error::NotAllocated when `first` is not the first frame of a run in use of exactly this order: free already, reserved,
///         never handed out, in the middle of a run, handed out with another order, or no memory at all;
///         Error::Unsupported for an order that allocate() does not serve. Nothing has changed then.
Result<void> free(FrameNumber first, Order order);

/// How many frames of exactly this zone are free now.
size_t free_frames(Zone zone);

// Lab 03 only. An allocator of single frames does not define these two; the kernel's own answers then (single_frames.cpp).

/// How many free runs of exactly this order the zone has, when the free frames are sorted into the largest runs that they make:
/// a free run counts once, in the largest aligned run of free frames (of at most kMaxOrder) that it is part of.
/// The sum of free_runs(zone, order) * 2^order over all orders is free_frames(zone).
/// @return Error::Unsupported for an order above kMaxOrder, or when this allocator does not know runs
Result<size_t> free_runs(Zone zone, Order order);

/// How much of the zone's free memory is of no use for a request of this order, because it lies in smaller runs: 0 for none
/// of it, 1000 for all; rounded down. 0 when no frame is free. (The unusable free space index of Gorman and Whitcroft, "The
/// What, The Why and the Where To of Anti-Fragmentation", Ottawa Linux Symposium 2006, section 2.)
/// @return Error::Unsupported as free_runs()
Result<uint32_t> fragmentation(Zone zone, Order order);

} // namespace frame_allocator
} // namespace mm
