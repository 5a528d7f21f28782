#include "mm/physical/split_runs.h"

#include <cstdint>

#include "lib/panic.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_stacks.h"
#include "mm/physical/frame_table.h"

namespace mm::split_runs {

namespace {

using frame_cache::entries;

constexpr uint32_t kParts = kMaxOrder.frames();
constexpr uint32_t kNobody = 0; ///< As a link: frame 0 is reserved, and never waits.

/// How many frames of each aligned 4 MiB do not wait; 0 where no run has been taken apart.
constinit uint16_t not_waiting[kMaxFrames / kParts];
/// The waiting frames of each zone, a list through the two links of their entries: next, previous.
constinit uint32_t first_waiting[kZoneCount];
constinit size_t waiting_count[kZoneCount];

size_t zone_index(FrameNumber frame) { return static_cast<size_t>(zone_of(frame)); }
uint32_t& next(uint32_t frame) { return entries[frame].link[0]; }
uint32_t& previous(uint32_t frame) { return entries[frame].link[1]; }

void link(FrameNumber frame) {
    const uint32_t number = frame.value();
    uint32_t& first = first_waiting[zone_index(frame)];
    next(number) = first;
    previous(number) = kNobody;
    if (first != kNobody) previous(first) = number;
    first = number;
    ++waiting_count[zone_index(frame)];
}

void unlink(FrameNumber frame) {
    const uint32_t number = frame.value();
    if (previous(number) != kNobody) next(previous(number)) = next(number);
    else first_waiting[zone_index(frame)] = next(number);
    if (next(number) != kNobody) previous(next(number)) = previous(number);
    --waiting_count[zone_index(frame)];
}

} // namespace

void add(FrameNumber first) {
    KASSERT("a run is taken apart once", not_waiting[first.value() / kParts] == 0);
    not_waiting[first.value() / kParts] = kParts;
}

bool contains(FrameNumber frame) { return not_waiting[frame.value() / kParts] != 0; }

void wait(FrameNumber frame) {
    entries[frame.value()].use = FrameUse::Cached;
    entries[frame.value()].references = 1;
    link(frame);
    uint16_t& others = not_waiting[frame.value() / kParts];
    if (--others > 0) return;
    const FrameNumber first(align_down(frame.value(), kParts));
    for (uint32_t i = 0; i < kParts; ++i) unlink(first + i);
    for (uint32_t i = 1; i < kParts; ++i) entries[first.value() + i].references = 0;
    frame_cache::give_back(first, kMaxOrder);
}

FrameNumber take(Zone zone) {
    const FrameNumber frame(first_waiting[static_cast<size_t>(zone)]);
    unlink(frame);
    ++not_waiting[frame.value() / kParts];
    return frame;
}

size_t waiting(Zone zone) { return waiting_count[static_cast<size_t>(zone)]; }

} // namespace mm::split_runs
