// Knuth's tag bit, halved: for every pair of buddies of every order one bit, which is 1 when exactly one of the two is a free run of
// this order. Whoever takes or frees a run of order k turns the pair's bit over. If free() sees it become 0, the buddy is free, and
// both together are a run of order k + 1. No look at the buddy's own state is needed, so it may be a hole, reserved or past the end:
// such a run is never free, and its pair's bit goes 0, 1, 0, 1 with the other one alone.
//
// The pair that lies at the end of the frame table has a bit as well: pairs are numbered up to 2^19 for every machine.
#include "mm/physical/frame_allocator.h"

#include <algorithm>
#include <bit>

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint32_t kTop = kMaxOrder.value();

/// The lists are circles through small records: links of a frame's entry, or a sentinel behind the last frame number.
constexpr uint32_t kSentinels = 0xFFF00000;
struct Zone32 {
    uint32_t sentinels[kTop + 1][2]; ///< next, previous
    uint32_t members[kTop + 1];
};
constinit Zone32 areas[kZoneCount] = {};

/// Bits of all pairs: 2^19 of order 0, then 2^18 of order 1, and so on. The highest order has no pairs.
uint32_t pair_bits[(1 << 20) / 32];
uint8_t order_of_used[kMaxFrames]; ///< 1 + order at the first frame of a run in use, else 0.

uint32_t sentinel(uint32_t zone, uint32_t order) { return kSentinels + zone * 16 + order; }
uint32_t* links(uint32_t at) {
    if (at < kSentinels) return frame_table::info(FrameNumber(at)).link;
    return areas[(at - kSentinels) / 16].sentinels[at % 16];
}

void insert(uint32_t zone, uint32_t first, uint32_t order) {
    const uint32_t head = sentinel(zone, order);
    const uint32_t next = links(head)[0];
    links(first)[0] = next;
    links(first)[1] = head;
    links(next)[1] = first;
    links(head)[0] = first;
    ++areas[zone].members[order];
}

void remove(uint32_t zone, uint32_t first, uint32_t order) {
    const uint32_t next = links(first)[0];
    const uint32_t previous = links(first)[1];
    links(next)[1] = previous;
    links(previous)[0] = next;
    --areas[zone].members[order];
}

/// Turns the pair's bit over. @return whether it is 1 now: the two differ
bool turn(uint32_t first, uint32_t order) {
    const uint32_t before = (1u << 20) - (1u << (20 - order)); // pairs of lower orders
    const uint32_t bit = before + (first >> (order + 1));
    pair_bits[bit / 32] ^= 1u << (bit % 32);
    return pair_bits[bit / 32] >> (bit % 32) & 1;
}

void release(uint32_t zone, uint32_t first, uint32_t order) {
    while (order < kTop && !turn(first, order)) {
        remove(zone, first ^ (1u << order), order);
        first &= ~(1u << order);
        ++order;
    }
    insert(zone, first, order);
}

uint32_t zone_index(uint32_t frame) { return static_cast<uint32_t>(zone_of(FrameNumber(frame))); }

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    for (uint32_t zone = 0; zone < kZoneCount; ++zone) {
        for (uint32_t order = 0; order <= kTop; ++order) links(sentinel(zone, order))[0] = links(sentinel(zone, order))[1] = sentinel(zone, order);
    }
    constexpr uint8_t taken = 0xFF;
    for (const FrameRange range : reserved) {
        for (FrameNumber frame = range.begin; frame < range.end && frame.value() < kMaxFrames; ++frame) order_of_used[frame.value()] = taken;
    }
    for (const FrameRange range : usable) {
        for (FrameNumber frame = range.begin; frame < range.end; ++frame) {
            if (order_of_used[frame.value()] != taken) release(zone_index(frame.value()), frame.value(), 0);
        }
    }
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order > kMaxOrder) return Error::Unsupported;
    uint32_t area = static_cast<uint32_t>(zone), from = order.value();
    while (areas[area].members[from] == 0) {
        if (++from <= kTop) continue;
        if (area-- == 0) return Error::OutOfMemory;
        from = order.value();
    }
    const uint32_t first = links(sentinel(area, from))[0];
    remove(area, first, from);
    if (from < kTop) turn(first, from);
    while (from > order.value()) {
        --from;
        turn(first, from);
        insert(area, first + (1u << from), from);
    }
    order_of_used[first] = static_cast<uint8_t>(1 + order.value());
    for (uint32_t i = 0; contents == Contents::Zeroed && i < order.frames(); ++i) zero_frame(FrameNumber(first + i));
    return FrameNumber(first);
}

Result<void> free(FrameNumber first, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    if (first.value() >= kMaxFrames || order_of_used[first.value()] != 1 + order.value()) return Error::NotAllocated;
    order_of_used[first.value()] = 0;
    if constexpr (CONFIG_MEMORY_DEBUGGING) {
        for (uint32_t i = 0; i < order.frames(); ++i) fill_frame(first + i, kFreedFramePoison);
    }
    release(zone_index(first.value()), first.value(), order.value());
    return {};
}

size_t free_frames(Zone zone) {
    size_t frames = 0;
    for (uint32_t order = 0; order <= kTop; ++order) frames += areas[static_cast<uint32_t>(zone)].members[order] << order;
    return frames;
}

Result<size_t> free_runs(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    return areas[static_cast<uint32_t>(zone)].members[order.value()];
}

Result<uint32_t> fragmentation(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    const size_t frames = free_frames(zone);
    if (frames == 0) return 0u;
    size_t large_enough = 0;
    for (uint32_t i = order.value(); i <= kTop; ++i) large_enough += areas[static_cast<uint32_t>(zone)].members[i] << i;
    return static_cast<uint32_t>((frames - large_enough) * 1000 / frames);
}

} // namespace mm::frame_allocator
