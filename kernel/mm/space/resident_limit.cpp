// A space that may show no more pages gives one of its own for the next.
#include "lib/panic.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"
#include "mm/space/pageable.h"
#include "mm/space/present_pages.h"
#include "mm/space/space.h"
#include "mm/space/user_layout.h"

namespace mm::spaces {

namespace {

/// With fewer pages than these a program could not go on: one instruction needs its own page, a stack, operands.
constexpr size_t kLeastShown = 16;

void forget_translation(const AddressSpace& space, VirtAddr page) {
    if (space.directory == active_directory()) tlb::invalidate_page(page);
}

/// One page that the hand has come to.
/// @return whether it has gone
bool try_page(AddressSpace& space, VirtAddr page, Pte& entry, const PageTaker& taker) {
    const FrameNumber frame = entry.frame();
    if (taker.was_used(entry)) {
        forget_translation(space, page);
        return false;
    }
    if (frame == zero_frame()) {
        entry = Pte::empty();
        forget_translation(space, page);
        --space.resident;
        KASSERT("a page of zeros has a reference of their frame", !frames::release(frame).is_error());
        return true;
    }
    return frame_table::info(frame).use == FrameUse::Pageable && taker.take(frame);
}

/// Lets the hand go on through the pages of one page table, to `end` at most. @return whether a page has gone
bool search_table(AddressSpace& space, FrameNumber table, VirtAddr end, const PageTaker& taker) {
    const FrameMemory memory = frame_memory(table);
    while (space.hand < end) {
        const VirtAddr page = space.hand;
        space.hand = page + kPageSize;
        Pte& entry = memory.as<Pte>()[page.table_index()];
        if (entry.is_present() && try_page(space, page, entry, taker)) return true;
    }
    return false;
}

} // namespace

bool is_full(const AddressSpace* space) { return space->resident >= space->limits.resident; }

bool give_one_page(AddressSpace& space, const PageTaker& taker) {
    constexpr size_t kSlots = (kUserEnd - kUserBegin) / kLargePageSize;
    constexpr size_t kTurns = 2; // the first may have done no more than to clear the accessed bits
    if (space.limits.resident < kLeastShown) return false;
    for (size_t slots = 0; slots <= kTurns * kSlots; ++slots) {
        if (space.hand >= VirtAddr(kUserEnd) || space.hand < VirtAddr(kUserBegin)) space.hand = VirtAddr(kUserBegin);
        const VirtAddr end = slot_end(space.hand, VirtAddr(kUserEnd));
        if (directory_entry(space.directory, space.hand).is_large_page()) split_one_of(space);
        const Pde pde = directory_entry(space.directory, space.hand);
        if (pde.is_table() && search_table(space, pde.frame(), end, taker)) return true;
        space.hand = end;
    }
    return false;
}

} // namespace mm::spaces
