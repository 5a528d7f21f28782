/// Reference solution of lab 01-frames: what a kernel believes of the firmware's memory map.
///
/// Every entry begins and ends at some address. Between two neighbouring such addresses nothing changes: either all bytes
/// are memory, or none is. So one walk over these stretches, upward from 0, sees all of memory:
///
///     firmware    [ usable          )
///                             [ usable        )
///                       [ res )
///     stretches   |-----|-----|-----|---------|
///     memory       yes   no    yes   yes          -> two runs of bytes, the second of two stretches
///
/// A run of bytes becomes the frames that lie in it completely. 64 entries have at most 128 boundaries, and each
/// stretch asks every entry twice: cheap enough for once in a kernel's life, and nothing to sort or to store.
#include "mm/physical/memory_map.h"

namespace mm::memory_map {
namespace {

/// 32-bit page tables without PAE name addresses below 4 GiB (Intel SDM 3A, 4.3).
constexpr uint64_t kAddressEnd = uint64_t{1} << 32;

/// One past the entry's last byte. An entry that wraps past 2^64 is cut off there, everything at 4 GiB.
uint64_t end_of(const MemoryMapEntry& entry) {
    const uint64_t end = entry.base + entry.length;
    const bool wraps = end < entry.base;
    return wraps || end > kAddressEnd ? kAddressEnd : end;
}

/// Whether the byte at `address` is memory: some entry says so, and none says otherwise.
bool is_memory(std::span<const MemoryMapEntry> firmware, uint64_t address) {
    bool usable = false;
    for (const MemoryMapEntry& entry : firmware) {
        if (address < entry.base || address >= end_of(entry)) continue;
        if (entry.kind != MemoryKind::Usable) return false;
        usable = true;
    }
    return usable;
}

/// The first address above `address` at which an entry begins or ends.
uint64_t next_boundary(std::span<const MemoryMapEntry> firmware, uint64_t address) {
    uint64_t next = kAddressEnd;
    for (const MemoryMapEntry& entry : firmware) {
        if (entry.base > address && entry.base < next) next = entry.base;
        if (end_of(entry) > address && end_of(entry) < next) next = end_of(entry);
    }
    return next;
}

/// The frames that lie in the bytes [begin, end) with all of their bytes. May be empty, with begin past the end.
FrameRange whole_frames(uint64_t begin, uint64_t end) {
    const uint64_t first = (begin + kPageSize - 1) >> kPageShift;
    return {FrameNumber(static_cast<uint32_t>(first)), FrameNumber(static_cast<uint32_t>(end >> kPageShift))};
}

} // namespace

Result<size_t> sanitise(std::span<const MemoryMapEntry> firmware, std::span<FrameRange> usable) {
    size_t count = 0;
    uint64_t address = 0;
    while (address < kAddressEnd) {
        const uint64_t run_begin = address;
        while (address < kAddressEnd && is_memory(firmware, address)) address = next_boundary(firmware, address);
        const FrameRange frames = whole_frames(run_begin, address);
        if (frames.begin < frames.end) {
            if (count == usable.size()) return Error::OutOfMemory;
            usable[count++] = frames;
        }
        if (address < kAddressEnd) address = next_boundary(firmware, address);
    }
    return count;
}

} // namespace mm::memory_map
