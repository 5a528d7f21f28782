/// @file
/// What the guest knows about the numbered spaces, in one place where the host reads it while the machine stands still
/// (grader/labs/cow_state.py). Page tables, frames and their counts the host reads by itself.
#pragma once

#include <cstdint>

#include "guest/numbered_spaces.h"

namespace cow_guest {

/// The host reads the words in this order.
struct View {
    uint32_t frames_in_use;  ///< After the heap has given back what it does not need.
    uint32_t zero_frame;
    struct Space {
        uint32_t directory;  ///< Frame number; 0 when there is no such space.
        uint32_t resident;   ///< As the space counts it.
    } spaces[numbered_spaces::kSpaces];
};

/// The latest one.
extern View view;

} // namespace cow_guest
