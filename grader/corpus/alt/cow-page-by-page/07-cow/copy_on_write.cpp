/// @file
/// Copy-on-write through other people's functions alone: translate() and protect() of lab 02, add_page() of the address space. No entry is
/// touched by hand, and what the TLB remembers is lab 02's business.
#include "mm/fault/copy_on_write.h"

#include "mm/paging/page_table.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"

namespace mm::copy_on_write {

namespace {

Result<void> share_page(AddressSpace* parent, AddressSpace* child, const Area& area, VirtAddr page) {
    const PageDirectory directory = spaces::directory(parent);
    const Result<Translation> seen = page_table::translate(directory, page);
    if (seen.is_error()) return {};
    Rights rights = seen.value().rights;
    if (rights.access == Access::ReadWrite) {
        rights.access = Access::ReadOnly;
        TRY(page_table::protect(directory, page, 1, rights));
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
    VirtAddr page = area.range.begin;
    while (page < area.range.end) {
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
    Rights rights = seen.value().rights;
    rights.access = Access::ReadWrite;
    const FrameNumber old = FrameNumber::containing(seen.value().address);
    if (frame_table::info(old).references == 1) {
        (void)page_table::protect(directory, page, 1, rights);
        return fault::resolved(fault::How::LastOwner);
    }
    const Result<FrameNumber> copy = frames::allocate(Zone::High, Contents::Unspecified);
    if (copy.is_error()) return fault::out_of_memory();
    copy_frame(copy.value(), old); // zeros, too
    (void)page_table::map(directory, page, copy.value(), 1, PageSize::Small, rights);
    (void)frames::release(old);
    return fault::resolved(fault::How::Copied);
}

} // namespace mm::copy_on_write
