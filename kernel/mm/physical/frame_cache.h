/// @file
/// Frames kept at hand, so that most allocations touch no free list: *hot* ones, freed a moment ago and still in the CPU's
/// caches, and *zeroed* ones, cleared while the machine had nothing to do. (Bonwick and Adams, "Magazines and Vmem", USENIX 2001,
/// for the stacks; Linux's per-CPU page lists.) Used by frames.h only.
///
/// Per zone one stack of each kind. A frame in here is FrameUse::Cached: the frame allocator has handed it out, yet it is nobody's,
/// and counts as free in reports.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "mm/physical/zone.h"

namespace mm::frame_cache {

inline constexpr size_t kHotFrames = 256;    ///< Of one zone, at most.
inline constexpr size_t kZeroedFrames = 64;  ///< Of one zone, at most.
inline constexpr size_t kBatch = 8;          ///< Frames that go from and to the frame allocator at a time.

/// Frames of this zone in the cache now, of both kinds. As hot ones count also the frames of runs that were taken apart, while they wait
/// for the rest of their run (split_runs.h).
size_t count(Zone zone);
size_t hot_count(Zone zone);
size_t zeroed_count(Zone zone);

/// Clears up to `count` frames for later. Called when the CPU is idle; never takes a zone below its high watermark.
/// @return how many were cleared; 0 when the stacks are full or memory is short
size_t fill_zeroed(size_t count);

/// Gives everything back to the frame allocator. One of the shrinkers.
/// @return how many frames
size_t drain();

} // namespace mm::frame_cache
