// Free frames as bits, with two levels of summary: bit i of a level says that word i of the level below is not zero.
//
//     top      1024 bits, 32 words   (walked: 32 steps at most)
//     middle   32768 bits
//     bottom   2^20 bits, one per frame
//
// Each zone begins at a multiple of 1024 frames, so zones share no word of the two lower levels.
#include "mm/physical/frame_allocator.h"

#include <bit>

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint32_t kBits = 32;

constinit uint32_t bottom[kMaxFrames / kBits];
constinit uint32_t middle[kMaxFrames / kBits / kBits];
constinit uint32_t top[kMaxFrames / kBits / kBits / kBits];
constinit uint32_t ours[kMaxFrames / kBits];  // frames that initialize() made free: the only ones that can come and go
constinit size_t counts[kZoneCount];

void set(uint32_t* bits, uint32_t i) { bits[i / kBits] |= 1u << (i % kBits); }
void clear(uint32_t* bits, uint32_t i) { bits[i / kBits] &= ~(1u << (i % kBits)); }
bool test(const uint32_t* bits, uint32_t i) { return bits[i / kBits] >> (i % kBits) & 1; }

void set_free(uint32_t frame) {
    set(bottom, frame);
    set(middle, frame / kBits);
    set(top, frame / kBits / kBits);
    ++counts[static_cast<uint32_t>(zone_of(FrameNumber(frame)))];
}

void set_used(uint32_t frame) {
    clear(bottom, frame);
    if (bottom[frame / kBits] == 0) clear(middle, frame / kBits);
    if (middle[frame / kBits / kBits] == 0) clear(top, frame / kBits / kBits);
    --counts[static_cast<uint32_t>(zone_of(FrameNumber(frame)))];
}

uint32_t lowest(uint32_t word) { return static_cast<uint32_t>(std::countr_zero(word)); }

// The lowest free frame from `begin`, a multiple of 1024, on. There is one.
uint32_t find(uint32_t begin) {
    const uint32_t first = begin / kBits / kBits;
    uint32_t word = first / kBits;
    uint32_t bits = top[word] & (~0u << (first % kBits));
    while (bits == 0) bits = top[++word];
    const uint32_t m = word * kBits + lowest(bits);
    const uint32_t b = m * kBits + lowest(middle[m]);
    return b * kBits + lowest(bottom[b]);
}

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    for (FrameRange range : usable)
        for (FrameNumber frame = range.begin; frame < range.end; ++frame) set(ours, frame.value());
    for (FrameRange range : reserved)
        for (FrameNumber frame = range.begin; frame < range.end && frame.value() < kMaxFrames; ++frame) clear(ours, frame.value());
    for (uint32_t frame = 0; frame < frame_table::frame_count(); ++frame)
        if (test(ours, frame)) set_free(frame);
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order.value() != 0) return Error::Unsupported;
    for (int i = static_cast<int>(zone); i >= 0; --i) {
        if (counts[i] == 0) continue;
        const uint32_t frame = find(zone_frames(Zone(i)).begin.value());
        set_used(frame);
        if (contents == Contents::Zeroed) zero_frame(FrameNumber(frame));
        return FrameNumber(frame);
    }
    return Error::OutOfMemory;
}

Result<void> free(FrameNumber first, Order order) {
    if (order.value() != 0) return Error::Unsupported;
    const uint32_t frame = first.value();
    if (frame >= kMaxFrames || !test(ours, frame) || test(bottom, frame)) return Error::NotAllocated;
    if (CONFIG_MEMORY_DEBUGGING) fill_frame(first, kFreedFramePoison);
    set_free(frame);
    return {};
}

size_t free_frames(Zone zone) { return counts[static_cast<uint32_t>(zone)]; }

} // namespace mm::frame_allocator
