/// @file
/// Copy-on-write: page table by page table, entries written directly.
#include "mm/fault/copy_on_write.h"

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

using fault::Decision;
using fault::How;

constexpr uint32_t kMarks = entry_bits::kAccessed | entry_bits::kDirty;

/// One past the last address of the 4 MiB that `address` lies in, or `end`.
VirtAddr end_of_slot(VirtAddr address, VirtAddr end) {
    const VirtAddr next(align_down(address.value(), kLargePageSize) + kLargePageSize);
    return next < end ? next : end;
}

bool has_pages(FrameNumber table, AddressRange range) {
    const FrameMemory memory = frame_memory(table);
    const Pte* entry = memory.as<Pte>() + range.begin.table_index();
    for (size_t i = 0; i < range.pages(); ++i) {
        if (entry[i].is_present()) return true;
    }
    return false;
}

/// The pages of one page table.
void share_entries(AddressSpace* child, FrameNumber from, FrameNumber to, AddressRange range) {
    const FrameMemory parents = frame_memory(from);
    const FrameMemory childs = frame_memory(to);
    size_t shown = 0;
    for (size_t i = range.begin.table_index(), end = i + range.pages(); i < end; ++i) {
        Pte& entry = parents.as<Pte>()[i];
        if (!entry.is_present()) continue;
        frames::share(entry.frame());
        entry = Pte::from_word(entry.word() & ~entry_bits::kWritable);
        childs.as<Pte>()[i] = Pte::from_word(entry.word() & ~kMarks);
        ++shown;
    }
    spaces::count_added_pages(child, shown);
}

Result<void> share_slot(AddressSpace* parent, AddressSpace* child, AddressRange range) {
    if (spaces::slot_contents(parent, range.begin) != spaces::SlotContents::PageTable) return {};
    const FrameNumber from = TRY(spaces::page_table_for(parent, range.begin));
    if (!has_pages(from, range)) return {};
    const FrameNumber to = TRY(spaces::page_table_for(child, range.begin));
    share_entries(child, from, to, range);
    return {};
}

} // namespace

Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area) {
    if (area.sharing == Sharing::Shared) return {};
    Result<void> result;
    for (VirtAddr at = area.range.begin; at < area.range.end && !result.is_error();) {
        const VirtAddr end = end_of_slot(at, area.range.end);
        result = share_slot(parent, child, {at, end});
        at = end;
    }
    if (spaces::directory(parent) == active_directory()) tlb::flush();
    return result;
}

Decision resolve_write(AddressSpace* space, const Area&, VirtAddr page) {
    const FrameNumber table = spaces::page_table_for(space, page).value();
    const FrameMemory memory = frame_memory(table);
    Pte& entry = memory.as<Pte>()[page.table_index()];
    const FrameNumber old = entry.frame();
    if (frame_table::info(old).references == 1) {
        entry = Pte::from_word(entry.word() | entry_bits::kWritable);
        tlb::invalidate_page(page);
        return fault::resolved(How::LastOwner);
    }
    const bool is_zero = old == spaces::zero_frame();
    const Result<FrameNumber> copy = frames::allocate(Zone::High, is_zero ? Contents::Zeroed : Contents::Unspecified);
    if (copy.is_error()) return fault::out_of_memory();
    if (!is_zero) copy_frame(copy.value(), old);
    entry = Pte::present(copy.value(), {Access::ReadWrite, Privilege::User, Scope::Local});
    tlb::invalidate_page(page);
    (void)frames::release(old);
    return fault::resolved(How::Copied);
}

} // namespace mm::copy_on_write
