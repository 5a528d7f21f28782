// Buddies: a free block of 2^k frames is aligned to its size; its buddy is the block whose number differs in bit k only.
// The first frame of a free block carries the tag kFreeBlock + k and the links; the first frame of a block in use, kUsedBlock + k.
// Zones begin at multiples of the largest block, so no block crosses from one zone into another.
#include "mm/physical/frame_allocator.h"

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint32_t kMaxOrder = 10;
constexpr uint32_t kNone = 0xFFFFFFFF;
constexpr uint8_t kInside = 0, kReserved = 1, kFreeBlock = 32, kUsedBlock = 64;

struct BuddyZone {
    uint32_t heads[kMaxOrder + 1];
    size_t frames;
};
constinit BuddyZone zones[kZoneCount] = {};

FrameInfo& info(uint32_t frame) { return frame_table::info(FrameNumber(frame)); }
BuddyZone& zone_at(uint32_t frame) { return zones[static_cast<uint32_t>(zone_of(FrameNumber(frame)))]; }

void insert(uint32_t block, uint32_t order) {
    uint32_t& head = zone_at(block).heads[order];
    info(block).allocator_tag = static_cast<uint8_t>(kFreeBlock + order);
    info(block).link[0] = head;
    info(block).link[1] = kNone;
    if (head != kNone) info(head).link[1] = block;
    head = block;
}

void remove(uint32_t block, uint32_t order) {
    const uint32_t next = info(block).link[0], previous = info(block).link[1];
    if (previous == kNone) zone_at(block).heads[order] = next;
    else info(previous).link[0] = next;
    if (next != kNone) info(next).link[1] = previous;
    info(block).allocator_tag = kInside;
}

bool is_free_block(uint32_t block, uint32_t order) {
    return block < frame_table::frame_count() && info(block).allocator_tag == kFreeBlock + order;
}

// Gives a block back and merges it with its buddy as long as that is free, too.
void release(uint32_t block, uint32_t order) {
    zone_at(block).frames += size_t{1} << order;
    info(block).allocator_tag = kInside;
    for (; order < kMaxOrder; ++order) {
        const uint32_t buddy = block ^ (1u << order);
        if (!is_free_block(buddy, order)) break;
        remove(buddy, order);
        if (buddy < block) block = buddy;
    }
    insert(block, order);
}

uint32_t take(BuddyZone& zone, uint32_t order) {
    uint32_t from = order;
    while (from <= kMaxOrder && zone.heads[from] == kNone) ++from;
    if (from > kMaxOrder) return kNone;
    const uint32_t block = zone.heads[from];
    remove(block, from);
    while (from > order) {
        --from;
        insert(block + (1u << from), from);
    }
    info(block).allocator_tag = static_cast<uint8_t>(kUsedBlock + order);
    zone.frames -= size_t{1} << order;
    return block;
}

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    for (BuddyZone& zone : zones)
        for (uint32_t& head : zone.heads) head = kNone;
    const auto end = static_cast<uint32_t>(frame_table::frame_count());
    for (FrameRange range : reserved)
        for (uint32_t frame = range.begin.value(); frame < range.end.value() && frame < end; ++frame) info(frame).allocator_tag = kReserved;
    for (FrameRange range : usable)
        for (uint32_t frame = range.begin.value(); frame < range.end.value(); ++frame)
            if (info(frame).allocator_tag != kReserved) release(frame, 0);
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order.value() > kMaxOrder) return Error::Unsupported;
    for (auto i = static_cast<uint32_t>(zone) + 1; i-- > 0;) {
        const uint32_t block = take(zones[i], order.value());
        if (block == kNone) continue;
        for (uint32_t j = 0; contents == Contents::Zeroed && j < order.frames(); ++j) zero_frame(FrameNumber(block + j));
        return FrameNumber(block);
    }
    return Error::OutOfMemory;
}

Result<void> free(FrameNumber first, Order order) {
    if (order.value() > kMaxOrder) return Error::Unsupported;
    const uint32_t block = first.value();
    if (block >= frame_table::frame_count() || info(block).allocator_tag != kUsedBlock + order.value()) return Error::NotAllocated;
    for (uint32_t i = 0; CONFIG_MEMORY_DEBUGGING && i < order.frames(); ++i) fill_frame(first + i, kFreedFramePoison);
    release(block, order.value());
    return {};
}

size_t free_frames(Zone zone) { return zones[static_cast<uint32_t>(zone)].frames; }

} // namespace mm::frame_allocator
