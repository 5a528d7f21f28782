/// @file
/// A machine, booted up to the point where a piece takes over.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "lib/address.h"
#include "mm/physical/zone.h"

namespace host {

/// What the machine has. Frames below kMemoryBegin and from kMemoryEnd on cannot be had.
struct Machine {
    std::vector<FrameRange> memory;    ///< As sanitise() would say it: sorted, disjoint.
    std::vector<FrameRange> reserved;  ///< In any order, and as wild as initialize() must stand.
};

/// The frames from byte address `begin` up to `end`, both multiples of 4096.
constexpr FrameRange bytes(uint32_t begin, uint32_t end) { return {FrameNumber(begin / kPageSize), FrameNumber(end / kPageSize)}; }

/// Memory in all three zones, with odd ends and a hole; 25 MiB in all.
Machine ordinary_machine();

/// Makes the memory, the frame table (classified) and the kernel's page directory, each in frames that are reserved then. Reserved
/// frames that hold none of these are forbidden (arena.h). Once in a process: what a piece remembers cannot be taken back.
void boot(const Machine& machine);

/// What frame_allocator::initialize() gets.
std::span<const FrameRange> usable();
std::span<const FrameRange> reserved();

/// Whether the frame is memory that nobody has reserved.
bool is_free_at_boot(FrameNumber frame);
/// All such frames of a zone, lowest first.
std::vector<FrameNumber> free_at_boot(mm::Zone zone);

/// Temporary mappings of High frames: how many there are now, and how many there were at one time at most.
size_t temporary_mappings();
size_t most_temporary_mappings();

} // namespace host
