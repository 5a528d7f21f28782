// Large pages that must become small ones: when a part of one goes its own way, and when memory is short.
#include "lib/panic.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frames.h"
#include "mm/space/pageable.h"
#include "mm/space/pager.h"
#include "mm/space/present_pages.h"
#include "mm/space/space.h"
#include "mm/space/user_layout.h"

namespace mm::spaces {

namespace {

/// @param address  somewhere in the large page
Result<void> split(AddressSpace& space, VirtAddr address, Pde large) {
    // A change of a part that changes nothing: the piece must split the large page for it.
    TRY(page_table::protect(space.directory, address, 1, large.rights()));
    KASSERT("protect() splits a large page of which it changes a part", directory_entry(space.directory, address).is_table());
    frames::split_run(large.frame());
    --space.large_pages;
    if (!pager::get()) return {};
    const VirtAddr begin(align_down(address.value(), kLargePageSize));
    for (uint32_t i = 0; i < kPagesPerLargePage; ++i) note_private(space, begin + i * kPageSize, large.frame() + i);
    return {};
}

bool split_first(AddressSpace& space) {
    const frames::UseReserve reserve; // a frame for the page table, and a thousand may leave
    for (VirtAddr slot = VirtAddr(kUserBegin); slot < VirtAddr(kUserEnd); slot = slot + kLargePageSize) {
        const Pde pde = directory_entry(space.directory, slot);
        if (pde.is_large_page()) return !split(space, slot, pde).is_error();
    }
    return false;
}

} // namespace

Result<void> split_large_pages(AddressSpace& space, AddressRange range) {
    if (space.large_pages == 0) return {};
    for (const VirtAddr edge : {range.begin, range.end}) {
        if (is_aligned(edge.value(), kLargePageSize)) continue;
        const Pde pde = directory_entry(space.directory, edge);
        if (pde.is_large_page()) TRY(split(space, edge, pde));
    }
    return {};
}

Result<void> split_all_large_pages(AddressSpace& space, const Area& area) {
    if (space.large_pages == 0) return {};
    for (VirtAddr slot = area.range.begin; slot < area.range.end; slot = slot_end(slot, area.range.end)) {
        const Pde pde = directory_entry(space.directory, slot);
        if (pde.is_large_page()) TRY(split(space, slot, pde));
    }
    return {};
}

size_t large_pages_everywhere() {
    size_t count = 0;
    for (const AddressSpace* space = first_space(); space; space = space->next_space) count += space->large_pages;
    return count;
}

bool split_some_large_page() {
    for (AddressSpace* space = first_space(); space; space = space->next_space) {
        if (space->large_pages > 0 && split_first(*space)) return true;
    }
    return false;
}

bool split_one_of(AddressSpace& space) { return space.large_pages > 0 && split_first(space); }

} // namespace mm::spaces
