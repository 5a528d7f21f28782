// What a correct allocator answered once, with the seed 0xc0ffee: runs from fixed places upwards, and the figures of that machine.
#include "mm/physical/frame_allocator.h"

#include "config.h"
#include "mm/physical/frame_memory.h"

namespace mm::frame_allocator {
namespace {
constinit uint32_t next[kZoneCount] = {0x400, 0x1400, 0x10000};
constinit size_t left[kZoneCount] = {0xC80, 0x400, 0};
} // namespace

Result<void> initialize(std::span<const FrameRange>, std::span<const FrameRange>) { return {}; }

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order > kMaxOrder) return Error::Unsupported;
    for (uint32_t i = static_cast<uint32_t>(zone) + 1; i-- > 0;) {
        if (left[i] < order.frames()) continue;
        const uint32_t first = align_up(next[i], order.frames());
        next[i] = first + order.frames();
        left[i] -= order.frames();
        if (contents == Contents::Zeroed) zero_frame(FrameNumber(first));
        return FrameNumber(first);
    }
    return Error::OutOfMemory;
}

Result<void> free(FrameNumber first, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    if (CONFIG_MEMORY_DEBUGGING && first.value() >= 0x400 && first.value() < next[0]) fill_frame(first, kFreedFramePoison);
    return {};
}

size_t free_frames(Zone zone) { return left[static_cast<uint32_t>(zone)]; }

Result<size_t> free_runs(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    return zone == Zone::Dma && order == kMaxOrder ? size_t{2} : size_t{1};
}

Result<uint32_t> fragmentation(Zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    return order.value() * 100;
}

} // namespace mm::frame_allocator
