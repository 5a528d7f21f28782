/// @file
/// What lab 09's piece meets in the kernel, on the host: a swap area that lies in memory and fails where it is told to
/// (mm/reclaim/swap_area.h), the way from a frame to its page table entries (mm/space/reverse_map.h), and the books of spaces
/// (mm/space/swap_services.h). Spaces and page tables are those of host/cow_space.h.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "host/cow_space.h"
#include "mm/paging/pte.h"

namespace host {

/// The area from now on: so many slots, the header among them.
void make_swap_area(uint32_t slots, std::set<uint32_t> bad = {});

/// Commands that touch one of these slots fail as a whole; nothing of them happens.
struct DiskFaults {
    std::set<uint32_t> reads, writes;
};
DiskFaults& disk_faults();

/// Whether each word of a slot is this one.
bool slot_holds(uint32_t slot, uint32_t word);

/// reverse_map finds the pages of these spaces, from `begin` on so many.
void set_known_spaces(std::vector<mm::AddressSpace*> spaces, VirtAddr begin, size_t pages);

} // namespace host
