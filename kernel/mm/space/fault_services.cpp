#include "mm/space/fault_services.h"

#include "lib/panic.h"
#include "mm/object/commit.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"
#include "mm/space/pageable.h"
#include "mm/space/present_pages.h"
#include "mm/space/space.h"
#include "mm/space/swap_services.h"

namespace mm::spaces {

namespace {

constinit FrameNumber zeros{0};

constexpr uint32_t kGrantsAll = entry_bits::kWritable | entry_bits::kUser;

/// A page table's entry for `address`.
Pte& entry_of(const FrameMemory& table, VirtAddr address) { return table.as<Pte>()[address.table_index()]; }

/// Whether the directory's entry stands in the way of no page of user code: both levels must allow an access. Lab 02's piece may keep
/// it tighter, as long as nothing below needs more.
bool grants_all(Pde pde) { return (pde.word() & kGrantsAll) == kGrantsAll; }

/// One page whose page table is there is all that most faults need: its entry is written here. False when it takes more than that.
bool show_in_table(const AddressSpace& space, VirtAddr page, FrameNumber frame, Rights rights) {
    const Pde pde = directory_entry(space.directory, page);
    if (!pde.is_table() || !grants_all(pde)) return false;
    entry_of(frame_memory(pde.frame()), page) = Pte::present(frame, rights);
    return true;
}

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
    const size_t promised = promised_pages(below);
    TRY(commit::promise(promised));
    const Result<void> inserted = areas::insert(space->areas, below);
    if (inserted.is_error()) {
        commit::take_back(promised);
        return inserted;
    }
    space->promised += promised;
    space->mapped += pages;
    if (grants_nothing(below.protection)) space->unreachable += pages;
    return {};
}

SlotContents slot_contents(const AddressSpace* space, VirtAddr address) {
    const Pde pde = directory_entry(space->directory, address);
    if (!pde.is_present()) return SlotContents::Empty;
    return pde.is_table() ? SlotContents::PageTable : SlotContents::LargePage;
}

PageState page_state(const AddressSpace* space, VirtAddr address) {
    const Pde pde = directory_entry(space->directory, address);
    uint32_t word = pde.word();
    if (pde.is_table()) word &= entry_of(frame_memory(pde.frame()), address).word(); // both levels must allow
    if (!(word & entry_bits::kPresent)) {
        const bool is_swapped = space->swapped > 0 && swap_entry(space, address) != SwapSlot(0);
        return is_swapped ? PageState::Swapped : PageState::Absent;
    }
    return word & entry_bits::kWritable ? PageState::Writable : PageState::ReadOnly;
}

Result<void> add_page(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, PageSize size, Access access) {
    const size_t pages = static_cast<uint32_t>(size) / kPageSize;
    if (space->swapped > 0 && swap_entry(space, page) != SwapSlot(0)) return Error::Exists;
    if (space->resident + pages > space->limits.resident) return Error::LimitReached;
    Rights rights = rights_of(area.protection);
    if constexpr (CONFIG_MEMORY_DEBUGGING) KASSERT("a page that is shown was absent", !is_present(space->directory, page));
    KASSERT("a page grants no more than its area", access == Access::ReadOnly || rights.access == Access::ReadWrite);
    rights.access = access;
    if (size == PageSize::Large || !show_in_table(*space, page, frame, rights)) {
        TRY(page_table::map(space->directory, page, frame, 1, size, rights));
        space->large_pages += size == PageSize::Large;
    }
    space->resident += pages;
    if (size == PageSize::Small) note_shown(*space, area, page, frame);
    return {};
}

Result<FrameNumber> page_table_for(AddressSpace* space, VirtAddr address) {
    const Pde pde = directory_entry(space->directory, address);
    if (pde.is_table()) {
        if (!grants_all(pde)) set_directory_entry(space->directory, address, Pde::from_word(pde.word() | kGrantsAll));
        return pde.frame();
    }
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
