// The pages of an address space: making them present, taking them away, copying them for fork().
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "config.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"
#include "mm/space/pageable.h"
#include "mm/space/pager.h"
#include "mm/space/present_pages.h"
#include "mm/space/reverse_map.h"
#include "mm/space/space.h"

namespace mm::spaces {

namespace {

/// Frames of one page table's pages, remembered until no translation leads to them any more. The kernel is not preemptible, so one of these
/// is enough.
constinit FrameNumber taken_out[kPagesPerLargePage];

/// Writes down the frames of the present pages among these entries. @return how many
size_t take_frames(const uint32_t* entry, const uint32_t* end) {
    size_t count = 0;
    for (; entry < end; ++entry) {
        if (*entry & entry_bits::kPresent) taken_out[count++] = Pte::from_word(*entry).frame();
    }
    return count;
}

void must_release(FrameNumber frame) {
    KASSERT("a present page has a reference of its frame", !frames::release(frame).is_error());
}

void must_release(const PresentPage& page) {
    const Result<void> released =
        page.size == PageSize::Large ? frames::release_run(page.frame, kLargeOrder) : frames::release(page.frame);
    KASSERT("a present page has a reference of its frame, or of its run", !released.is_error());
}

Result<FrameNumber> copy_of(FrameNumber frame) {
    const FrameNumber copy = TRY(frames::allocate(Zone::High, Contents::Unspecified));
    copy_frame(copy, frame);
    return copy;
}

/// The frame that `page` of the area shows first, with a reference for it.
Result<FrameNumber> first_contents(const Area& area, VirtAddr page) {
    if (!area.object) return frames::allocate(Zone::High, Contents::Zeroed);
    return area.object->operations->page(*area.object, area.first_page + AddressRange{area.range.begin, page}.pages());
}

/// What the page tables say for a page of the area that shows `frame`: a private page is written to by its only owner.
Rights rights_for(const Area& area, FrameNumber frame) {
    Rights rights = rights_of(area.protection);
    const bool is_own = area.sharing == Sharing::Shared || frame_table::info(frame).references == 1;
    if (!is_own) rights.access = Access::ReadOnly;
    return rights;
}

/// Maps a run of 4 MiB whose reference the caller has; drops that when it does not work.
Result<void> enter_large(AddressSpace& space, VirtAddr page, FrameNumber first, Protection protection) {
    const Result<void> mapped = page_table::map(space.directory, page, first, 1, PageSize::Large, rights_of(protection));
    if (mapped.is_error()) {
        KASSERT("a new run has an owner", !frames::release_run(first, kLargeOrder).is_error());
        return mapped;
    }
    space.resident += kPagesPerLargePage;
    ++space.large_pages;
    return {};
}

/// A large page of zeros, where `page` begins one that lies in the area.
/// @return an error when it must be small pages: they say what is really wrong, if anything is
Result<void> make_large_page(AddressSpace& space, const Area& area, VirtAddr page) {
    const bool fits = is_aligned(page.value(), kLargePageSize) && AddressRange{page, area.range.end}.pages() >= kPagesPerLargePage;
    if (!CONFIG_LARGE_PAGES || !fits || area.object || area.sharing == Sharing::Shared) return Error::Unsupported;
    if (space.resident + kPagesPerLargePage > space.limits.resident) return Error::LimitReached;
    return enter_large(space, page, TRY(frames::allocate_run(kLargeOrder, Zone::High, Contents::Zeroed)), area.protection);
}

/// Maps a frame whose reference the caller has, in place of what was there; drops that reference when there is no page table.
Result<void> enter(AddressSpace& space, const Area& area, VirtAddr page, FrameNumber frame) {
    const Result<void> mapped = page_table::map(space.directory, page, frame, 1, PageSize::Small, rights_for(area, frame));
    if (mapped.is_error()) must_release(frame);
    return mapped;
}

} // namespace

Result<void> make_page(AddressSpace& space, const Area& area, VirtAddr page) {
    if (space.resident >= space.limits.resident) return Error::LimitReached;
    const FrameNumber frame = TRY(first_contents(area, page));
    TRY(enter(space, area, page, frame));
    ++space.resident;
    note_shown(space, area, page, frame);
    return {};
}

Result<void> make_present(AddressSpace& space, const Area& area) {
    if (grants_nothing(area.protection)) return {};
    for (VirtAddr page = area.range.begin; page < area.range.end;) {
        if (!make_large_page(space, area, page).is_error()) {
            page = page + kLargePageSize;
            continue;
        }
        const Result<void> made = make_page(space, area, page);
        if (!made.is_error()) {
            page = page + kPageSize;
            continue;
        }
        if (made.error() == Error::OutOfRange) break; // past the end of the object: whoever looks there gets a signal
        make_absent(space, {area.range.begin, page});
        return made;
    }
    return {};
}

namespace {

void forget(AddressSpace& space, VirtAddr begin, size_t pages) {
    const Result<void> unmapped = page_table::unmap(space.directory, begin, pages);
    KASSERT("unmap() needs no memory when no large page is split", !unmapped.is_error());
}

void take_out_large_page(AddressSpace& space, VirtAddr begin, Pde pde) {
    forget(space, begin, kPagesPerLargePage);
    must_release(PresentPage{begin, pde.frame(), PageSize::Large, pde.rights(), pde.is_dirty()});
    space.resident -= kPagesPerLargePage;
    --space.large_pages;
}

/// Unmaps the `count` present pages among those of one page table. Many: all at once, and unmap() flushes the TLB. Few: run by run, and
/// it forgets no other translations than these.
void forget_present(AddressSpace& space, const uint32_t* entries, VirtAddr begin, size_t pages, size_t count) {
    if (count > page_table::kFullFlushPages) return forget(space, begin, pages);
    for (size_t first = 0; count > 0; ++first) { // no further than the last one: the page table goes with it
        size_t end = first;
        while (end < pages && (entries[end] & entry_bits::kPresent)) ++end;
        if (end == first) continue;
        forget(space, begin + first * kPageSize, end - first);
        count -= end - first;
        first = end;
    }
}

/// Pages of one page table.
void take_out_small_pages(AddressSpace& space, FrameNumber table, VirtAddr begin, VirtAddr end) {
    const size_t pages = AddressRange{begin, end}.pages();
    const FrameMemory memory = frame_memory(table);
    const uint32_t* const entries = memory.as<uint32_t>() + begin.table_index();
    const size_t count = take_frames(entries, entries + pages);
    if (count == 0 && pager::get()) forget(space, begin, 1); // reclaim may have emptied the page table, and left it
    forget_present(space, entries, begin, pages, count);
    frames::release_all(taken_out, count);
    space.resident -= count;
}

} // namespace

void make_absent(AddressSpace& space, AddressRange range) {
    if (pager::get()) {
        note_dirty(space, range);
        drop_swap_entries(space, range);
    }
    for (VirtAddr begin = range.begin; begin < range.end;) {
        const VirtAddr end = slot_end(begin, range.end);
        const Pde pde = directory_entry(space.directory, begin);
        if (pde.is_large_page()) {
            take_out_large_page(space, begin, pde);
        } else if (pde.is_present()) {
            take_out_small_pages(space, pde.frame(), begin, end);
        }
        begin = end;
    }
}

void update_rights(AddressSpace& space, const Area& area) {
    // Neighbours that get the same rights change together.
    AddressRange run{area.range.begin, area.range.begin};
    Rights rights;
    const auto change = [&] {
        if (run.begin == run.end) return;
        const Result<void> changed = page_table::protect(space.directory, run.begin, run.pages(), rights);
        KASSERT("protect() needs no memory when no large page is split", !changed.is_error());
    };
    for_each_present(space.directory, area.range, [&](const PresentPage& page) {
        const Rights wanted = rights_for(area, page.frame);
        if (page.address != run.end || wanted != rights) {
            change();
            run.begin = page.address;
            rights = wanted;
        }
        run.end = page.address + page.pages() * kPageSize;
    });
    change();
}

void abandon_pages(AddressSpace& space, AddressRange range) {
    if (pager::get()) {
        note_dirty(space, range);
        drop_swap_entries(space, range);
    }
    for (VirtAddr slot = range.begin; slot < range.end; slot = slot_end(slot, range.end)) {
        const Pde pde = directory_entry(space.directory, slot);
        if (pde.is_large_page()) {
            must_release(PresentPage{slot, pde.frame(), PageSize::Large, pde.rights(), pde.is_dirty()});
            space.resident -= kPagesPerLargePage;
            --space.large_pages;
        } else if (pde.is_present()) {
            const FrameMemory table = frame_memory(pde.frame());
            const uint32_t* const begin = table.as<uint32_t>() + slot.table_index();
            const size_t count = take_frames(begin, begin + AddressRange{slot, slot_end(slot, range.end)}.pages());
            frames::release_all(taken_out, count);
            space.resident -= count;
        }
    }
}

namespace {

/// The frame of a page, made the space's own first: what others show as well (its object, a child, all spaces) is copied.
Result<FrameNumber> own_frame(AddressSpace& space, VirtAddr page) {
    const Area* area = areas::find(space.areas, page);
    if (!area) return Error::NotMapped;
    if (area->sharing == Sharing::Shared) return Error::AccessDenied;
    TRY(resolve_page(&space, page));
    const Translation seen = TRY(page_table::translate(space.directory, page));
    const FrameNumber frame = FrameNumber::containing(seen.address);
    if (seen.size == PageSize::Large) return frame;
    if (frame_table::info(frame).references == 1) return frame;
    const FrameNumber copy = TRY(copy_of(frame));
    TRY(enter(space, *area, page, copy));
    note_shown(space, *area, page, copy);
    must_release(frame);
    return copy;
}

} // namespace

Result<void> copy_into(AddressSpace* space, VirtAddr to, const void* from, size_t bytes) {
    const auto* source = static_cast<const uint8_t*>(from);
    for (size_t done = 0; done < bytes;) {
        const VirtAddr at = to + done;
        const size_t count = std::min<size_t>(bytes - done, kPageSize - at.page_offset());
        const FrameNumber frame = TRY(own_frame(*space, VirtAddr(align_down(at.value(), kPageSize))));
        memcpy(frame_memory(frame).as<uint8_t>() + at.page_offset(), source + done, count);
        if (frame_table::info(frame).use == FrameUse::Pageable) reverse_map::set_dirtied(frame, true); // no entry's dirty bit tells
        done += count;
    }
    return {};
}

Result<void> resolve_page(AddressSpace* space, VirtAddr address) {
    const Area* area = areas::find(space->areas, address);
    if (!area) return Error::NotMapped;
    const VirtAddr page(align_down(address.value(), kPageSize));
    const PageState state = page_state(space, page);
    if (state == PageState::Swapped) return pager::get()->bring_back(space, *area, page);
    if (state != PageState::Absent) return {};
    return make_page(*space, *area, page);
}

bool is_resident(const AddressSpace* space, VirtAddr address) { return is_present(space->directory, address); }

} // namespace mm::spaces
