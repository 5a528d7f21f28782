/// @file
/// Copy-on-write: fork() shares frames, and who writes first copies. **Contract of lab 07-cow** (file copy_on_write.cpp).
///
/// Every present page of the user range holds one reference of its frame (mm/physical/frame_table.h: `references`), and an object holds
/// one of each of its frames. So a count of 1 in a private area means: nobody else shows this frame, and it may be written.
///
///     before fork()          after                     the child writes         the parent writes
///     parent rw -> A (1)     parent r- -> A (2)        parent r- -> A (1)       parent rw -> A (1)   nothing copied: the last owner
///                            child  r- -> A (2)        child  rw -> B (1)
///
/// A private page may be writable in the page tables only while its frame has one reference. The kernel's own writes to user memory are
/// held to that as well: CR0.WP is on, so they fault like user code's.
///
/// All pages here are small: spaces::fork() takes large pages apart before it asks to share them.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/fault/decision.h"
#include "mm/space/areas.h"

namespace mm {

class AddressSpace;

namespace copy_on_write {

/// Shows in `child` what `parent` has present in `area`. The child has the same area already, and no page of it.
///
/// - **Private**: every present page shows the same frame in both, with one more reference, and is read-only in both. What was
///   read-only before stays so, and what user code could not reach stays out of its reach (the kernel's pages of an area that grants
///   nothing). No frame is copied. Who can write again, resolve_write() finds out.
/// - **Shared**: pages may be shown in the child as they are in the parent, with one more reference each; or left absent: the child's
///   first look finds them in the object. The parent's do not change.
///
/// The child gets page tables only where it gets pages: 4 MiB without a present page cost nothing. No translation of the parent that
/// still allows writing survives in the TLB (mm/paging/tlb.h). The accessed and dirty bits of the parent's entries stay; the child's
/// entries may have them, or begin without. Neither space need be active.
///
/// @return Error::OutOfMemory when there is no frame for a page table. What is there stays: the caller destroys the child, which drops
///         one reference for every page that is present in it. Pages of the parent may be read-only then; that costs a fault each.
Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area);

/// A write to a page that is present and read-only, in a private area that may be written.
///
/// - The frame has one reference: it becomes writable again (LastOwner). Nothing is copied or allocated.
/// - Others show it too, be it other processes, an object, or everybody (zero_frame()): the page gets a copy of its own, writable, and
///   gives its reference of the old frame back (Copied). A copy of zero_frame() is a zeroed frame.
///
/// The old translation is gone from the TLB afterwards.
/// @param area  of `space`; holds `page`
/// @param page  the begin of the page
/// @return OutOfMemory when there is no frame for the copy; nothing has changed then
fault::Decision resolve_write(AddressSpace* space, const Area& area, VirtAddr page);

} // namespace copy_on_write
} // namespace mm
