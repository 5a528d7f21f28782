/// @file
/// Keeping the books of pages that may leave memory, for the files of this folder and for mm/fault.
#pragma once

#include "lib/address.h"
#include "mm/paging/pte.h"
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

/// `page` shows `frame`, which is the space's own or its family's, and no object's: the frame becomes pageable, if it is not, and may be.
void note_private(AddressSpace& space, VirtAddr page, FrameNumber frame);

/// `page` of the area shows `frame`, for the first time: the frame becomes pageable, if it is not, and may be.
void note_first_shown(AddressSpace& space, const Area& area, VirtAddr page, FrameNumber frame);
inline void note_shown(AddressSpace& space, const Area& area, VirtAddr page, FrameNumber frame) {
    if (pager::get()) note_first_shown(space, area, page, frame);
}

/// The page of the area shows a copy, made a moment ago, of a page of its object: the original has become pageable as well, though
/// nobody may ever show it.
void note_original(const Area& area, VirtAddr page);

/// The entries of this range are about to go, or to change or to be copied by a piece: what their dirty bits say is kept with the frames.
void note_dirty(AddressSpace& space, AddressRange range);

/// Empties the swap entries of the range, and gives their slots back.
void drop_swap_entries(AddressSpace& space, AddressRange range);

/// Whether the space may show no more pages (SpaceLimits::resident).
bool is_full(const AddressSpace* space);

/// What give_one_page() needs of the floors above.
struct PageTaker {
    /// Whether a present page's accessed bit was set. It is clear then, and whoever else wants to know of the use still does.
    bool (*was_used)(Pte& entry);
    /// Takes a pageable frame out of memory, and says whether it could.
    bool (*take)(FrameNumber frame);
};

/// Takes a page of the space by second chance, for who must keep within a limit of its own: from where the last one was found on, the first that
/// was not accessed meanwhile. Large pages are split on the way; one that shows the frame of zeros just goes.
/// @return whether a page has gone
bool give_one_page(AddressSpace& space, const PageTaker& taker);

/// Large pages of all spaces.
size_t large_pages_everywhere();

/// Splits a large page of some space, so that what is in it becomes pageable. The page table may be one of the last frames.
/// @return whether there was one
bool split_some_large_page();
/// The same for one space.
bool split_one_of(AddressSpace& space);

/// Gives the child the swap entries that the parent has in the area, one more entry of the slot each.
/// @return Error::OutOfMemory when there is no frame for a page table
Result<void> copy_swap_entries(AddressSpace& parent, AddressSpace& child, const Area& area);

} // namespace spaces
} // namespace mm
