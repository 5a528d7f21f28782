/// @file
/// What the guest knows about the swap area's slots, in one place where the host reads it while the machine stands still
/// (grader/labs/swap_state.py). Page tables, frames, their counts, and the swap disk the host reads by itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/numbered_spaces.h"

namespace slot_guest {

inline constexpr size_t kSlots = 1024;   ///< The host's areas have fewer.
inline constexpr size_t kPages = 48;     ///< Numbered pages of a script: entries or frames that no space has.
inline constexpr size_t kPicked = 256;   ///< Pages that leave with one swap_out().

/// The host reads the words in this order.
struct View {
    uint32_t frames_in_use;  ///< After the heap has given back what it does not need.
    uint32_t zero_frame;
    uint32_t strays;         ///< Frames for which slot_of() says a slot that the area does not have.
    uint32_t statistics[8];  ///< swap::Statistics.
    struct Space {
        uint32_t directory;  ///< Frame number; 0 when there is no such space.
        uint32_t resident, swapped;   ///< As the space counts them.
    } spaces[numbered_spaces::kSpaces];
    uint32_t pages[kPages];  ///< Of numbered pages: frame number, 0 without one.
    struct Slot {
        uint32_t entries;    ///< swap::entries().
        uint32_t copies;     ///< For how many frames slot_of() says this slot.
        uint32_t copy;       ///< The latest of these.
        uint32_t held;       ///< swap::holds() of it.
    } slots[kSlots];
};

/// The latest one.
extern View view;

} // namespace slot_guest
