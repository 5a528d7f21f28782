/// @file
/// What the pieces that resolve page faults (mm/fault/demand.h, mm/fault/copy_on_write.h) may ask of an address space. It keeps the books:
/// areas, pages present, limits.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/paging/page_table.h"
#include "mm/space/address_space.h"
#include "mm/space/areas.h"

namespace mm::spaces {

/// The frame of zeros that every untouched page may show, read-only. The kernel holds a reference of it for ever, and each page that
/// shows it one more (frames::share()).
FrameNumber zero_frame();

/// As areas::find(), and quicker for the same area again: faults come in flocks. Valid until an area changes.
const Area* find_area(AddressSpace* space, VirtAddr address);

/// Moves the begin of a stack's area down to `begin`, a page boundary below it; what lies between must be free. `stack` and all other
/// pointers to areas are stale afterwards.
/// @return Error::LimitReached (pages in areas), OutOfMemory. Nothing has changed then.
Result<void> grow_stack(AddressSpace* space, const Area& stack, VirtAddr begin);

/// What the page directory says about the 4 MiB that `address` lies in: nothing, a page table, or a large page.
enum class SlotContents : uint8_t { Empty, PageTable, LargePage };
SlotContents slot_contents(const AddressSpace* space, VirtAddr address);

/// What the CPU would find for a page, whoever asks: nothing, a page for reading, or one for writing as well. Nothing as well for a page
/// that is in the swap area, but its contents are not lost: the dispatcher brings a page back before it asks what its fault means, and its
/// neighbours stay as they are.
enum class PageState : uint8_t { Absent, ReadOnly, Writable, Swapped };
PageState page_state(const AddressSpace* space, VirtAddr address);

/// Shows `frame` (PageSize::Large: the run of 1024 that begins there) at `page`, which is absent and lies in `area`, and counts it.
/// On success the caller's reference belongs to the page from now on.
/// @param access  at most what the area grants
/// @return Error::LimitReached (resident pages), OutOfMemory (a page table), Exists (the page is in the swap area). Nothing has changed
///         then, and the reference is still the caller's.
Result<void> add_page(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, PageSize size, Access access);

/// The page table for the 4 MiB that `address` lies in, made if there is none; there must be no large page. Who shares many pages at once
/// writes their entries himself (mm/paging/pte.h, mm/physical/frame_memory.h), and says so with count_added_pages(): the way to show
/// one is add_page(). The directory's entry allows all that an entry of the table may say.
/// @return Error::OutOfMemory
Result<FrameNumber> page_table_for(AddressSpace* space, VirtAddr address);

/// So many more pages are present, written into page tables by the caller, with a reference each.
void count_added_pages(AddressSpace* space, size_t pages);

} // namespace mm::spaces
