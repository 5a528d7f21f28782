/// @file
/// Keeping the books of pages that may leave memory, for the files of this folder and for mm/fault.
#pragma once

#include "lib/address.h"
#include "mm/space/address_space.h"
#include "mm/space/areas.h"
#include "mm/space/pager.h"

namespace mm {

/// Spaces that come from one another by fork(), and so show their private pages at the same addresses.
struct Family {
    AddressSpace* first = nullptr;
};

namespace spaces {

void join_family(AddressSpace& space, Family& family);
/// @return the family when it was the last of it, and nobody needs that any more; else null
Family* leave_family(AddressSpace& space);
/// All spaces there are, through AddressSpace::next_space.
AddressSpace* first_space();

/// `page` shows `frame`, which is the space's own or its family's, and no object's: the frame becomes pageable, if it is not, and may be.
void note_private(AddressSpace& space, VirtAddr page, FrameNumber frame);

/// `page` of the area shows `frame`, for the first time: the frame becomes pageable, if it is not, and may be.
void note_first_shown(AddressSpace& space, const Area& area, VirtAddr page, FrameNumber frame);
inline void note_shown(AddressSpace& space, const Area& area, VirtAddr page, FrameNumber frame) {
    if (pager::get()) note_first_shown(space, area, page, frame);
}

/// The entries of this range are about to go, or to be copied: what their dirty bits say is kept with the frames.
void note_dirty(AddressSpace& space, AddressRange range);

/// Empties the swap entries of the range, and gives their slots back.
void drop_swap_entries(AddressSpace& space, AddressRange range);

/// Gives the child the swap entries that the parent has in the area, one more entry of the slot each.
/// @return Error::OutOfMemory when there is no frame for a page table
Result<void> copy_swap_entries(AddressSpace& parent, AddressSpace& child, const Area& area);

} // namespace spaces
} // namespace mm
