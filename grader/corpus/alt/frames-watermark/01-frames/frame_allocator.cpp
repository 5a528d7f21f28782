// Nothing is built at boot: each zone's watermark goes up through the usable ranges and passes over what is reserved. Freed
// frames wait in a queue (oldest first, so that a use after free meets the poison for as long as possible) and come before
// the watermark moves on.
#include "mm/physical/frame_allocator.h"

#include <algorithm>
#include <array>

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint8_t kReserved = 1, kOut = 2, kQueued = 3;
constexpr size_t kMaxRanges = 64;

std::array<FrameRange, kMaxRanges> ranges{};  // of the usable frames
size_t range_count = 0;

struct ZoneState {
    uint32_t mark = 0;  // every free frame below it is in the queue
    size_t range = 0;   // the mark lies in this range, or before it
    uint32_t oldest = 0, newest = 0;
    size_t queued = 0;
    size_t untouched = 0;  // free frames at the mark and above
};
ZoneState states[kZoneCount];

FrameInfo& info(uint32_t frame) { return frame_table::info(FrameNumber(frame)); }

// The next untouched frame of a zone that has one.
uint32_t rise(ZoneState& zone) {
    for (;;) {
        const FrameRange range = ranges[zone.range];
        if (zone.mark >= range.end.value()) {
            ++zone.range;
            continue;
        }
        zone.mark = std::max(zone.mark, range.begin.value());
        const uint32_t frame = zone.mark++;
        if (info(frame).allocator_tag == kReserved) continue;
        --zone.untouched;
        return frame;
    }
}

uint32_t dequeue(ZoneState& zone) {
    const uint32_t frame = zone.oldest;
    zone.oldest = info(frame).link[1];
    --zone.queued;
    return frame;
}

void enqueue(ZoneState& zone, uint32_t frame) {
    if (zone.queued++ == 0) zone.oldest = frame;
    else info(zone.newest).link[1] = frame;
    zone.newest = frame;
    info(frame).allocator_tag = kQueued;
}

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    if (usable.size() > kMaxRanges) return Error::OutOfMemory;
    range_count = usable.size();
    std::copy(usable.begin(), usable.end(), ranges.begin());
    const auto end = static_cast<uint32_t>(frame_table::frame_count());
    for (FrameRange range : reserved)
        for (uint32_t frame = range.begin.value(); frame < std::min(range.end.value(), end); ++frame) info(frame).allocator_tag = kReserved;
    for (const Zone zone : kAllZones) states[static_cast<uint32_t>(zone)].mark = zone_frames(zone).begin.value();
    for (const FrameRange& range : usable)
        for (FrameNumber frame = range.begin; frame < range.end; ++frame)
            if (info(frame.value()).allocator_tag != kReserved) ++states[static_cast<uint32_t>(zone_of(frame))].untouched;
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order != Order(0)) return Error::Unsupported;
    for (auto i = static_cast<int>(zone); i >= 0; --i) {
        ZoneState& state = states[i];
        if (state.queued + state.untouched == 0) continue;
        const uint32_t frame = state.queued ? dequeue(state) : rise(state);
        info(frame).allocator_tag = kOut;
        if (contents == Contents::Zeroed) zero_frame(FrameNumber(frame));
        return FrameNumber(frame);
    }
    return Error::OutOfMemory;
}

Result<void> free(FrameNumber first, Order order) {
    if (order != Order(0)) return Error::Unsupported;
    if (first.value() >= frame_table::frame_count() || info(first.value()).allocator_tag != kOut) return Error::NotAllocated;
    if constexpr (CONFIG_MEMORY_DEBUGGING) fill_frame(first, kFreedFramePoison);
    enqueue(states[static_cast<uint32_t>(zone_of(first))], first.value());
    return {};
}

size_t free_frames(Zone zone) {
    const ZoneState& state = states[static_cast<uint32_t>(zone)];
    return state.queued + state.untouched;
}

} // namespace mm::frame_allocator
