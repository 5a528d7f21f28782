/// @file
/// How a page is used, as the CPU notes it in every page table entry that leads to its frame: what replacement decides by.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"

namespace mm::page_usage {

/// What all entries of a pageable frame say together.
struct Usage {
    size_t mappings;  ///< Entries that lead to it.
    bool accessed;
    bool dirty;       ///< Changed since it was last written to the swap area, also through an entry that has gone.
};
Usage of(FrameNumber frame);

/// Whether anybody has used the page since this was last asked. The accessed bits are cleared, and so are the TLB entries that would keep
/// the CPU from setting them again (Intel SDM 3A, 4.8 and 4.10.4.2).
bool test_and_clear_accessed(FrameNumber frame);

/// Whether the page must be written before its frame can be used for another; without a swap area, whether it cannot leave at all.
bool is_dirty(FrameNumber frame);

/// Writes a page to the swap area now; it stays in memory, and is clean if that worked.
/// @return whether it did
bool clean(FrameNumber frame);

/// The virtual time of the page's owner, in timer ticks in which it ran: of the process that shows it; of several, the greatest. 0 for a
/// page that nobody shows.
uint32_t owner_time(FrameNumber frame);

} // namespace mm::page_usage
