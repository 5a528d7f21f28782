#include "mm/physical/watermarks.h"

#include <algorithm>

#include "mm/physical/boot_memory.h"
#include "mm/physical/frame_stacks.h"

namespace mm::watermarks {

constinit Watermarks marks[kZoneCount];

namespace {

Watermarks marks_for(size_t frames) {
    if (frames == 0) return {};
    const size_t min = std::clamp<size_t>(frames / 256, 8, 1024);
    return {min, min * 5 / 4, min * 3 / 2};
}

} // namespace

void initialize() {
    for (const Zone zone : kAllZones) marks[static_cast<uint32_t>(zone)] = marks_for(frames_of_memory(zone));
    frame_cache::choose_zones();
}

size_t frames_of_memory(Zone zone) {
    size_t count = 0;
    for (const FrameRange range : boot_memory::usable()) count += intersect(range, zone_frames(zone)).count();
    return count;
}

Watermarks of(Zone zone) { return marks[static_cast<uint32_t>(zone)]; }

} // namespace mm::watermarks
