// A run of frames is aligned to its size, so one of at most 64 KiB never crosses a multiple of 64 KiB.
#include "mm/physical/dma.h"

#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace mm::dma {

namespace {

/// FrameInfo::link of a buffer's first frame, so that free() takes nothing else: its length, and this ("DMA!" in a dump).
constexpr uint32_t kIsBuffer = 0x21414D44;

static_assert(zone_frames(Zone::Dma).end.address().value() == kEnd);

/// The smallest run that holds so many bytes.
Order order_for(size_t bytes) {
    uint32_t order = 0;
    while ((kPageSize << order) < bytes) ++order;
    return Order(order);
}

bool is_buffer(const Buffer& buffer) {
    const FrameNumber first = FrameNumber::containing(buffer.physical);
    if (buffer.bytes == 0 || first.address() != buffer.physical || first.value() >= frame_table::frame_count()) return false;
    if (identity_address(first) != buffer.address) return false;
    const FrameInfo& info = frame_table::info(first);
    return info.use == FrameUse::Allocated && info.link[0] == buffer.bytes && info.link[1] == kIsBuffer;
}

} // namespace

Result<Buffer> allocate(size_t bytes) {
    if (bytes == 0) return Error::InvalidArgument;
    if (bytes > kBoundary) return Error::OutOfRange;
    const FrameNumber first = TRY(frames::allocate_run(order_for(bytes), Zone::Dma, Contents::Unspecified));
    FrameInfo& info = frame_table::info(first);
    info.link[0] = static_cast<uint32_t>(bytes);
    info.link[1] = kIsBuffer;
    return Buffer{first.address(), identity_address(first), bytes};
}

Result<void> free(const Buffer& buffer) {
    if (!is_buffer(buffer)) return Error::NotAllocated;
    const FrameNumber first = FrameNumber::containing(buffer.physical);
    frame_table::info(first).link[1] = 0;
    return frames::release_run(first, order_for(buffer.bytes));
}

} // namespace mm::dma
