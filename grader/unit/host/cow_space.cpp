#include "host/cow_space.h"

#include <algorithm>
#include <cstring>

#include "host/paging.h"
#include "lib/panic.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"

namespace {

using namespace mm;

constexpr uint32_t kUserSlots[] = {kUserBegin / kLargePageSize, kUserEnd / kLargePageSize};
constexpr Rights kEveryRight{Access::ReadWrite, Privilege::User, Scope::Local};

FrameNumber zeros{0};

/// Page tables and directories lie in identity-mapped memory.
uint32_t* words_of(FrameNumber frame) { return pointer_to<uint32_t>(VirtAddr(frame.address().value())); }

uint32_t& pde_of(PageDirectory directory, VirtAddr address) { return words_of(directory.frame)[address.directory_index()]; }

void must_be_user_pages(VirtAddr start, size_t count) {
    KASSERT("a page begins at a multiple of its size", start.page_offset() == 0);
    KASSERT("pages lie in the user range", count > 0 && start >= VirtAddr(kUserBegin) && start < VirtAddr(kUserEnd) &&
                                              count <= (kUserEnd - start.value()) / kPageSize);
}

/// The entry for a page, or null.
uint32_t* find_entry(PageDirectory directory, VirtAddr page) {
    const Pde pde = Pde::from_word(pde_of(directory, page));
    return pde.is_table() ? words_of(pde.frame()) + page.table_index() : nullptr;
}

Result<uint32_t*> make_entry(PageDirectory directory, VirtAddr page) {
    if (uint32_t* const entry = find_entry(directory, page)) return entry;
    const FrameNumber table = TRY(frames::allocate(Zone::Normal, Contents::Zeroed));
    pde_of(directory, page) = Pde::table(table, Access::ReadWrite, Privilege::User).word();
    return find_entry(directory, page);
}

bool is_present(const uint32_t* entry) { return entry && (*entry & entry_bits::kPresent); }

} // namespace

namespace mm {

AddressSpace::AddressSpace() : directory{frames::allocate(Zone::Normal, Contents::Zeroed).value()} {
    const uint32_t* const kernels = words_of(kernel_directory().frame);
    for (uint32_t slot = 0; slot < kPagesPerLargePage; ++slot)
        if (slot < kUserSlots[0] || slot >= kUserSlots[1]) words_of(directory.frame)[slot] = kernels[slot];
}

AddressSpace::~AddressSpace() {
    for (uint32_t slot = kUserSlots[0]; slot < kUserSlots[1]; ++slot) {
        const Pde pde = Pde::from_word(words_of(directory.frame)[slot]);
        if (pde.is_present()) (void)frames::release(pde.frame());
    }
    (void)frames::release(directory.frame);
}

namespace areas {

const Area* find(const Set* set, VirtAddr address) {
    const auto found = std::ranges::find_if(set->list, [=](const Area& area) { return area.range.contains(address); });
    return found == set->list.end() ? nullptr : &*found;
}

} // namespace areas

namespace page_table {

Result<Translation> translate(PageDirectory directory, VirtAddr address) {
    const uint32_t* const entry = find_entry(directory, address);
    if (!is_present(entry)) return Error::NotMapped;
    const Pte pte = Pte::from_word(*entry);
    return Translation{pte.frame().address() + address.page_offset(), PageSize::Small, pte.rights()};
}

Result<void> map(PageDirectory directory, VirtAddr start, FrameNumber first, size_t count, PageSize size, Rights rights) {
    must_be_user_pages(start, count);
    KASSERT("all pages are small, and none is the kernel's alone", size == PageSize::Small && rights.scope == Scope::Local);
    for (size_t i = 0; i < count; ++i) TRY(make_entry(directory, start + i * kPageSize)); // pages of tests lie close together
    for (size_t i = 0; i < count; ++i) {
        *find_entry(directory, start + i * kPageSize) = Pte::present(first + static_cast<uint32_t>(i), rights).word();
        tlb::invalidate_page(start + i * kPageSize);
    }
    return {};
}

Result<void> protect(PageDirectory directory, VirtAddr start, size_t count, Rights rights) {
    must_be_user_pages(start, count);
    for (size_t i = 0; i < count; ++i)
        if (!is_present(find_entry(directory, start + i * kPageSize))) return Error::NotMapped;
    for (size_t i = 0; i < count; ++i) {
        uint32_t& entry = *find_entry(directory, start + i * kPageSize);
        entry = (entry & ~entry_bits::of(kEveryRight)) | entry_bits::of(rights);
        tlb::invalidate_page(start + i * kPageSize);
    }
    return {};
}

Result<void> unmap(PageDirectory directory, VirtAddr start, size_t count) {
    must_be_user_pages(start, count);
    for (size_t i = 0; i < count; ++i) {
        const VirtAddr page = start + i * kPageSize;
        uint32_t* const entry = find_entry(directory, page);
        if (!entry) continue;
        *entry = 0;
        tlb::invalidate_page(page);
        uint32_t* const table = entry - page.table_index();
        if (std::any_of(table, table + kPagesPerLargePage, [](uint32_t word) { return word & entry_bits::kPresent; })) continue;
        const FrameNumber frame = Pde::from_word(pde_of(directory, page)).frame();
        pde_of(directory, page) = 0;
        (void)frames::release(frame);
    }
    return {};
}

} // namespace page_table

namespace spaces {

FrameNumber zero_frame() { return zeros; }
PageDirectory directory(const AddressSpace* space) { return space->directory; }
const areas::Set* areas_of(const AddressSpace* space) { return &space->areas; }
SpaceLimits& limits(AddressSpace* space) { return space->limits; }
const Area* find_area(AddressSpace* space, VirtAddr address) { return areas::find(&space->areas, address); }
bool is_resident(const AddressSpace* space, VirtAddr address) { return is_present(find_entry(space->directory, address)); }
void count_added_pages(AddressSpace* space, size_t pages) { space->resident += pages; }

SlotContents slot_contents(const AddressSpace* space, VirtAddr address) {
    return Pde::from_word(pde_of(space->directory, address)).is_table() ? SlotContents::PageTable : SlotContents::Empty;
}

Result<FrameNumber> page_table_for(AddressSpace* space, VirtAddr address) {
    must_be_user_pages(VirtAddr(align_down(address.value(), kPageSize)), 1);
    TRY(make_entry(space->directory, address));
    return Pde::from_word(pde_of(space->directory, address)).frame();
}

Result<void> add_page(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, PageSize size, Access access) {
    KASSERT("a page lies in its area", size == PageSize::Small && area.range.contains(page));
    KASSERT("a page grants no more than its area", access == Access::ReadOnly || area.protection.write);
    KASSERT("a page is added where none is", !is_resident(space, page));
    const FrameInfo& info = frame_table::info(frame);
    KASSERT("a page shows a frame that somebody has", info.use == FrameUse::Allocated && info.references > 0);
    if (space->resident >= space->limits.resident) return Error::LimitReached;
    const bool grants = area.protection.read || area.protection.write || area.protection.execute;
    TRY(page_table::map(space->directory, page, frame, 1, size, {access, grants ? Privilege::User : Privilege::Supervisor, Scope::Local}));
    ++space->resident;
    return {};
}

} // namespace spaces
} // namespace mm

namespace host {

void make_zero_frame() { zeros = frames::allocate(Zone::Normal, Contents::Zeroed).value(); }

uint32_t* entry_of(const AddressSpace& space, VirtAddr page) { return find_entry(space.directory, page); }

} // namespace host
