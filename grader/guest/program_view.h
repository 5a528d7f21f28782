/// @file
/// What the guest knows about a process, in one place where the host reads it while the machine stands still (grader/labs/programs.py).
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/format.h"
#include "mm/fault/page_fault.h"
#include "mm/space/address_space.h"
#include "proc/process.h"

namespace programs_guest {

inline constexpr size_t kMaxAreas = 512;
inline constexpr size_t kMaxMapsBytes = 48 * 1024;

/// One area, every attribute a word.
struct AreaWords {
    uint32_t begin, end;
    uint32_t protection;  ///< Bit 0 read, 1 write, 2 execute.
    uint32_t kind;
    uint32_t sharing;
    uint32_t object;      ///< Its address, or 0: the same object, the same number.
    uint32_t first_page;
};

/// A process at one moment. programs.py reads the words in this order.
struct View {
    uint32_t pid;
    uint32_t directory;                                   ///< Frame number of the page directory.
    uint32_t execute_line, heap_begin, heap_end;
    uint32_t mapped, resident, shared, page_tables;       ///< SpaceStatistics.
    uint32_t frames_in_use;
    uint32_t zero_frame;                                  ///< What untouched private memory shows to a read.
    uint32_t area_count;                                  ///< All there are; the first kMaxAreas are shown.
    uint32_t maps_bytes;                                  ///< All there are; the first kMaxMapsBytes are shown.
    mm::fault::Counters faults;                           ///< The process's own.
    AreaWords areas[kMaxAreas];
    char maps[kMaxMapsBytes];
};

/// The latest one.
extern View view;

/// Fills in `view`. The process must have an address space.
void look_at(proc::Process& process);

/// The areas of a space. @return how many there are; the first `capacity` are written
size_t list_areas(const mm::AddressSpace* space, AreaWords* areas, size_t capacity);

/// The text of the maps. @return its length; the first `capacity` bytes are written
size_t write_maps(const mm::AddressSpace* space, char* text, size_t capacity);

} // namespace programs_guest
