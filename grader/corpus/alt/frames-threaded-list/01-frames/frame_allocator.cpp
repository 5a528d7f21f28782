// Each free frame holds the number of the next one in its first word, so that the list needs no memory at all.
#include "mm/physical/frame_allocator.h"

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint8_t kTaken = 1, kFree = 2, kOut = 3;
constexpr uint32_t kNone = 0;  // frame 0 is reserved for ever, so its number can end a list

constinit uint32_t heads[kZoneCount] = {kNone, kNone, kNone};
constinit size_t counts[kZoneCount] = {};

uint32_t read_link(uint32_t frame) { return *frame_memory(FrameNumber(frame)).as<uint32_t>(); }
void write_link(uint32_t frame, uint32_t next) { *frame_memory(FrameNumber(frame)).as<uint32_t>() = next; }
uint8_t& tag(uint32_t frame) { return frame_table::info(FrameNumber(frame)).allocator_tag; }

void push(uint32_t frame) {
    const auto zone = static_cast<uint32_t>(zone_of(FrameNumber(frame)));
    write_link(frame, heads[zone]);
    tag(frame) = kFree;
    heads[zone] = frame;
    ++counts[zone];
}

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    const auto end = static_cast<uint32_t>(frame_table::frame_count());
    for (FrameRange range : reserved)
        for (uint32_t frame = range.begin.value(); frame < range.end.value() && frame < end; ++frame) tag(frame) = kTaken;
    for (FrameRange range : usable)
        for (uint32_t frame = range.begin.value(); frame < range.end.value(); ++frame)
            if (tag(frame) != kTaken) push(frame);
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order > Order(0)) return Error::Unsupported;
    auto candidate = static_cast<uint32_t>(zone);
    while (heads[candidate] == kNone) {
        if (candidate == 0) return Error::OutOfMemory;
        --candidate;
    }
    const uint32_t frame = heads[candidate];
    heads[candidate] = read_link(frame);
    --counts[candidate];
    tag(frame) = kOut;
    if (contents == Contents::Zeroed) zero_frame(FrameNumber(frame));
    return FrameNumber(frame);
}

Result<void> free(FrameNumber first, Order order) {
    if (order > Order(0)) return Error::Unsupported;
    if (first.value() >= frame_table::frame_count() || tag(first.value()) != kOut) return Error::NotAllocated;
    if constexpr (CONFIG_MEMORY_DEBUGGING) fill_frame(first, kFreedFramePoison, kFreeFrameHeader);
    push(first.value());
    return {};
}

size_t free_frames(Zone zone) { return counts[static_cast<uint32_t>(zone)]; }

} // namespace mm::frame_allocator
