/// @file
/// Has the kernel do the work.
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

namespace mm::spaces {
Result<void> copy_into(AddressSpace* space, VirtAddr to, const void* from, size_t bytes);
}

namespace mm::copy_on_write {

namespace {

/// The kernel makes pages and copies.
Result<void> copy_table(AddressSpace* parent, AddressSpace* child, AddressRange range) {
    for (VirtAddr page = range.begin; page < range.end; page = page + kPageSize) {
        const Result<Translation> seen = page_table::translate(spaces::directory(parent), page);
        if (seen.is_error()) continue;
        TRY(spaces::copy_into(child, page, frame_memory(FrameNumber::containing(seen.value().address)).as<void>(), kPageSize));
    }
    return {};
}

} // namespace

Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area) {
    if (area.sharing == Sharing::Shared) return {};
    for (VirtAddr slot = area.range.begin; slot < area.range.end;) {
        const VirtAddr end = std::min(VirtAddr(align_down(slot.value(), kLargePageSize)) + kLargePageSize, area.range.end);
        if (spaces::slot_contents(parent, slot) == spaces::SlotContents::PageTable) TRY(copy_table(parent, child, {slot, end}));
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
