/// @file
/// Who can give memory back when it is short. A floor above (heap, vmalloc, later the page cache) registers here; the frame
/// allocator's caller below asks, and knows none of them by name.
#pragma once

#include <cstddef>

namespace mm {

/// One giver. Called in the middle of an allocation, so it must not allocate frames itself.
struct Shrinker {
    const char* name;                ///< For reports.
    size_t (*shrink)();              ///< Gives back what it can spare; returns how many frames that was.
};

namespace shrinkers {

/// Adds one. At most eight; asked in the order of their registration, cheap ones should come first.
void add(Shrinker shrinker);

/// Asks all of them once. A call from within a shrinker does nothing.
/// @return frames given back
size_t shrink_all();

} // namespace shrinkers
} // namespace mm
