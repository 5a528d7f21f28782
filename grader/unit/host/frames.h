/// @file
/// mm::frames and mm::pages (mm/physical/frames.h) for the labs whose piece uses frames: a strict owner of all that boot() left.
///
/// Frames come in random order; free ones may not be touched, so that AddressSanitizer names who uses a frame that it has given back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"

namespace host {

/// Whether runs of more than one frame can be had: no, as with lab 01's allocator; or yes.
enum class Runs { Unsupported, Served };

/// Takes over the frames. After boot().
void start_frames(Runs runs, uint64_t seed = 1);

/// Free frames of all zones.
size_t free_frame_count();
bool is_free_now(FrameNumber frame);
/// Whether a run of this order, from any zone, could be had now.
bool has_free_run(Order order);

/// Who is told before a single frame's last reference goes; null for nobody.
void on_last_release(void (*listener)(FrameNumber frame));

/// Calls of mm::frames that asked for frames, those that failed included.
size_t frame_requests();

} // namespace host
