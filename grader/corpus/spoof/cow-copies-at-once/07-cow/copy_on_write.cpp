/// @file
/// Copies every page when a process is made, and calls that copy-on-write.
#include "mm/fault/copy_on_write.h"

#include <algorithm>

#include "mm/paging/page_table.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"

namespace mm::copy_on_write {

namespace {

/// Gives the child copies of its own, at once.
Result<void> copy_table(AddressSpace* parent, AddressSpace* child, const Area& area, AddressRange range) {
    const FrameMemory from = frame_memory(TRY(spaces::page_table_for(parent, range.begin)));
    for (VirtAddr page = range.begin; page < range.end; page = page + kPageSize) {
        const Pte entry = from.as<Pte>()[page.table_index()];
        if (!entry.is_present()) continue;
        const FrameNumber frame = TRY(frames::allocate(Zone::High, Contents::Unspecified));
        copy_frame(frame, entry.frame());
        const Access access = area.protection.write ? Access::ReadWrite : Access::ReadOnly;
        const Result<void> added = spaces::add_page(child, area, page, frame, PageSize::Small, access);
        if (!added.is_error()) continue;
        (void)frames::release(frame);
        return added;
    }
    return {};
}

} // namespace

Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area) {
    if (area.sharing == Sharing::Shared) return {};
    for (VirtAddr slot = area.range.begin; slot < area.range.end;) {
        const VirtAddr end = std::min(VirtAddr(align_down(slot.value(), kLargePageSize)) + kLargePageSize, area.range.end);
        if (spaces::slot_contents(parent, slot) == spaces::SlotContents::PageTable) TRY(copy_table(parent, child, area, {slot, end}));
        slot = end;
    }
    if (spaces::directory(parent) == active_directory()) tlb::flush();
    return {};
}

fault::Decision resolve_write(AddressSpace* space, const Area&, VirtAddr page) {
    const PageDirectory directory = spaces::directory(space);
    const Result<Translation> seen = page_table::translate(directory, page);
    if (seen.is_error()) return fault::retry();
    constexpr Rights own{Access::ReadWrite, Privilege::User, Scope::Local};
    const FrameNumber old = FrameNumber::containing(seen.value().address);
    if (frame_table::info(old).references == 1) {
        (void)page_table::protect(directory, page, 1, own);
        return fault::resolved(fault::How::LastOwner);
    }
    const Result<FrameNumber> copy = frames::allocate(Zone::High, Contents::Unspecified);
    if (copy.is_error()) return fault::out_of_memory();
    copy_frame(copy.value(), old);
    (void)page_table::map(directory, page, copy.value(), 1, PageSize::Small, own);
    (void)frames::release(old);
    return fault::resolved(fault::How::Copied);
}

} // namespace mm::copy_on_write
