/// @file
/// What load control (mm/reclaim/load_control.h) writes down about an address space.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mm {

class AddressSpace;

struct LoadNotes {
    uint32_t window_time = 0;   ///< CPU ticks that the space's process has run in this window, the swap area's disk not counted.
    uint32_t swap_ins = 0;      ///< Faults that brought a page back from the swap area, since the space was made.
    uint32_t swap_ins_before = 0;  ///< Of these, before the window.
    uint32_t left = 0;          ///< Pages used in this window that left memory in it.
    uint32_t working_set = 0;   ///< Pages, as estimated at the end of the last window.
    uint32_t fault_rate = 0;    ///< Swap-ins in a million of these ticks, in the last window.
    uint32_t turn_begin = 0;    ///< Timer tick when it was begun, held or let go.
    uint32_t last_time = 0;     ///< Timer ticks that its process had run up to the last sample.
    uint32_t holds = 0;         ///< How often it was held.
    bool is_held = false;       ///< Its process must not go back to user code.
};

namespace spaces {

/// Pages of the space that are in memory, large ones not counted, or in the swap area.
size_t present_and_swapped(const AddressSpace* space);

LoadNotes& load_notes(AddressSpace* space);
const LoadNotes& load_notes(const AddressSpace* space);
/// All spaces there are, one after the other; null behind the last.
AddressSpace* first_space();
AddressSpace* next_space(const AddressSpace* space);

} // namespace spaces
} // namespace mm
