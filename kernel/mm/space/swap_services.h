/// @file
/// What the piece that swaps (mm/reclaim/swap.h) may ask of an address space. It keeps the books: areas, pages present and swapped, limits.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/paging/page_table.h"
#include "mm/paging/pte.h"
#include "mm/space/address_space.h"
#include "mm/space/areas.h"

namespace mm::spaces {

/// The slot that the page's entry names; SwapSlot(0) when the entry is no swap entry.
SwapSlot swap_entry(const AddressSpace* space, VirtAddr page);

/// One page that was present has a swap entry now: who wrote that entry says so here.
void count_swapped_out(AddressSpace* space);

/// One page that was present is empty now, though its area has it: an object's, whose frame leaves.
void count_hidden(AddressSpace* space);

/// Shows `frame` at `page`, which has a swap entry, and counts it. On success the caller's reference belongs to the page from now on, and the
/// frame is pageable.
/// @param access  at most what the area grants; ReadOnly in a private area unless nobody else has the frame
/// @return Error::LimitReached (resident pages). Nothing has changed then.
Result<void> show_swapped(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, Access access);

} // namespace mm::spaces
