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
#include "mm/space/present_pages.h"
#include "mm/space/space.h"

namespace mm::spaces {

namespace {

/// Pages that make_absent() takes out at once: their frames are remembered until no translation leads to them any more.
constexpr size_t kBatch = 32;
static_assert(kBatch <= page_table::kFullFlushPages, "so that unmap() forgets single translations");

void must_release(FrameNumber frame) {
    KASSERT("a present page has a reference of its frame", !frames::release(frame).is_error());
}

void set_contents(FrameNumber frame, FrameContents contents) {
    frame_table::info(frame).owner_tag = static_cast<uint8_t>(contents);
}

bool is_still_zero(const PresentPage& page) {
    return !page.is_dirty && frame_table::info(page.frame).owner_tag == static_cast<uint8_t>(FrameContents::ZeroUnlessDirty);
}

void must_release(const PresentPage& page) {
    const Result<void> released = page.size == PageSize::Large ? frames::release_run(page.frame, kLargeOrder)
                                  : is_still_zero(page)        ? frames::release_zeroed(page.frame)
                                                               : frames::release(page.frame);
    KASSERT("a present page has a reference of its frame, or of its run", !released.is_error());
}

Result<FrameNumber> copy_of(FrameNumber frame) {
    const FrameNumber copy = TRY(frames::allocate(Zone::High, Contents::Unspecified));
    copy_frame(copy, frame);
    set_contents(copy, FrameContents::Unknown);
    return copy;
}

/// The object's page is everybody's: only an area that shares it, or never writes it, may show it as it is.
Result<FrameNumber> object_page(const Area& area, VirtAddr page) {
    const size_t index = area.first_page + AddressRange{area.range.begin, page}.pages();
    const FrameNumber frame = TRY(area.object->operations->page(*area.object, index));
    if (area.sharing == Sharing::Shared || !area.protection.write) return frame;
    const Result<FrameNumber> copy = copy_of(frame);
    must_release(frame);
    return copy;
}

Result<FrameNumber> zeros() {
    const FrameNumber frame = TRY(frames::allocate(Zone::High, Contents::Zeroed));
    set_contents(frame, FrameContents::ZeroUnlessDirty);
    return frame;
}

/// The frame that `page` of the area shows first, with a reference for it.
Result<FrameNumber> first_contents(const Area& area, VirtAddr page) { return area.object ? object_page(area, page) : zeros(); }

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

/// Maps a frame whose reference the caller has; drops that when there is no page table for it.
Result<void> enter(AddressSpace& space, VirtAddr page, FrameNumber frame, Protection protection) {
    const Result<void> mapped = page_table::map(space.directory, page, frame, 1, PageSize::Small, rights_of(protection));
    if (mapped.is_error()) {
        must_release(frame);
        return mapped;
    }
    ++space.resident;
    return {};
}

/// 4 MiB of a private area, copied into a large page of its own, or into small ones.
Result<void> copy_large_page(AddressSpace& to, const Area& area, const PresentPage& page) {
    const Result<FrameNumber> run = frames::allocate_run(kLargeOrder, Zone::High, Contents::Unspecified);
    if (!run.is_error()) {
        for (uint32_t i = 0; i < kPagesPerLargePage; ++i) copy_frame(run.value() + i, page.frame + i);
        if (!enter_large(to, page.address, run.value(), area.protection).is_error()) return {};
    }
    for (uint32_t i = 0; i < kPagesPerLargePage; ++i) {
        TRY(enter(to, page.address + i * kPageSize, TRY(copy_of(page.frame + i)), area.protection));
    }
    return {};
}

Result<void> copy_page(AddressSpace& to, const Area& area, const PresentPage& page) {
    if (page.size == PageSize::Large) return copy_large_page(to, area, page);
    // A private page whose frame has other owners shows the page of its object, and cannot be written.
    const bool is_own = area.sharing == Sharing::Private && frame_table::info(page.frame).references == 1;
    if (is_own) return enter(to, page.address, TRY(copy_of(page.frame)), area.protection);
    frames::share(page.frame);
    return enter(to, page.address, page.frame, area.protection);
}

} // namespace

Result<void> make_page(AddressSpace& space, const Area& area, VirtAddr page) {
    if (space.resident >= space.limits.resident) return Error::LimitReached;
    return enter(space, page, TRY(first_contents(area, page)), area.protection);
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

/// Pages of one page table: at most kBatch.
void take_out_small_pages(AddressSpace& space, FrameNumber table, VirtAddr begin, VirtAddr end) {
    uint32_t batch[kBatch]; // words of PTEs; not their type, which would be cleared first
    size_t count = 0;
    {
        const FrameMemory memory = frame_memory(table);
        const Pte* entry = memory.as<Pte>() + begin.table_index();
        for (size_t left = AddressRange{begin, end}.pages(); left > 0; --left, ++entry) {
            if (entry->is_present()) batch[count++] = entry->word();
        }
    }
    if (count == 0) return;
    forget(space, begin, AddressRange{begin, end}.pages());
    for (size_t i = 0; i < count; ++i) {
        const Pte pte = Pte::from_word(batch[i]);
        must_release(PresentPage{begin, pte.frame(), PageSize::Small, pte.rights(), pte.is_dirty()});
    }
    space.resident -= count;
}

} // namespace

void make_absent(AddressSpace& space, AddressRange range) {
    for (VirtAddr begin = range.begin; begin < range.end;) {
        VirtAddr end = slot_end(begin, range.end);
        const Pde pde = directory_entry(space.directory, begin);
        if (pde.is_large_page()) {
            take_out_large_page(space, begin, pde);
        } else if (pde.is_present()) {
            end = std::min(end, begin + kBatch * kPageSize);
            take_out_small_pages(space, pde.frame(), begin, end);
        }
        begin = end;
    }
}

Result<void> split_large_pages(AddressSpace& space, AddressRange range) {
    if (space.large_pages == 0) return {};
    for (const VirtAddr edge : {range.begin, range.end}) {
        if (is_aligned(edge.value(), kLargePageSize)) continue;
        const Pde pde = directory_entry(space.directory, edge);
        if (!pde.is_large_page()) continue;
        // A change of a part that changes nothing: the piece must split the large page for it.
        TRY(page_table::protect(space.directory, edge, 1, pde.rights()));
        KASSERT("protect() splits a large page of which it changes a part", directory_entry(space.directory, edge).is_table());
        frames::split_run(pde.frame());
        --space.large_pages;
    }
    return {};
}

namespace {

/// Pages of a private area that may be written from now on and show their object's frames: gone, and the next look makes copies.
void forget_object_pages(AddressSpace& space, AddressRange range) {
    for (VirtAddr page = range.begin; page < range.end; page = page + kPageSize) {
        const Result<Translation> seen = page_table::translate(space.directory, page);
        if (seen.is_error() || frame_table::info(FrameNumber::containing(seen.value().address)).references == 1) continue;
        make_absent(space, {page, page + kPageSize});
    }
}

/// The first pages of the range that are present, in a row.
AddressRange first_present(const AddressSpace& space, AddressRange range) {
    VirtAddr begin = range.begin;
    while (begin < range.end && !is_present(space.directory, begin)) {
        begin = directory_entry(space.directory, begin).is_present() ? begin + kPageSize : slot_end(begin, range.end);
    }
    VirtAddr end = begin;
    while (end < range.end && is_present(space.directory, end)) {
        end = directory_entry(space.directory, end).is_large_page() ? slot_end(end, range.end) : end + kPageSize;
    }
    return {begin, end};
}

} // namespace

void update_rights(AddressSpace& space, const Area& area) {
    if (area.object && area.sharing == Sharing::Private && area.protection.write) forget_object_pages(space, area.range);
    AddressRange rest = area.range;
    while (rest.begin < rest.end) {
        const AddressRange present = first_present(space, rest);
        if (present.begin < present.end) {
            const Result<void> changed = page_table::protect(space.directory, present.begin, present.pages(), rights_of(area.protection));
            KASSERT("protect() needs no memory when no large page is split", !changed.is_error());
        }
        rest.begin = present.end;
    }
}

Result<void> copy_pages(AddressSpace& to, const AddressSpace& from, const Area& area) {
    Result<void> copied;
    for_each_present(from.directory, area.range, [&](const PresentPage& page) {
        if (!copied.is_error()) copied = copy_page(to, area, page);
    });
    return copied;
}

void abandon_pages(AddressSpace& space, AddressRange range) {
    for_each_present(space.directory, range, [&](const PresentPage& page) {
        must_release(page);
        space.resident -= page.pages();
        space.large_pages -= page.size == PageSize::Large;
    });
}

namespace {

/// The frame of a page that is the space's own, so that it may be written whatever the page's rights are. A page that shows its
/// object's frame becomes a copy.
Result<FrameNumber> own_frame(AddressSpace& space, VirtAddr page) {
    const Area* area = areas::find(space.areas, page);
    if (!area) return Error::NotMapped;
    if (area->sharing == Sharing::Shared) return Error::AccessDenied;
    TRY(resolve_page(&space, page));
    const Translation seen = TRY(page_table::translate(space.directory, page));
    const FrameNumber frame = FrameNumber::containing(seen.address);
    if (seen.size == PageSize::Large) return frame;
    if (frame_table::info(frame).references == 1) {
        set_contents(frame, FrameContents::Unknown); // it is written without the page tables' knowledge
        return frame;
    }
    const FrameNumber copy = TRY(copy_of(frame));
    make_absent(space, {page, page + kPageSize});
    TRY(enter(space, page, copy, area->protection));
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
        done += count;
    }
    return {};
}

Result<void> resolve_page(AddressSpace* space, VirtAddr address) {
    const Area* area = areas::find(space->areas, address);
    if (!area) return Error::NotMapped;
    const VirtAddr page(align_down(address.value(), kPageSize));
    if (is_resident(space, page)) return {};
    return make_page(*space, *area, page);
}

bool is_resident(const AddressSpace* space, VirtAddr address) { return is_present(space->directory, address); }

} // namespace mm::spaces
