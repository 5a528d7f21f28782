/// @file
/// The firmware's map of physical memory, and what a kernel may believe of it. **Contract of lab 01-frames** (file
/// memory_map.cpp).
///
/// Firmware (the BIOS's INT 15h AX=E820h; here the boot loader's copy of it, Multiboot 1 section 3.3) describes memory as a
/// list of entries. Real lists come unsorted, unaligned, overlapping, empty, and with lengths that wrap past 2^64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"
#include "lib/result.h"

namespace mm {

/// The type field of a firmware entry. Every value that is not Usable, known or unknown, means "do not touch".
enum class MemoryKind : uint32_t {
    Usable = 1,
    Reserved = 2,
    AcpiReclaimable = 3,
    AcpiNonVolatile = 4,
    Bad = 5,
};

/// One entry as the firmware gave it. Nothing is known to be sane: `base + length` may exceed 2^64.
struct MemoryMapEntry {
    uint64_t base;    ///< First byte's physical address.
    uint64_t length;  ///< Bytes; 0 means the entry says nothing.
    MemoryKind kind;
};

namespace memory_map {

/// At most this many entries are ever passed to sanitise() and this many ranges asked back.
inline constexpr size_t kMaxEntries = 64;

/// Turns the firmware's entries into the list of frames that are memory.
///
/// A frame is usable when **every** byte of it lies in some Usable entry (two entries may share a frame and cover it
/// together) and **no** byte of it lies in an entry of any other kind: where entries disagree, the more careful one wins.
/// An entry that wraps past 2^64 is cut off there. Memory at or above 4 GiB is ignored: 32-bit page tables without PAE
/// cannot name it. Frame 0 needs no special care here: initialize() gets it as reserved.
///
/// @param firmware  0 to kMaxEntries entries in any order
/// @param usable    where the ranges go: sorted, not empty, neither overlapping nor touching (adjacent ranges are merged)
/// @return how many ranges were written; Error::OutOfMemory when `usable` is too small (its contents are then unspecified)
Result<size_t> sanitise(std::span<const MemoryMapEntry> firmware, std::span<FrameRange> usable);

} // namespace memory_map
} // namespace mm
