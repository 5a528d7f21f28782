#include "mm/physical/frame_memory.h"

#include "lib/memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/zone.h"

namespace mm {

namespace {
TemporaryMapper temporary;
}

void set_temporary_mapper(TemporaryMapper mapper) { temporary = mapper; }

namespace temporary_memory {

void* map(FrameNumber frame) { return temporary.map(frame); }
void unmap(void* address) { temporary.unmap(address); }

} // namespace temporary_memory

void* identity_address(FrameNumber frame) {
    const uint32_t address = frame.address().value();
    return frame < zone_frames(Zone::Normal).end ? pointer_to<void>(VirtAddr(address)) : nullptr;
}

FrameNumber identity_frame(const void* address) { return FrameNumber::containing(PhysAddr(address_of(address).value())); }

bool is_identity_address(const void* address) {
    return address_of(address).value() < kIdentityEnd && identity_frame(address).value() < frame_table::frame_count();
}

void fill_frame(FrameNumber frame, uint32_t word, size_t from) {
    const FrameMemory memory = frame_memory(frame);
    const size_t first = from / sizeof(uint32_t);
    fill_words(memory.as<uint32_t>() + first, word, kPageSize / sizeof(uint32_t) - first);
}

void copy_frame(FrameNumber to, FrameNumber from) {
    const FrameMemory target = frame_memory(to);
    const FrameMemory source = frame_memory(from);
    memcpy(target.as<void>(), source.as<void>(), kPageSize);
}

} // namespace mm
