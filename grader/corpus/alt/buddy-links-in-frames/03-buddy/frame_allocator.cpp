// Buddies with the links where the memory is: the first frame of a free run begins with the numbers of its neighbours in the list.
// The frame table's byte says what begins at a frame: kFree + order, kUsed + order, or nothing.
#include "mm/physical/frame_allocator.h"

#include <algorithm>
#include <bit>

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint32_t kLast = kMaxOrder.value();
constexpr uint32_t kNobody = ~0u;
constexpr uint8_t kNothing = 0, kReserved = 1, kFree = 0x20, kUsed = 0x40;

struct Links {
    uint32_t next;
    uint32_t previous;
};
static_assert(sizeof(Links) <= kFreeFrameHeader);

// A list's head holds the frame's number plus 1, so that a variable full of zeros is an empty list.
struct Region {
    uint32_t heads[kLast + 1];
    uint32_t runs[kLast + 1];
};
constinit Region regions[kZoneCount] = {};

Region& region_at(uint32_t frame) { return regions[static_cast<uint32_t>(zone_of(FrameNumber(frame)))]; }
uint8_t& tag(uint32_t frame) { return frame_table::info(FrameNumber(frame)).allocator_tag; }

Links read_links(uint32_t frame) { return *frame_memory(FrameNumber(frame)).as<Links>(); }
void write_links(uint32_t frame, Links links) { *frame_memory(FrameNumber(frame)).as<Links>() = links; }
void set_next(uint32_t frame, uint32_t next) { frame_memory(FrameNumber(frame)).as<Links>()->next = next; }
void set_previous(uint32_t frame, uint32_t previous) { frame_memory(FrameNumber(frame)).as<Links>()->previous = previous; }

void enter(uint32_t first, uint32_t order) {
    Region& region = region_at(first);
    const uint32_t next = region.heads[order] - 1; // kNobody for an empty list
    write_links(first, {next, kNobody});
    if (next != kNobody) set_previous(next, first);
    region.heads[order] = first + 1;
    ++region.runs[order];
    tag(first) = static_cast<uint8_t>(kFree + order);
}

void leave(uint32_t first, uint32_t order) {
    Region& region = region_at(first);
    const Links links = read_links(first);
    if (links.next != kNobody) set_previous(links.next, links.previous);
    if (links.previous != kNobody) set_next(links.previous, links.next);
    else region.heads[order] = links.next + 1;
    --region.runs[order];
    tag(first) = kNothing;
}

void release(uint32_t first, uint32_t order) {
    const uint32_t end = frame_table::frame_count();
    while (order < kLast) {
        const uint32_t buddy = first ^ (1u << order);
        if (buddy >= end || tag(buddy) != kFree + order) break;
        leave(buddy, order);
        tag(first) = kNothing;
        first = std::min(first, buddy);
        ++order;
    }
    enter(first, order);
}

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    const uint32_t end = frame_table::frame_count();
    for (const FrameRange range : reserved) {
        for (uint32_t frame = range.begin.value(); frame < range.end.value() && frame < end; ++frame) tag(frame) = kReserved;
    }
    for (const FrameRange range : usable) {
        uint32_t frame = range.begin.value();
        while (frame < range.end.value()) {
            // As long as the alignment allows, as long as the range goes on, and nothing is reserved.
            uint32_t length = 0;
            const uint32_t most = std::min(1u << std::min<uint32_t>(std::countr_zero(frame), kLast), range.end.value() - frame);
            while (length < most && tag(frame + length) != kReserved) ++length;
            if (length > 0) {
                const uint32_t order = std::bit_width(length) - 1;
                release(frame, order);
                frame += 1u << order;
            } else {
                ++frame;
            }
        }
    }
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order > kMaxOrder) return Error::Unsupported;
    for (uint32_t i = static_cast<uint32_t>(zone) + 1; i-- > 0;) {
        uint32_t from = order.value();
        while (from <= kLast && regions[i].heads[from] == 0) ++from;
        if (from > kLast) continue;
        const uint32_t first = regions[i].heads[from] - 1;
        leave(first, from);
        while (from > order.value()) {
            --from;
            enter(first + (1u << from), from);
        }
        tag(first) = static_cast<uint8_t>(kUsed + order.value());
        if (contents == Contents::Zeroed) {
            for (uint32_t j = 0; j < order.frames(); ++j) zero_frame(FrameNumber(first + j));
        }
        return FrameNumber(first);
    }
    return Error::OutOfMemory;
}

Result<void> free(FrameNumber first, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    if (first.value() >= frame_table::frame_count() || tag(first.value()) != kUsed + order.value()) return Error::NotAllocated;
    if constexpr (CONFIG_MEMORY_DEBUGGING) {
        for (uint32_t i = 0; i < order.frames(); ++i) fill_frame(first + i, kFreedFramePoison);
    }
    release(first.value(), order.value());
    return {};
}

size_t free_frames(Zone zone) {
    size_t frames = 0;
    for (uint32_t i = 0; i <= kLast; ++i) frames += regions[static_cast<uint32_t>(zone)].runs[i] << i;
    return frames;
}

Result<size_t> free_runs(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    return regions[static_cast<uint32_t>(zone)].runs[order.value()];
}

Result<uint32_t> fragmentation(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    uint32_t lower = 0;
    for (uint32_t i = 0; i < order.value(); ++i) lower += regions[static_cast<uint32_t>(zone)].runs[i] << i;
    const uint32_t all = free_frames(zone);
    return all ? lower * 1000 / all : 0;
}

} // namespace mm::frame_allocator
