#include "mm/space/fault_services.h"

#include "lib/panic.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"
#include "mm/space/present_pages.h"
#include "mm/space/space.h"

namespace mm::spaces {

namespace {

constinit FrameNumber zeros{0};

/// A page table's entry for `address`.
Pte& entry_of(const FrameMemory& table, VirtAddr address) { return table.as<Pte>()[address.table_index()]; }

} // namespace

void initialize() {
    const Result<FrameNumber> frame = frames::allocate(Zone::Normal, Contents::Zeroed);
    if (frame.is_error()) PANIC("no memory for the frame of zeros");
    zeros = frame.value();
}

FrameNumber zero_frame() { return zeros; }

const Area* find_area(AddressSpace* space, VirtAddr address) {
    if (!space->last_area || !space->last_area->range.contains(address)) space->last_area = areas::find(space->areas, address);
    return space->last_area;
}

Result<void> grow_stack(AddressSpace* space, const Area& stack, VirtAddr begin) {
    Area below = stack;
    below.range = {begin, stack.range.begin};
    const size_t pages = below.range.pages();
    if (space->mapped + pages > space->limits.address_space) return Error::LimitReached;
    space->last_area = nullptr;
    TRY(areas::insert(space->areas, below));
    space->mapped += pages;
    if (grants_nothing(below.protection)) space->unreachable += pages;
    return {};
}

SlotContents slot_contents(const AddressSpace* space, VirtAddr address) {
    const Pde pde = directory_entry(space->directory, address);
    if (!pde.is_present()) return SlotContents::Empty;
    return pde.is_table() ? SlotContents::PageTable : SlotContents::LargePage;
}

Result<void> add_page(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, PageSize size, Access access) {
    const size_t pages = static_cast<uint32_t>(size) / kPageSize;
    if (space->resident + pages > space->limits.resident) return Error::LimitReached;
    Rights rights = rights_of(area.protection);
    if constexpr (CONFIG_MEMORY_DEBUGGING) KASSERT("a page that is shown was absent", !is_present(space->directory, page));
    KASSERT("a page grants no more than its area", access == Access::ReadOnly || rights.access == Access::ReadWrite);
    rights.access = access;
    TRY(page_table::map(space->directory, page, frame, 1, size, rights));
    space->resident += pages;
    space->large_pages += size == PageSize::Large;
    return {};
}

Result<FrameNumber> page_table_for(AddressSpace* space, VirtAddr address) {
    const Pde pde = directory_entry(space->directory, address);
    if (pde.is_table()) return pde.frame();
    KASSERT("where a large page is there is no page table", !pde.is_present());
    // Lab 02's piece makes page tables when it maps pages: one page, whose entry is emptied again.
    const VirtAddr page(align_down(address.value(), kPageSize));
    TRY(page_table::map(space->directory, page, zeros, 1, PageSize::Small, {Access::ReadWrite, Privilege::User, Scope::Local}));
    const FrameNumber table = directory_entry(space->directory, address).frame();
    entry_of(frame_memory(table), page) = Pte::empty();
    if (space->directory == active_directory()) tlb::invalidate_page(page);
    return table;
}

void count_added_pages(AddressSpace* space, size_t pages) { space->resident += pages; }

} // namespace mm::spaces
