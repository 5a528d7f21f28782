/// @file
/// How much the machine would gain by the end of a process: what the choice of a victim rests on when there is no memory left. Who the processes
/// are, and which of them may be chosen, is for kernel/proc/oom.h.
///
/// The score is resident pages + pages in the swap area + frames of page tables: what the process has made the machine give, wherever it
/// lies now. It is not what it was promised (who only asks for much does no harm), and not how long it has run. (Linux's oom_badness()
/// counts the same three.)
#pragma once

#include <cstddef>

#include "mm/space/address_space.h"

namespace mm::oom {

/// In pages or frames.
struct Size {
    size_t resident = 0, swapped = 0, page_tables = 0;

    constexpr size_t score() const { return resident + swapped + page_tables; }
};
Size size_of(const AddressSpace* space);

/// What there is at the moment.
struct Remains {
    size_t free_frames;  ///< At hand in all zones, the last ones below the watermarks included.
    size_t slots;        ///< Of the swap area; 0 without one.
    size_t free_slots;
};
Remains remains();

} // namespace mm::oom
