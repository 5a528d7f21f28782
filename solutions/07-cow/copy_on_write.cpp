/// @file
/// Copy-on-write: the reference of lab 07-cow. The contract is mm/fault/copy_on_write.h.
///
/// Page table entries are read and written here, not through page_table::, which would walk both levels for each page. The rule that
/// everything follows from: present in the page table is one reference of the frame, whenever a function returns.
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

using fault::Decision, fault::How;

constexpr Rights kOwn{Access::ReadWrite, Privilege::User, Scope::Local};

VirtAddr slot_end(VirtAddr address, VirtAddr end) {
    const VirtAddr next = VirtAddr(align_down(address.value(), kLargePageSize)) + kLargePageSize;
    return std::min(next, end);
}

Pte with_write(Pte entry) { return Pte::from_word(entry.word() | entry_bits::kWritable); }
Pte without_write(Pte entry) { return Pte::from_word(entry.word() & ~entry_bits::kWritable); }

/// An entry for somebody else: the CPU has noted nothing in it yet.
Pte fresh(Pte entry) { return Pte::from_word(entry.word() & ~(entry_bits::kAccessed | entry_bits::kDirty)); }

bool any_present(const Pte* begin, const Pte* end) {
    return std::any_of(begin, end, [](Pte entry) { return entry.is_present(); });
}

/// Shares the pages of one page table. @return how many of the parent's entries allowed writing
Result<size_t> share_table(AddressSpace* parent, AddressSpace* child, AddressRange range) {
    const FrameMemory from = frame_memory(TRY(spaces::page_table_for(parent, range.begin)));
    Pte* const begin = from.as<Pte>() + range.begin.table_index();
    Pte* const end = begin + range.pages();
    if (!any_present(begin, end)) return size_t{0};
    const FrameMemory table = frame_memory(TRY(spaces::page_table_for(child, range.begin)));
    Pte* to = table.as<Pte>() + range.begin.table_index();
    size_t writable = 0, shared = 0;
    for (Pte* entry = begin; entry < end; ++entry, ++to) {
        if (!entry->is_present()) continue;
        frames::share(entry->frame());
        writable += (entry->word() & entry_bits::kWritable) != 0;
        *entry = without_write(*entry);
        *to = fresh(*entry);
        ++shared;
    }
    spaces::count_added_pages(child, shared);
    return writable;
}

} // namespace

Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area) {
    if (area.sharing == Sharing::Shared) return {};
    size_t writable = 0;
    Result<void> result;
    for (VirtAddr slot = area.range.begin; slot < area.range.end && !result.is_error(); slot = slot_end(slot, area.range.end)) {
        if (spaces::slot_contents(parent, slot) != spaces::SlotContents::PageTable) continue;
        const Result<size_t> shared = share_table(parent, child, {slot, slot_end(slot, area.range.end)});
        if (shared.is_error()) result = shared.error();
        else writable += shared.value();
    }
    if (writable > 0 && spaces::directory(parent) == active_directory()) tlb::flush();
    return result;
}

Decision resolve_write(AddressSpace* space, const Area&, VirtAddr page) {
    const Result<FrameNumber> table = spaces::page_table_for(space, page);
    if (table.is_error()) return fault::out_of_memory();
    const FrameMemory memory = frame_memory(table.value());
    Pte& entry = memory.as<Pte>()[page.table_index()];
    if (!entry.is_present()) return fault::retry();
    const FrameNumber old = entry.frame();
    if (frame_table::info(old).references == 1) {
        entry = with_write(entry);
        tlb::invalidate_page(page);
        return fault::resolved(How::LastOwner);
    }
    const bool is_zero = old == spaces::zero_frame();
    const Result<FrameNumber> copy = frames::allocate(Zone::High, is_zero ? Contents::Zeroed : Contents::Unspecified);
    if (copy.is_error()) return fault::out_of_memory();
    if (!is_zero) copy_frame(copy.value(), old);
    entry = Pte::present(copy.value(), kOwn);
    tlb::invalidate_page(page);
    (void)frames::release(old);
    return fault::resolved(How::Copied);
}

} // namespace mm::copy_on_write
