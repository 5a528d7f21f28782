// What must hold for all pages, frames and slots together, whatever has been reclaimed: for tests, and for who hunts a lost page.
#include <cstddef>
#include <cstdint>

#include "lib/panic.h"
#include "mm/object/memory_object.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_table.h"
#include "mm/reclaim/eviction.h"
#include "mm/reclaim/policy.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/address_space.h"
#include "mm/space/pageable.h"
#include "mm/space/present_pages.h"
#include "mm/space/reverse_map.h"
#include "mm/space/space.h"
#include "mm/space/user_layout.h"

namespace mm::reclaim {

namespace {

/// What is known of a slot after everything has been looked at.
struct SlotCount {
    uint32_t entries;
    uint32_t copies;
};

/// One for each slot.
class SlotCounts {
public:
    static Result<SlotCounts> create() {
        auto* const counts = static_cast<SlotCount*>(TRY(vmalloc::allocate(swap_area::slots() * sizeof(SlotCount))));
        for (size_t i = 0; i < swap_area::slots(); ++i) counts[i] = {};
        return SlotCounts(counts);
    }
    void destroy() { KASSERT("the counts are a block of vmalloc", !vmalloc::free(counts_).is_error()); }
    SlotCount& of(SwapSlot slot) {
        KASSERT("a swap entry names a slot of the area", slot.value() > 0 && slot.value() < swap_area::slots());
        return counts_[slot.value()];
    }

    SlotCounts() = default;

private:
    explicit SlotCounts(SlotCount* counts) : counts_(counts) {}
    SlotCount* counts_ = nullptr;
};

/// Whether the frame's page can leave; counts those that can, and the entries that lead to them.
struct FrameCounts {
    size_t leaving = 0;  ///< That the policy must know.
    size_t mappings = 0;
};

void check_frame(FrameNumber frame, FrameCounts& counts) {
    const FrameInfo& info = frame_table::info(frame);
    if (info.use != FrameUse::Pageable) return;
    const size_t mappings = reverse_map::for_each(frame, [](const Mapping&) {});
    const size_t others = (reverse_map::object_of(frame) ? 1 : 0) + (swaps && swap::holds(frame) ? 1 : 0);
    KASSERT("a pageable frame has an owner", info.references > 0);
    KASSERT("each reference of a pageable frame is a page, its object, or the entries of its slot", info.references == mappings + others);
    counts.leaving += may_ever_leave(frame);
    counts.mappings += mappings;
}

/// The present pages of all spaces that show pageable frames.
size_t pages_that_can_leave() {
    size_t pages = 0;
    for (const AddressSpace* space = spaces::first_space(); space; space = space->next_space) {
        spaces::for_each_present(space->directory, {VirtAddr(kUserBegin), VirtAddr(kUserEnd)}, [&](const spaces::PresentPage& page) {
            pages += page.size == PageSize::Small && frame_table::info(page.frame).use == FrameUse::Pageable;
        });
    }
    return pages;
}

void check_frames() {
    FrameCounts counts;
    for (uint32_t i = 0; i < frame_table::frame_count(); ++i) check_frame(FrameNumber(i), counts);
    KASSERT("the policy knows all frames that can leave, and no others", policy::count() == counts.leaving);
    KASSERT("every page that shows a pageable frame is found from it", pages_that_can_leave() == counts.mappings);
}

void count_entries_of(const AddressSpace& space, SlotCounts& slots) {
    for (VirtAddr begin(kUserBegin); begin < VirtAddr(kUserEnd); begin = begin + kLargePageSize) {
        const Pde pde = spaces::directory_entry(space.directory, begin);
        if (!pde.is_table()) continue;
        const FrameMemory table = frame_memory(pde.frame());
        for (size_t i = 0; i < kPagesPerLargePage; ++i) {
            const Pte entry = table.as<Pte>()[i];
            if (entry.is_swapped()) ++slots.of(entry.slot()).entries;
        }
    }
}

void count_entries(SlotCounts& slots) {
    for (const AddressSpace* space = spaces::first_space(); space; space = space->next_space) count_entries_of(*space, slots);
    for_each_swapped_page([](void* context, SwapSlot slot) { ++static_cast<SlotCounts*>(context)->of(slot).entries; }, &slots);
}

/// @return how many there are
size_t count_copies(SlotCounts& slots) {
    size_t copies = 0;
    for (uint32_t i = 0; i < frame_table::frame_count(); ++i) {
        const SwapSlot slot = swap::slot_of(FrameNumber(i));
        if (slot == SwapSlot(0)) continue;
        const FrameUse use = frame_table::info(FrameNumber(i)).use;
        KASSERT("the copy of a slot is a frame that is in use", use == FrameUse::Allocated || use == FrameUse::Pageable);
        ++slots.of(slot).copies;
        ++copies;
    }
    return copies;
}

void compare(SlotCounts& slots) {
    count_entries(slots);
    const swap::Statistics statistics = swap::statistics();
    KASSERT("the swap counts its copies right", count_copies(slots) == statistics.copies);
    size_t used = 0;
    for (uint32_t i = 1; i < swap_area::slots(); ++i) {
        const SlotCount& slot = slots.of(SwapSlot(i));
        KASSERT("a slot has as many entries as there are in page tables and objects", slot.entries == swap::entries(SwapSlot(i)));
        KASSERT("a slot has one copy at most", slot.copies <= 1);
        used += slot.entries > 0 || slot.copies > 0;
    }
    KASSERT("a slot without entries and without a copy is free", used + statistics.free == statistics.slots);
}

} // namespace

Result<void> check_invariants() {
    if (!is_initialized()) return {};
    for (const AddressSpace* space = spaces::first_space(); space; space = space->next_space) spaces::check_invariants(space);
    check_frames();
    if (!swaps) return {};
    SlotCounts slots = TRY(SlotCounts::create());
    compare(slots);
    slots.destroy();
    return {};
}

} // namespace mm::reclaim
