#include "mm/physical/frames.h"

#include <cstdint>

#include "lib/panic.h"
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
    if (info.use != FrameUse::Allocated) return Error::NotAllocated;
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

size_t in_use() { return frames_in_use; }
void fail_after(size_t count) { allowed_allocations = count; }
void fail_never() { allowed_allocations = kUnlimited; }

} // namespace mm::frames
