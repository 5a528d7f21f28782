/// @file
/// Runs of 4 MiB that their owner has taken apart into single frames (frames::split_run()). Used by frames.h and frame_cache.h only.
///
/// To the frame allocator such a run is still one, which comes back as one: its free_frames() does not know the parts. So a part that would go
/// back *waits* here until all the others do, or until somebody needs a single frame: then it is one as good as any.
///
///     run of 1024  --split-->  1024 single frames  --released, through the cache-->  waiting  --the last one-->  frame allocator
///                                      ^                                                |
///                                      +------------------- allocated again ------------+
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "mm/physical/zone.h"

namespace mm::split_runs {

/// Notes that the run of kMaxOrder that begins with `first` is single frames from now on.
void add(FrameNumber first);

/// Whether the frame is part of such a run.
bool contains(FrameNumber frame);

/// A part that nobody has any more. When all parts of the run wait, the run goes back to the frame allocator.
void wait(FrameNumber frame);

/// Takes a waiting part of the zone for the cache. Only when waiting() is not 0.
FrameNumber take(Zone zone);

/// Parts of the zone that wait.
size_t waiting(Zone zone);

} // namespace mm::split_runs
