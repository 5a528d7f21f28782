// What must hold for every address space, whatever has been done to it.
#include <cstddef>
#include <cstdint>

#include "lib/panic.h"
#include "mm/object/commit.h"
#include "mm/physical/frame_table.h"
#include "mm/space/fault_services.h"
#include "mm/space/load_notes.h"
#include "mm/space/present_pages.h"
#include "mm/space/space.h"
#include "mm/space/user_layout.h"

namespace mm::spaces {

namespace {

/// What a walk through the areas finds.
struct Recount {
    const AddressSpace& space;
    Area copy_of_previous{};
    size_t mapped = 0;
    size_t resident = 0;
    size_t swapped = 0;
    size_t large_pages = 0;
    size_t unreachable = 0;
    size_t promised = 0;
    size_t areas = 0;
    VirtAddr execute_line = VirtAddr(kExecutableBegin);
};

void check_page(const Area& area, const PresentPage& page) {
    const Protection& granted = area.protection;
    KASSERT("a large page lies in one area",
            area.range.begin <= page.address && page.address + page.pages() * kPageSize <= area.range.end);
    KASSERT("a page may be written only if its area says so", page.rights.access == Access::ReadOnly || granted.write);
    KASSERT("a page is in reach of user code exactly if its area grants something",
            (page.rights.privilege == Privilege::User) == !grants_nothing(granted));
    const FrameInfo& frame = frame_table::info(page.frame);
    KASSERT("a present page has a frame that is in use", (frame.use == FrameUse::Allocated || frame.use == FrameUse::Pageable) && frame.references > 0);
    KASSERT("a large page has a run of its own, a small page a single frame",
            frame.order == (page.size == PageSize::Large ? kLargeOrder.value() : 0));
    KASSERT("a private page that may be written has no other owner",
            area.sharing == Sharing::Shared || page.rights.access == Access::ReadOnly || frame.references == 1);
    KASSERT("nobody may write to the frame of zeros", page.frame != zero_frame() || page.rights.access == Access::ReadOnly);
    KASSERT("the frame of zeros has a reference of its own, and shows where nothing else is shown",
            page.frame != zero_frame() || (frame.references > 1 && !area.object));
    KASSERT("a large page is private memory of zeros", page.size == PageSize::Small || (area.sharing == Sharing::Private && !area.object));
}

size_t swapped_in(const AddressSpace& space, AddressRange range) {
    size_t pages = 0;
    for (VirtAddr begin = range.begin; begin < range.end; begin = slot_end(begin, range.end)) {
        const Pde pde = directory_entry(space.directory, begin);
        if (!pde.is_table()) continue;
        const FrameMemory table = frame_memory(pde.frame());
        const VirtAddr end = slot_end(begin, range.end);
        for (VirtAddr page = begin; page < end; page = page + kPageSize) pages += table.as<Pte>()[page.table_index()].is_swapped();
    }
    return pages;
}

void check_attributes(const Area& area) {
    KASSERT("an area is a range of pages in the user range", !check_range(area.range).is_error());
    KASSERT("no area may be written and executed", !check_protection(area.protection).is_error());
    KASSERT("an area lies where its protection belongs", !check_arena(area.range, area.protection).is_error());
    KASSERT("an object has a reference for every page of its areas",
            area.object == nullptr || area.object->references >= area.range.pages());
    KASSERT("an area without an object shows no page of one", area.object != nullptr || area.first_page == 0);
    KASSERT("what is shared is an object", area.object != nullptr || area.sharing == Sharing::Private);
}

void check_area(void* context, const Area& area) {
    auto& recount = *static_cast<Recount*>(context);
    check_attributes(area);
    if (recount.areas > 0) {
        KASSERT("areas are sorted, and none overlaps the next", recount.copy_of_previous.range.end <= area.range.begin);
        KASSERT("areas that continue each other are one", !continues(recount.copy_of_previous, area));
    }
    for_each_present(recount.space.directory, area.range, [&](const PresentPage& page) {
        check_page(area, page);
        recount.resident += page.pages();
        recount.large_pages += page.size == PageSize::Large;
    });
    const size_t swapped = swapped_in(recount.space, area.range);
    KASSERT("a swap entry is a private page's: what is shared, its object has", swapped == 0 || area.sharing == Sharing::Private);
    recount.swapped += swapped;
    ++recount.areas;
    recount.mapped += area.range.pages();
    recount.promised += promised_pages(area);
    if (grants_nothing(area.protection)) recount.unreachable += area.range.pages();
    if (area.protection.execute) recount.execute_line = area.range.end;
    recount.copy_of_previous = area;
}

size_t present_anywhere(const AddressSpace& space) {
    size_t pages = 0;
    for_each_present(space.directory, {VirtAddr(kUserBegin), VirtAddr(kUserEnd)},
                     [&](const PresentPage& page) { pages += page.pages(); });
    return pages;
}

} // namespace

void check_invariants(const AddressSpace* space) {
    Recount recount{.space = *space};
    areas::for_each(space->areas, check_area, &recount);
    KASSERT("count() says how many areas there are", areas::count(space->areas) == recount.areas);
    KASSERT("the space knows how many pages its areas have", space->mapped == recount.mapped);
    KASSERT("every present page lies in an area", present_anywhere(*space) == recount.resident);
    KASSERT("the space knows how many pages are present", space->resident == recount.resident);
    KASSERT("every swap entry lies in an area", swapped_in(*space, {VirtAddr(kUserBegin), VirtAddr(kUserEnd)}) == recount.swapped);
    KASSERT("the space knows how many swap entries it has", space->swapped == recount.swapped);
    KASSERT("the space knows how many of them are large", space->large_pages == recount.large_pages);
    KASSERT("the space knows how many pages grant nothing", space->unreachable == recount.unreachable);
    KASSERT("the space knows how many pages were promised", space->promised == recount.promised);
    KASSERT("the execute line is behind the last area that may be executed", space->execute_line == recount.execute_line);
}

void check_promises() {
    size_t promised = shared_memory_pages();
    for (const AddressSpace* space = first_space(); space; space = next_space(space)) {
        areas::for_each(space->areas, [](void* sum, const Area& area) { *static_cast<size_t*>(sum) += promised_pages(area); }, &promised);
    }
    KASSERT("the account of promises balances", promised == commit::statistics().promised);
}

} // namespace mm::spaces
