// No lists and no runs: for every order k a bitmap with one bit per aligned block of 2^k frames, set when *all* of them are free.
// A request of order k takes the lowest block of the zone whose bit is set on level k. Then the bits of all blocks below it are
// cleared, and above it those of the blocks that it is part of; free() sets them again, upwards as long as both halves are free.
//
// To find a set bit without a search each bitmap has summaries above it: a bit for every word that is not 0, and so on. The number of
// largest runs follows from the number of set bits: those of level k that lie in none of level k + 1.
#include "mm/physical/frame_allocator.h"

#include <algorithm>
#include <bit>

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint32_t kLevels = kMaxOrder.value() + 1;
constexpr uint32_t kNone = ~0u;

/// Bits with three summaries: 32 * 32 * 32 * 32 is 2^20.
template <uint32_t Bits>
struct Bitmap {
    uint32_t words[Bits / 32];
    uint32_t second[(Bits + (1 << 10) - 1) >> 10];
    uint32_t third[(Bits + (1 << 15) - 1) >> 15];
    uint32_t top;
};

/// The same without its size: where the words of a level are.
struct Level {
    uint32_t* rows[4];
};

Bitmap<1 << 20> level0;
Bitmap<1 << 19> level1;
Bitmap<1 << 18> level2;
Bitmap<1 << 17> level3;
Bitmap<1 << 16> level4;
Bitmap<1 << 15> level5;
Bitmap<1 << 14> level6;
Bitmap<1 << 13> level7;
Bitmap<1 << 12> level8;
Bitmap<1 << 11> level9;
Bitmap<1 << 10> level10;

template <typename B>
constexpr Level rows_of(B& bitmap) { return {{bitmap.words, bitmap.second, bitmap.third, &bitmap.top}}; }
constinit Level levels[kLevels] = {rows_of(level0), rows_of(level1), rows_of(level2), rows_of(level3), rows_of(level4), rows_of(level5),
                                   rows_of(level6), rows_of(level7), rows_of(level8), rows_of(level9), rows_of(level10)};
constinit uint32_t set_bits[kZoneCount][kLevels] = {};

bool is_set(uint32_t level, uint32_t bit) { return levels[level].rows[0][bit / 32] >> (bit % 32) & 1; }

/// Changes bits of one word, and the summaries if the word becomes empty or ceases to be.
void change(uint32_t level, uint32_t word, uint32_t mask, bool value) {
    const Level& rows = levels[level];
    for (uint32_t row = 0; row < 4; ++row) {
        uint32_t& cell = rows.rows[row][word];
        const uint32_t before = cell;
        cell = value ? cell | mask : cell & ~mask;
        if ((before == 0) == (cell == 0)) return;
        mask = 1u << (word % 32);
        word /= 32;
    }
}

/// Changes a power of two of bits that all have the other value now.
void change_bits(uint32_t zone, uint32_t level, uint32_t bit, uint32_t count, bool value) {
    set_bits[zone][level] += value ? count : 0 - count;
    if (count < 32) return change(level, bit / 32, ((1u << count) - 1) << (bit % 32), value);
    for (uint32_t i = 0; i < count / 32; ++i) change(level, bit / 32 + i, ~0u, value);
}

/// The first set bit at or behind `bit`.
uint32_t next_set(uint32_t level, uint32_t bit) {
    const Level& rows = levels[level];
    uint32_t row = 0;
    uint32_t at = bit;
    for (;; ++row) {
        if (row == 4) return kNone;
        const uint32_t limit = (1u << (20 - level)) >> (5 * row); // bits in this row
        if (at < limit) {
            const uint32_t rest = rows.rows[row][at / 32] & ~0u << (at % 32);
            if (rest) {
                at = at / 32 * 32 + std::countr_zero(rest);
                break;
            }
        }
        at = at / 32 + 1;
    }
    for (; row > 0; --row) at = at * 32 + std::countr_zero(rows.rows[row - 1][at]);
    return at;
}

/// All bits that change when the block of 2^order frames at `first` is taken or given back.
void change_block(uint32_t zone, uint32_t first, uint32_t order, bool value) {
    for (uint32_t level = 0; level <= order; ++level) change_bits(zone, level, first >> level, 1u << (order - level), value);
    for (uint32_t level = order + 1; level < kLevels; ++level) {
        const uint32_t bit = first >> level;
        if (value ? !(is_set(level - 1, 2 * bit) && is_set(level - 1, 2 * bit + 1)) : !is_set(level, bit)) break;
        change_bits(zone, level, bit, 1, value);
    }
}

uint32_t index(Zone zone) { return static_cast<uint32_t>(zone); }
uint32_t runs(Zone zone, uint32_t order) {
    const uint32_t* bits = set_bits[index(zone)];
    return bits[order] - (order + 1 < kLevels ? 2 * bits[order + 1] : 0);
}

enum : uint8_t { kNoRun = 0, kReserved = 1, kUsed = 100 };
uint8_t& tag(uint32_t frame) { return frame_table::info(FrameNumber(frame)).allocator_tag; }

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    const uint32_t end = frame_table::frame_count();
    for (const FrameRange range : reserved) {
        for (uint32_t frame = range.begin.value(); frame < std::min(range.end.value(), end); ++frame) tag(frame) = kReserved;
    }
    for (const FrameRange range : usable) {
        for (uint32_t frame = range.begin.value(); frame < range.end.value(); ++frame) {
            if (tag(frame) != kReserved) change_block(index(zone_of(FrameNumber(frame))), frame, 0, true);
        }
    }
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order > kMaxOrder) return Error::Unsupported;
    for (uint32_t i = index(zone) + 1; i-- > 0;) {
        if (set_bits[i][order.value()] == 0) continue;
        const uint32_t first = next_set(order.value(), zone_frames(Zone(i)).begin.value() >> order.value()) << order.value();
        change_block(i, first, order.value(), false);
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
    if (first.value() >= frame_table::frame_count()) return Error::NotAllocated;
    if (tag(first.value()) != kUsed + order.value()) return Error::NotAllocated;
    tag(first.value()) = kNoRun;
    if constexpr (CONFIG_MEMORY_DEBUGGING) {
        for (uint32_t i = 0; i < order.frames(); ++i) fill_frame(first + i, kFreedFramePoison);
    }
    change_block(index(zone_of(first)), first.value(), order.value(), true);
    return {};
}

size_t free_frames(Zone zone) { return set_bits[index(zone)][0]; }

Result<size_t> free_runs(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    return runs(zone, order.value());
}

Result<uint32_t> fragmentation(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    const uint32_t all = free_frames(zone);
    const uint32_t usable = set_bits[index(zone)][order.value()] << order.value();
    return all == 0 ? 0 : (all - usable) * 1000 / all;
}

} // namespace mm::frame_allocator
