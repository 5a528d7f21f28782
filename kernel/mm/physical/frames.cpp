#include "mm/physical/frames.h"

#include <cstdint>

#include "lib/panic.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frames {

namespace {

constexpr size_t kUnlimited = SIZE_MAX;
size_t allowed_allocations = kUnlimited; ///< What fail_after() left; kUnlimited outside of tests.
size_t frames_in_use = 0;

/// The allocator below may be a student's: a frame that it hands out twice is named here, where it happens.
FrameInfo& claim(FrameNumber frame) {
    KASSERT("the frame allocator hands out frames of memory", frame.value() < frame_table::frame_count());
    FrameInfo& info = frame_table::info(frame);
    KASSERT("the frame allocator hands out frames that nobody has", info.use == FrameUse::Free);
    return info;
}

} // namespace

Result<FrameNumber> allocate(Zone zone, Contents contents) {
    if (allowed_allocations == 0) return Error::OutOfMemory;
    const FrameNumber frame = TRY(frame_allocator::allocate(Order(0), zone, contents));
    FrameInfo& info = claim(frame);
    info.use = FrameUse::Allocated;
    info.references = 1;
    ++frames_in_use;
    if (allowed_allocations != kUnlimited) --allowed_allocations;
    return frame;
}

Result<void> release(FrameNumber frame) {
    if (frame.value() >= frame_table::frame_count()) return Error::NotAllocated;
    FrameInfo& info = frame_table::info(frame);
    if (info.use != FrameUse::Allocated || info.references == 0 || info.order != 0) return Error::NotAllocated;
    if (--info.references > 0) return {};
    info.use = FrameUse::Free;
    --frames_in_use;
    return frame_allocator::free(frame, Order(0));
}

void share(FrameNumber frame) {
    FrameInfo& info = frame_table::info(frame);
    KASSERT("only an allocated frame gets another owner", info.use == FrameUse::Allocated);
    ++info.references;
}

Result<FrameNumber> allocate_reserve(Zone zone, Contents contents) { return allocate(zone, contents); }

Result<FrameNumber> allocate_run(Order order, Zone zone, Contents contents) {
    if (allowed_allocations == 0) return Error::OutOfMemory;
    const FrameNumber first = TRY(frame_allocator::allocate(order, zone, contents));
    for (uint32_t i = 0; i < order.frames(); ++i) claim(first + i).use = FrameUse::Allocated;
    frame_table::info(first).references = 1;
    frame_table::info(first).order = static_cast<uint8_t>(order.value());
    frames_in_use += order.frames();
    if (allowed_allocations != kUnlimited) --allowed_allocations;
    return first;
}

Result<void> release_run(FrameNumber first, Order order) {
    if (first.value() >= frame_table::frame_count()) return Error::NotAllocated;
    FrameInfo& info = frame_table::info(first);
    if (info.use != FrameUse::Allocated || info.references == 0 || info.order != order.value()) return Error::NotAllocated;
    if (--info.references > 0) return {};
    info.order = 0;
    for (uint32_t i = 0; i < order.frames(); ++i) frame_table::info(first + i).use = FrameUse::Free;
    frames_in_use -= order.frames();
    return frame_allocator::free(first, order);
}

size_t in_use() { return frames_in_use; }
void fail_after(size_t count) { allowed_allocations = count; }
void fail_never() { allowed_allocations = kUnlimited; }

} // namespace mm::frames

namespace mm::pages {

Result<void*> allocate(Order order, Contents contents) {
    return identity_address(TRY(frames::allocate_run(order, Zone::Normal, contents)));
}

Result<void*> get_free_page(Contents contents) { return identity_address(TRY(frames::allocate(Zone::Normal, contents))); }

Result<void> free(void* address, Order order) {
    if (!is_identity_address(address) || address_of(address).page_offset() != 0) return Error::NotAllocated;
    return frames::release_run(identity_frame(address), order);
}

} // namespace mm::pages
