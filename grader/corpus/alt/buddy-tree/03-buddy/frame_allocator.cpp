// A binary tree over the 2^20 frames that 32 bits can name. Node 1 is all of them, node n has the halves 2n and 2n + 1, and frame f
// is leaf 2^20 + f. A node holds 1 + the order of the longest free run below it, 0 when there is none. A run never grows beyond
// kMaxOrder, so the nodes above hold the larger of their halves.
//
// Allocating goes down from a zone's nodes to one of the right size and sets it to 0; freeing sets it back. Either way the nodes
// above are computed anew. What lies below a run in use keeps saying "all free": nobody looks there.
#include "mm/physical/frame_allocator.h"

#include <algorithm>
#include <cstddef>

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint32_t kLeaves = kMaxFrames;
constexpr uint32_t kTopOrder = 20;
constexpr uint8_t kUsed = 0x80;  // allocator_tag of the first frame of a run in use: kUsed + order

uint8_t longest[2 * kLeaves];
uint32_t free_in_zone[kZoneCount];

uint32_t node_of(uint32_t first, uint32_t order) { return (kLeaves + first) >> order; }

uint8_t computed(uint32_t node, uint32_t order) {
    const uint8_t left = longest[2 * node], right = longest[2 * node + 1];
    if (order <= kMaxOrder.value() && left == order && right == order) return static_cast<uint8_t>(order + 1);
    return std::max(left, right);
}

void update_above(uint32_t node, uint32_t order) {
    while (order < kTopOrder) {
        node /= 2, ++order;
        longest[node] = computed(node, order);
    }
}

// The zones as subtrees: [16 MiB, 256 MiB) is four nodes, each twice as large as the one before; so is [256 MiB, 4 GiB).
struct Subtree { uint32_t first, order; };
constexpr Subtree kDma[] = {{0, 12}};
constexpr Subtree kNormal[] = {{1u << 12, 12}, {1u << 13, 13}, {1u << 14, 14}, {1u << 15, 15}};
constexpr Subtree kHigh[] = {{1u << 16, 16}, {1u << 17, 17}, {1u << 18, 18}, {1u << 19, 19}};

std::span<const Subtree> subtrees(uint32_t zone) {
    if (zone == 0) return kDma;
    return zone == 1 ? std::span<const Subtree>(kNormal) : std::span<const Subtree>(kHigh);
}

// Down to a run of exactly `order`; the left half first, but rather one that is just large enough.
uint32_t descend(uint32_t node, uint32_t at, uint32_t order) {
    const uint8_t wanted = static_cast<uint8_t>(order + 1);
    for (; at > order; --at) {
        const uint8_t left = longest[2 * node], right = longest[2 * node + 1];
        const bool go_right = left < wanted || (right >= wanted && right < left);
        node = 2 * node + (go_right ? 1 : 0);
    }
    return node;
}

uint32_t count_runs(uint32_t node, uint32_t at, uint32_t order) {
    if (longest[node] <= order) return 0;                    // only smaller ones below
    if (at <= kMaxOrder.value() && longest[node] == at + 1) return at == order ? 1 : 0; // all free: one run
    return count_runs(2 * node, at - 1, order) + count_runs(2 * node + 1, at - 1, order);
}

uint32_t runs_in(Zone zone, uint32_t order) {
    uint32_t count = 0;
    for (const Subtree tree : subtrees(static_cast<uint32_t>(zone))) count += count_runs(node_of(tree.first, tree.order), tree.order, order);
    return count;
}

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    for (const FrameRange range : usable) {
        for (uint32_t frame = range.begin.value(); frame < range.end.value(); ++frame) longest[node_of(frame, 0)] = 1;
    }
    const uint32_t end = frame_table::frame_count();
    for (const FrameRange range : reserved) {
        for (uint32_t frame = range.begin.value(); frame < range.end.value() && frame < end; ++frame) longest[node_of(frame, 0)] = 0;
    }
    for (uint32_t frame = 0; frame < end; ++frame) {
        if (longest[node_of(frame, 0)]) ++free_in_zone[static_cast<uint32_t>(zone_of(FrameNumber(frame)))];
    }
    for (uint32_t order = 1; order <= kTopOrder; ++order) {
        const uint32_t last = node_of(end - 1, order);
        for (uint32_t node = node_of(0, order); node <= last; ++node) longest[node] = computed(node, order);
    }
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order > kMaxOrder) return Error::Unsupported;
    for (uint32_t i = static_cast<uint32_t>(zone) + 1; i-- > 0;) {
        for (const Subtree tree : subtrees(i)) {
            const uint32_t top = node_of(tree.first, tree.order);
            if (longest[top] <= order.value()) continue;
            const uint32_t node = descend(top, tree.order, order.value());
            longest[node] = 0;
            update_above(node, order.value());
            const FrameNumber first((node << order.value()) - kLeaves);
            frame_table::info(first).allocator_tag = static_cast<uint8_t>(kUsed + order.value());
            free_in_zone[i] -= order.frames();
            if (contents == Contents::Zeroed) {
                for (uint32_t j = 0; j < order.frames(); ++j) zero_frame(first + j);
            }
            return first;
        }
    }
    return Error::OutOfMemory;
}

Result<void> free(FrameNumber first, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    if (first.value() >= frame_table::frame_count()) return Error::NotAllocated;
    FrameInfo& info = frame_table::info(first);
    if (info.allocator_tag != kUsed + order.value()) return Error::NotAllocated;
    info.allocator_tag = 0;
    if constexpr (CONFIG_MEMORY_DEBUGGING) {
        for (uint32_t i = 0; i < order.frames(); ++i) fill_frame(first + i, kFreedFramePoison);
    }
    const uint32_t node = node_of(first.value(), order.value());
    longest[node] = static_cast<uint8_t>(order.value() + 1);
    update_above(node, order.value());
    free_in_zone[static_cast<uint32_t>(zone_of(first))] += order.frames();
    return {};
}

size_t free_frames(Zone zone) { return free_in_zone[static_cast<uint32_t>(zone)]; }

Result<size_t> free_runs(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    return runs_in(zone, order.value());
}

Result<uint32_t> fragmentation(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    const uint32_t all = free_frames(zone);
    uint32_t large_enough = 0;
    for (uint32_t i = order.value(); i <= kMaxOrder.value(); ++i) large_enough += runs_in(zone, i) << i;
    return all == 0 ? 0 : 1000 * (all - large_enough) / all;
}

} // namespace mm::frame_allocator
