/// @file
/// How low free memory may fall, per zone: marks at which the kernel begins to act. (Gorman, *Understanding the Linux Virtual
/// Memory Manager*, 2.2.1.)
#pragma once

#include <cstddef>

#include "mm/physical/zone.h"

namespace mm {

/// Frames that should be free. min <= low <= high; all 0 in a zone without memory.
struct Watermarks {
    size_t min;   ///< Ordinary requests leave so many; what lies below is for callers whose work frees memory.
    size_t low;   ///< Below: time to reclaim in the background.
    size_t high;  ///< Above: enough; background work stops.
};

namespace watermarks {

/// Sets every zone's marks from its frames: min is 1/256 of the zone (at least 8 frames, at most 1024), low is 5/4 and high 3/2 of
/// it. Once, after the frame allocator has started.
void initialize();

Watermarks of(Zone zone);

extern Watermarks marks[kZoneCount]; ///< What of() looks up; written by initialize() only.
/// of(zone).min, for where every tick counts.
inline size_t minimum(Zone zone) { return marks[static_cast<uint32_t>(zone)].min; }

/// Frames of memory in the zone, reserved ones included: what its marks are made from.
size_t frames_of_memory(Zone zone);

} // namespace watermarks
} // namespace mm
