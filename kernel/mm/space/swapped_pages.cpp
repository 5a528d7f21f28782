// Swap entries in the page tables of a space: pages that are in the swap area.
#include "lib/panic.h"
#include "mm/object/swap_store.h"
#include "mm/paging/page_table.h"
#include "mm/space/fault_services.h"
#include "mm/space/pageable.h"
#include "mm/space/present_pages.h"
#include "mm/space/space.h"
#include "mm/space/swap_services.h"

namespace mm::spaces {

namespace {

/// Nothing to look for in most spaces.
template <typename Visit, typename TableDone>
void for_each_swapped(const AddressSpace& space, AddressRange range, Visit visit, TableDone table_done) {
    if (space.swapped > 0) for_each_swapped(space.directory, range, visit, table_done);
}

} // namespace

void drop_swap_entries(AddressSpace& space, AddressRange range) {
    for_each_swapped(
        space, range,
        [](VirtAddr, Pte& entry) {
            swap_store::get().release(entry.slot());
            entry = Pte::empty();
        },
        [&](VirtAddr slot, size_t count) {
            space.swapped -= count;
            // A page table that is empty now goes with the next unmap() in it. The first page may be present: another, then.
            if (!is_present(space.directory, slot))
                KASSERT("to unmap a page that is absent needs no memory", !page_table::unmap(space.directory, slot, 1).is_error());
        });
}

Result<void> copy_swap_entries(AddressSpace& parent, AddressSpace& child, const Area& area) {
    Result<void> result;
    for_each_swapped(
        parent, area.range,
        [&](VirtAddr page, Pte& entry) {
            if (result.is_error()) return;
            const Result<FrameNumber> table = page_table_for(&child, page);
            if (table.is_error()) {
                result = table.error();
                return;
            }
            frame_memory(table.value()).as<Pte>()[page.table_index()] = entry;
            swap_store::get().share(entry.slot());
            ++child.swapped;
        },
        [](VirtAddr, size_t) {});
    return result;
}

SwapSlot swap_entry(const AddressSpace* space, VirtAddr page) {
    if (space->swapped == 0) return SwapSlot(0);
    const Pde pde = directory_entry(space->directory, page);
    if (!pde.is_table()) return SwapSlot(0);
    const Pte entry = frame_memory(pde.frame()).as<Pte>()[page.table_index()];
    return entry.is_swapped() ? entry.slot() : SwapSlot(0);
}

void count_swapped_out(AddressSpace* space) {
    --space->resident;
    ++space->swapped;
}

void count_hidden(AddressSpace* space) { --space->resident; }

Result<void> show_swapped(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, Access access) {
    KASSERT("a page that comes back has a swap entry", swap_entry(space, page) != SwapSlot(0));
    if (space->resident >= space->limits.resident) return Error::LimitReached;
    Rights rights = rights_of(area.protection);
    KASSERT("a page grants no more than its area", access == Access::ReadOnly || rights.access == Access::ReadWrite);
    rights.access = access;
    const FrameNumber table = TRY(page_table_for(space, page)); // it is there
    frame_memory(table).as<Pte>()[page.table_index()] = Pte::present(frame, rights);
    ++space->resident;
    --space->swapped;
    note_private(*space, page, frame);
    return {};
}

} // namespace mm::spaces
