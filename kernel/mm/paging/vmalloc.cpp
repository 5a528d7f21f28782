#include "mm/paging/vmalloc.h"

#include <algorithm>
#include <array>

#include "config.h"
#include "lib/panic.h"
#include "mm/paging/frame_chain.h"
#include "mm/paging/kernel_window.h"
#include "mm/paging/layout.h"
#include "mm/paging/tlb.h"
#include "mm/paging/virtual_ranges.h"
#include "mm/physical/shrinker.h"

// An area is in one of two states:
//
//     in use     its range is taken, each page is mapped to a frame of its own
//     freed      the same, so the TLB may go on knowing its pages; it waits in a list for purge()
//
// A freed area is as good as new: without CONFIG_MEMORY_DEBUGGING, allocate() hands out one of the same size as it is, and
// nothing need be mapped, flushed or looked for. With it, nobody gets a freed area, so that its old owner's next access is
// found out.
//
// allocate() takes all that can fail first (range, frames, page tables) and writes page table entries last, so a failure never
// leaves a page that was mapped for a moment. The memory of a freed area is not poisoned: the frame allocator does that, when
// purge() gives the frames back.
namespace mm::vmalloc {

namespace {

constexpr Rights kRights{Access::ReadWrite, Privilege::Supervisor, Scope::Global};

constexpr size_t kIsFreed = 0; ///< Index into VirtualRange::note.

constinit VirtualRanges areas(kVmallocBegin, kVmallocEnd);
/// The areas that wait for purge(), a list for each size; the last for all larger ones.
constinit VirtualRange* freed[kLazyPages] = {};
constinit Statistics counters = {};

#if CONFIG_MEMORY_DEBUGGING
/// The last areas that purge() took apart, so that a page fault in one of them can still say whose it was.
constinit std::array<Area, 32> gone{};
size_t gone_count = 0;
void remember(const Area& area) { gone[gone_count++ % gone.size()] = area; }
#else
void remember(const Area&) {}
#endif

Area area_of(const VirtualRange& range) {
    return {.address = pointer_to<void>(range.begin),
            .pages = range.pages,
            .allocated = range.allocated,
            .is_freed = range.note[kIsFreed] != 0};
}

VirtualRange*& freed_list(size_t pages) { return freed[std::min(pages, kLazyPages) - 1]; }

template <typename Visit>
void for_each_freed(Visit visit) {
    for (VirtualRange* const first : freed) {
        for (VirtualRange* range = first; range;) {
            VirtualRange* const next = range->link;
            visit(range);
            range = next;
        }
    }
}

void count_in_use(size_t pages) {
    ++counters.areas;
    counters.pages += pages;
}

/// A freed area of this size that is in use again, or nullptr. Larger ones than the last list is for are not kept.
VirtualRange* reuse(size_t pages, CallSite site) {
    if (CONFIG_MEMORY_DEBUGGING || pages >= kLazyPages) return nullptr;
    VirtualRange* const range = freed_list(pages);
    if (!range) return nullptr;
    freed_list(pages) = range->link;
    range->note[kIsFreed] = false;
    range->allocated = site;
    --counters.lazy_areas;
    counters.lazy_pages -= pages;
    count_in_use(pages);
    return range;
}

Result<VirtualRange*> area_in_use(const void* address) {
    VirtualRange* const range = areas.find(address_of(address));
    if (!range || range->begin != address_of(address) || range->note[kIsFreed]) return Error::NotAllocated;
    return range;
}

void map(const VirtualRange& range, FrameChain& frames) {
    kernel_window::for_each_entry(range.begin, range.pages, [&](Pte& entry) {
        KASSERT("nobody else maps pages where vmalloc does", !entry.is_present());
        entry = Pte::present(frames.pop(), kRights);
    });
}

/// Takes the page table entries of an area out of use. The frames are not free before the TLB has forgotten them.
void unmap(const VirtualRange& range, FrameChain& frames) {
    kernel_window::for_each_entry(range.begin, range.pages, [&](Pte& entry) {
        frames.push(entry.frame());
        entry = Pte::empty();
    });
}

Result<void> back(VirtualRange* range, size_t pages) {
    FrameChain frames;
    TRY(frames.take(pages, Zone::High, Contents::Unspecified));
    const Result<void> tables = kernel_window::add_tables(range->begin, pages);
    if (tables.is_error()) {
        frames.release_all();
        return tables;
    }
    map(*range, frames);
    return {};
}

Result<void*> try_allocate(size_t pages, CallSite site) {
    VirtualRange* const range = TRY(areas.take(pages));
    const Result<void> backed = back(range, pages);
    if (backed.is_error()) {
        areas.give_back(range);
        return backed.error();
    }
    range->allocated = site;
    count_in_use(pages);
    return pointer_to<void>(range->begin);
}

/// One flush of everything, or one invalidation per page when all freed areas together are small.
void forget_freed_areas() {
    if (counters.lazy_pages > kernel_window::kSingleInvalidations) {
        ++counters.full_flushes;
        return tlb::flush_including_global();
    }
    for_each_freed([](const VirtualRange* range) { kernel_window::forget(range->begin, range->pages); });
}

} // namespace

void initialize() { shrinkers::add({.name = "vmalloc", .shrink = purge}); }

Result<void*> allocate(size_t bytes, CallSite site) {
    if (bytes == 0) return Error::InvalidArgument;
    const size_t pages = (bytes - 1) / kPageSize + 1;
    if (!CONFIG_PAGING || pages > frame_table::frame_count()) return Error::OutOfMemory; // so no memory is turned upside down in vain
    if (const VirtualRange* const range = reuse(pages, site)) return pointer_to<void>(range->begin);
    const Result<void*> result = try_allocate(pages, site);
    if (!result.is_error() || counters.lazy_areas == 0) return result;
    purge();
    return try_allocate(pages, site);
}

Result<void> free(void* address) {
    if (!address) return {};
    VirtualRange* const range = TRY(area_in_use(address));
    range->note[kIsFreed] = true;
    range->link = freed_list(range->pages);
    freed_list(range->pages) = range;
    --counters.areas;
    counters.pages -= range->pages;
    ++counters.lazy_areas;
    counters.lazy_pages += range->pages;
    if (counters.lazy_pages >= kLazyPages) purge();
    return {};
}

Result<size_t> size(const void* address) { return TRY(area_in_use(address))->pages * kPageSize; }

bool contains(const void* address) {
    return address_of(address).value() >= kVmallocBegin && address_of(address).value() < kVmallocEnd;
}

size_t purge() {
    if (counters.lazy_areas == 0) return 0;
    FrameChain frames;
    for_each_freed([&](const VirtualRange* range) { unmap(*range, frames); });
    forget_freed_areas();
    for_each_freed([](VirtualRange* range) {
        remember(area_of(*range));
        areas.give_back(range);
    });
    std::fill(std::begin(freed), std::end(freed), nullptr);
    counters.lazy_areas = 0;
    counters.lazy_pages = 0;
    ++counters.purges;
    return frames.release_all();
}

void for_each(void (*visit)(void* context, const Area& area), void* context) {
    for (const VirtualRange* range = areas.first(); range; range = areas.next(range)) visit(context, area_of(*range));
}

Statistics statistics() { return counters; }

void check_invariants() {
    areas.check_invariants();
    Statistics seen = counters;
    seen.areas = seen.pages = seen.lazy_areas = seen.lazy_pages = 0;
    for (const VirtualRange* range = areas.first(); range; range = areas.next(range)) {
        ++(range->note[kIsFreed] ? seen.lazy_areas : seen.areas);
        (range->note[kIsFreed] ? seen.lazy_pages : seen.pages) += range->pages;
    }
    KASSERT("areas in use are counted", seen.areas == counters.areas && seen.pages == counters.pages);
    KASSERT("freed areas are counted", seen.lazy_areas == counters.lazy_areas && seen.lazy_pages == counters.lazy_pages);
    for_each_freed([&](const VirtualRange* range) {
        KASSERT("areas in the lists of purge() are freed", range->note[kIsFreed]);
        seen.lazy_pages -= range->pages;
    });
    KASSERT("every freed area waits for purge()", seen.lazy_pages == 0);
}

Found find(const void* address) {
    const VirtAddr at = address_of(address);
    if (const VirtualRange* const range = areas.find(at))
        return {range->contains(at) ? Place::Area : Place::Guard, area_of(*range)};
#if CONFIG_MEMORY_DEBUGGING
    for (size_t i = 0; i < std::min(gone_count, gone.size()); ++i) { // the last one first
        const Area& area = gone[(gone_count - 1 - i) % gone.size()];
        const VirtAddr begin = address_of(area.address);
        if (begin <= at && at < begin + (area.pages + 1) * kPageSize) return {Place::Gone, area};
    }
#endif
    return {};
}

} // namespace mm::vmalloc
