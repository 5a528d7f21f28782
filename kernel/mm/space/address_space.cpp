// An address space comes, is copied, becomes active, and goes.
#include "mm/space/address_space.h"

#include <cstddef>
#include <cstdint>

#include "arch/i386/user_mode.h"
#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/object/commit.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/pageable.h"
#include "mm/space/present_pages.h"
#include "mm/space/space.h"
#include "mm/space/user_layout.h"

namespace mm::spaces {

namespace {

constinit AddressSpace* active_space = nullptr;

void must_free(void* block) {
    KASSERT("an address space, and its family, is a block of the heap", !kfree(block).is_error());
}

/// A space with an empty directory and no areas, and otherwise as `model`; of this family.
Result<AddressSpace*> create_like(const AddressSpace& model, Family& family) {
    auto* space = static_cast<AddressSpace*>(TRY(kmalloc(sizeof(AddressSpace))));
    *space = model;
    const Result<PageDirectory> directory = page_table::create();
    if (directory.is_error()) {
        must_free(space);
        return directory.error();
    }
    const Result<areas::Set*> set = areas::create();
    if (set.is_error()) {
        KASSERT("a directory that is not active can go", !page_table::destroy(directory.value()).is_error());
        must_free(space);
        return set.error();
    }
    space->directory = directory.value();
    space->areas = set.value();
    space->mapped = space->resident = space->swapped = space->large_pages = space->unreachable = space->promised = 0;
    space->load = {.last_time = space->virtual_time};
    space->last_area = nullptr;
    join_family(*space, family);
    return space;
}

/// What fork() carries through the areas of the parent.
struct Copying {
    AddressSpace& from;
    AddressSpace& to;
    SharePages share;
    Result<void> result;
};

/// The area first: what has been shared so far, destroy() finds through the areas.
Result<void> copy_area(const Copying& copying, const Area& area) {
    TRY(areas::insert(copying.to.areas, area));
    retain_object(area);
    copying.to.mapped += area.range.pages();
    if (grants_nothing(area.protection)) copying.to.unreachable += area.range.pages();
    TRY(split_all_large_pages(copying.from, area));
    if (pager::get()) note_dirty(copying.from, area.range); // the child's entries know nothing of it, and the parent's may go first
    TRY(copying.share(&copying.from, &copying.to, area));
    if (area.sharing == Sharing::Shared || copying.from.swapped == 0) return {};
    return copy_swap_entries(copying.from, copying.to, area);
}

void copy_next_area(void* context, const Area& area) {
    auto& copying = *static_cast<Copying*>(context);
    if (!copying.result.is_error()) copying.result = copy_area(copying, area);
}

void reap_area(void* context, const Area& area) {
    if (area.sharing == Sharing::Private) make_absent(*static_cast<AddressSpace*>(context), area.range);
}

void abandon_area(void* context, const Area& area) {
    abandon_pages(*static_cast<AddressSpace*>(context), area.range);
    release_object(area);
}

} // namespace

Result<AddressSpace*> create(uint32_t random, const SpaceLimits& limits) {
    AddressSpace model;
    model.limits = limits;
    model.random = Random(random);
    auto* const family = static_cast<Family*>(TRY(kmalloc(sizeof(Family))));
    *family = {};
    const Result<AddressSpace*> space = create_like(model, *family);
    if (space.is_error()) must_free(family);
    else choose_layout(*space.value());
    return space;
}

void destroy(AddressSpace* space) {
    KASSERT("an address space that goes is not active", space != active_space);
    areas::for_each(space->areas, abandon_area, space);
    KASSERT("every page lies in an area", space->resident == 0 && space->swapped == 0);
    areas::destroy(space->areas);
    commit::take_back(space->promised);
    KASSERT("a directory that is not active can go", !page_table::destroy(space->directory).is_error());
    if (Family* const family = leave_family(*space)) must_free(family);
    must_free(space);
}

Result<AddressSpace*> fork(AddressSpace* space, SharePages share) {
    TRY(commit::promise(space->promised)); // the child's: destroy() takes it back
    const Result<AddressSpace*> made = create_like(*space, *space->family);
    if (made.is_error()) {
        commit::take_back(space->promised);
        return made.error();
    }
    AddressSpace* const child = made.value();
    child->promised = space->promised;
    Copying copying{*space, *child, share, {}};
    areas::for_each(space->areas, copy_next_area, &copying);
    if (!copying.result.is_error()) return child;
    destroy(child);
    return copying.result.error();
}

size_t reap(AddressSpace* space) {
    KASSERT("who is reaped does not run", space != active_space);
    const size_t before = frames::in_use();
    space->is_reaped = true;
    areas::for_each(space->areas, reap_area, space);
    return before - frames::in_use();
}

bool is_reaped(const AddressSpace* space) { return space->is_reaped; }

void activate(AddressSpace* space) {
    active_space = space;
    tlb::switch_to((space ? space->directory : kernel_directory()).frame.address());
    if (space) i386::set_user_code_limit(space->execute_line);
}

AddressSpace* active() { return active_space; }
PageDirectory directory(const AddressSpace* space) { return space->directory; }
const areas::Set* areas_of(const AddressSpace* space) { return space->areas; }
SpaceLimits& limits(AddressSpace* space) { return space->limits; }
uint32_t virtual_time(const AddressSpace* space) { return space->virtual_time; }
void add_virtual_time(AddressSpace* space, uint32_t ticks) { space->virtual_time += ticks; }
LoadNotes& load_notes(AddressSpace* space) { return space->load; }
const LoadNotes& load_notes(const AddressSpace* space) { return space->load; }
size_t present_and_swapped(const AddressSpace* space) {
    return space->resident - space->large_pages * kPagesPerLargePage + space->swapped;
}
AddressSpace* next_space(const AddressSpace* space) { return space->next_space; }
VirtAddr execute_line(const AddressSpace* space) { return space->execute_line; }

size_t resident_pages(const AddressSpace* space) { return space->resident; }
size_t swapped_pages(const AddressSpace* space) { return space->swapped; }

size_t page_tables(const AddressSpace* space) {
    const FrameMemory entries = frame_memory(space->directory.frame);
    size_t count = 1; // the directory
    for (uint32_t i = VirtAddr(kUserBegin).directory_index(); i <= VirtAddr(kUserEnd - 1).directory_index(); ++i)
        count += entries.as<Pde>()[i].is_table();
    return count;
}

SpaceStatistics statistics(const AddressSpace* space) {
    SpaceStatistics figures{.mapped = space->mapped,
                            .resident = space->resident,
                            .swapped = space->swapped,
                            .shared = 0,
                            .page_tables = page_tables(space),
                            .promised = space->promised,
                            .areas = areas::count(space->areas)};
    const AddressRange user{VirtAddr(kUserBegin), VirtAddr(kUserEnd)};
    for_each_present(space->directory, user, [&](const PresentPage& page) {
        if (frame_table::info(page.frame).references > 1) figures.shared += page.pages();
    });
    return figures;
}

} // namespace mm::spaces
