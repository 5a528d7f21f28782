/// @file
/// Physical memory before there is an allocator: what the firmware said, what is taken, and the frames that the kernel takes
/// for itself while booting. Frames taken here are never given back.
#pragma once

#include <cstddef>
#include <span>

#include "lib/address.h"
#include "mm/physical/memory_map.h"

namespace mm::boot_memory {

/// Reserved ranges are few: BIOS, image, modules, frame table, page tables, stack.
inline constexpr size_t kMaxReserved = 32;

/// The frames that are memory but not free, in the order of their reservation. The grader reads these two by name.
extern FrameRange reserved_frames[kMaxReserved];
extern size_t reserved_count;

/// Keeps a copy of the firmware's entries and has them sanitised (lab 01's first half). Panics when what comes back is not a
/// sorted list of disjoint ranges, since nothing could be built on it.
void discover(std::span<const MemoryMapEntry> firmware);

/// Marks frames as taken. `what` names the owner in reports.
void reserve(FrameRange frames, const char* what);

/// Marks the frames that hold the bytes [begin, begin + length) as taken.
void reserve_bytes(PhysAddr begin, uint32_t length, const char* what);

/// Takes `count` frames in a row from identity-mapped memory, the lowest that are usable and not reserved. Panics when there
/// are none: the machine is too small.
FrameRange take(size_t count, const char* what);

/// The firmware's entries as they came.
std::span<const MemoryMapEntry> firmware();
/// What sanitise() made of them.
std::span<const FrameRange> usable();
/// All reserved ranges.
std::span<const FrameRange> reserved();
/// Who the i-th reserved range belongs to.
const char* reserved_name(size_t i);
/// One past the last usable frame.
FrameNumber end_of_memory();

} // namespace mm::boot_memory
