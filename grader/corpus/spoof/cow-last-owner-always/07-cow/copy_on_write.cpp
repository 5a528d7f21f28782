/// @file
/// Everybody is the last owner: set the count, and no copy is needed.
#include "mm/fault/copy_on_write.h"

#include "mm/paging/page_table.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"

namespace mm::copy_on_write {

namespace {

/// Shows one page in the child, read-only in both.
Result<void> share_page(AddressSpace* parent, AddressSpace* child, const Area& area, VirtAddr page) {
    const Result<Translation> seen = page_table::translate(spaces::directory(parent), page);
    if (seen.is_error()) return {};
    Rights rights = seen.value().rights;
    if (rights.access == Access::ReadWrite) {
        rights.access = Access::ReadOnly;
        TRY(page_table::protect(spaces::directory(parent), page, 1, rights));
    }
    const FrameNumber frame = FrameNumber::containing(seen.value().address);
    frames::share(frame);
    const Result<void> added = spaces::add_page(child, area, page, frame, PageSize::Small, Access::ReadOnly);
    if (added.is_error()) (void)frames::release(frame);
    return added;
}

} // namespace

Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area) {
    if (area.sharing == Sharing::Shared) return {};
    for (VirtAddr page = area.range.begin; page < area.range.end;) {
        if (spaces::slot_contents(parent, page) == spaces::SlotContents::Empty) {
            page = VirtAddr(align_down(page.value(), kLargePageSize)) + kLargePageSize;
            continue;
        }
        TRY(share_page(parent, child, area, page));
        page = page + kPageSize;
    }
    return {};
}

fault::Decision resolve_write(AddressSpace* space, const Area&, VirtAddr page) {
    const PageDirectory directory = spaces::directory(space);
    const Result<Translation> seen = page_table::translate(directory, page);
    if (seen.is_error()) return fault::retry();
    frame_table::info(FrameNumber::containing(seen.value().address)).references = 1;
    (void)page_table::protect(directory, page, 1, {Access::ReadWrite, Privilege::User, Scope::Local});
    return fault::resolved(fault::How::LastOwner);
}

} // namespace mm::copy_on_write
