// Page by page: each function looks up the directory entry anew for every page of its range. The page tables that a request needs are
// counted and taken before the first change.
#include "mm/paging/page_table.h"

#include "config.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace mm::page_table {
namespace {

constexpr uint64_t kAddresses = uint64_t{1} << 32;
constexpr uint32_t kNoted = entry_bits::kAccessed | entry_bits::kDirty;

constinit FrameNumber spare[1024];
constinit size_t spares = 0;

struct Range {
    PageDirectory directory;
    uint64_t begin, end;
    bool shared() const { return begin >= kSharedBegin; }
    uint64_t pages() const { return (end - begin) / kPageSize; }
};

VirtAddr address_of(uint64_t at) { return VirtAddr(static_cast<uint32_t>(at)); }
bool is_slot_start(uint64_t at) { return at % kLargePageSize == 0; }
bool has_whole_slot(const Range& range, uint64_t at) {
    const uint64_t slot = at / kLargePageSize * kLargePageSize;
    return range.begin <= slot && slot + kLargePageSize <= range.end;
}

Pde pde_at(PageDirectory directory, uint64_t at) { return frame_memory(directory.frame).as<Pde>()[address_of(at).directory_index()]; }
void set_pde(PageDirectory directory, uint64_t at, Pde pde) { frame_memory(directory.frame).as<Pde>()[address_of(at).directory_index()] = pde; }
Pte pte_at(FrameNumber table, uint64_t at) { return frame_memory(table).as<Pte>()[address_of(at).table_index()]; }
void set_pte(FrameNumber table, uint64_t at, Pte pte) { frame_memory(table).as<Pte>()[address_of(at).table_index()] = pte; }

Result<Range> range_of(PageDirectory directory, VirtAddr start, size_t count, uint32_t size) {
    if (count == 0) return Error::InvalidArgument;
    if (start.value() % size != 0) return Error::Misaligned;
    const Range range{directory, start.value(), start.value() + uint64_t{count} * size};
    const bool user = range.begin >= kUserBegin && range.end <= kUserEnd;
    const bool shared = range.shared() && range.end <= kAddresses && directory == kernel_directory();
    if (!user && !shared) return Error::OutOfRange;
    return range;
}

Result<void> check_rights(const Range& range, Rights rights) {
    if (range.shared() ? rights.privilege == Privilege::User : rights.scope == Scope::Global) return Error::InvalidArgument;
    return {};
}

void give_spares_back() {
    while (spares > 0) (void)frames::release(spare[--spares]);
}

/// Takes as many page tables as the range has slots for which `is_needed(PDE, the range covers the slot)` holds.
template <typename IsNeeded>
Result<void> take_spares(const Range& range, IsNeeded is_needed) {
    for (uint64_t at = range.begin; at < range.end; at = (at / kLargePageSize + 1) * kLargePageSize) {
        if (!is_needed(pde_at(range.directory, at), has_whole_slot(range, at))) continue;
        const auto taken = frames::allocate(Zone::Normal, Contents::Zeroed);
        if (taken.is_error()) return give_spares_back(), taken.error();
        spare[spares++] = taken.value();
    }
    return {};
}

bool is_split(Pde pde, bool whole) { return pde.is_large_page() && !whole; }

/// The page table for the page at `at`; a large page is split.
FrameNumber table_for(const Range& range, uint64_t at) {
    const Pde old = pde_at(range.directory, at);
    if (old.is_table()) return old.frame();
    const FrameNumber table = spare[--spares];
    for (uint32_t i = 0; old.is_large_page() && i < kPagesPerLargePage; ++i) {
        const uint32_t word = Pte::present(old.frame() + i, old.rights()).word() | (old.word() & kNoted);
        set_pte(table, uint64_t{i} << kPageShift, Pte::from_word(word));
    }
    set_pde(range.directory, at, Pde::table(table, Access::ReadWrite, range.shared() ? Privilege::Supervisor : Privilege::User));
    return table;
}

void forget(const Range& range, bool all) {
    if (!range.shared() && range.directory != active_directory()) return;
    if (range.shared() && range.pages() > kFullFlushPages) return tlb::flush_including_global();
    if (all || range.pages() > kFullFlushPages) return tlb::flush();
    for (uint64_t at = range.begin; at < range.end; at += kPageSize) tlb::invalidate_page(address_of(at));
}

bool is_empty(FrameNumber table) {
    for (uint64_t at = 0; at < kLargePageSize; at += kPageSize) {
        if (!pte_at(table, at).is_empty()) return false;
    }
    return true;
}

void map_large(const Range& range, FrameNumber first, Rights rights) {
    for (uint64_t at = range.begin; at < range.end; at += kLargePageSize) {
        const Pde old = pde_at(range.directory, at);
        set_pde(range.directory, at, Pde::large_page(first + static_cast<uint32_t>((at - range.begin) / kPageSize), rights));
        if (!old.is_table()) continue;
        forget(range, true);
        (void)frames::release(old.frame());
    }
    forget(range, true);
}

} // namespace

Result<PageDirectory> create() {
    const FrameNumber frame = TRY(frames::allocate(Zone::Normal, Contents::Zeroed));
    for (uint64_t at = 0; at < kAddresses; at += kLargePageSize) {
        if (at < kUserBegin || at >= kUserEnd) set_pde({frame}, at, pde_at(kernel_directory(), at));
    }
    return PageDirectory{frame};
}

Result<void> destroy(PageDirectory directory) {
    if (directory == kernel_directory()) return Error::InvalidArgument;
    if (directory == active_directory()) return Error::Busy;
    for (uint64_t at = kUserBegin; at < kUserEnd; at += kLargePageSize) {
        const Pde pde = pde_at(directory, at);
        if (pde.is_table()) (void)frames::release(pde.frame());
    }
    return frames::release(directory.frame);
}

Result<void> map(PageDirectory directory, VirtAddr start, FrameNumber first, size_t count, PageSize size, Rights rights) {
    const Range range = TRY(range_of(directory, start, count, static_cast<uint32_t>(size)));
    TRY(check_rights(range, rights));
    if (first.value() % (static_cast<uint32_t>(size) / kPageSize) != 0) return Error::Misaligned;
    if (first.value() + range.pages() > kMaxFrames) return Error::OutOfRange;
    if (size == PageSize::Large && (!CONFIG_LARGE_PAGES || range.shared())) return Error::Unsupported;
    if (size == PageSize::Large) return map_large(range, first, rights), Result<void>();
    TRY(take_spares(range, [](Pde pde, bool) { return !pde.is_table(); }));
    for (uint64_t at = range.begin; at < range.end; at += kPageSize) {
        set_pte(table_for(range, at), at, Pte::present(first + static_cast<uint32_t>((at - range.begin) / kPageSize), rights));
    }
    forget(range, false);
    return {};
}

Result<void> unmap(PageDirectory directory, VirtAddr start, size_t count) {
    const Range range = TRY(range_of(directory, start, count, kPageSize));
    TRY(take_spares(range, is_split));
    for (uint64_t at = range.begin; at < range.end; at += kPageSize) {
        const Pde pde = pde_at(directory, at);
        if (!pde.is_present()) continue;
        if (pde.is_large_page() && has_whole_slot(range, at)) {
            set_pde(directory, at, Pde::empty());
            continue;
        }
        const FrameNumber table = table_for(range, at);
        if (pte_at(table, at).is_present()) set_pte(table, at, Pte::empty());
    }
    forget(range, false);
    for (uint64_t at = range.begin; at < range.end && !range.shared(); at += kPageSize) {
        const Pde pde = pde_at(directory, at);
        if ((at != range.begin && !is_slot_start(at)) || !pde.is_table() || !is_empty(pde.frame())) continue;
        set_pde(directory, at, Pde::empty());
        if (directory == active_directory()) tlb::invalidate_page(address_of(at));
        (void)frames::release(pde.frame());
    }
    return {};
}

Result<void> protect(PageDirectory directory, VirtAddr start, size_t count, Rights rights) {
    const Range range = TRY(range_of(directory, start, count, kPageSize));
    TRY(check_rights(range, rights));
    for (uint64_t at = range.begin; at < range.end; at += kPageSize) TRY(translate(directory, address_of(at)));
    TRY(take_spares(range, is_split));
    for (uint64_t at = range.begin; at < range.end; at += kPageSize) {
        const Pde pde = pde_at(directory, at);
        if (pde.is_large_page() && has_whole_slot(range, at)) {
            set_pde(directory, at, Pde::from_word(Pde::large_page(pde.frame(), rights).word() | (pde.word() & kNoted)));
            continue;
        }
        const FrameNumber table = table_for(range, at);
        const Pte old = pte_at(table, at);
        set_pte(table, at, Pte::from_word(Pte::present(old.frame(), rights).word() | (old.word() & kNoted)));
    }
    forget(range, false);
    return {};
}

Result<Translation> translate(PageDirectory directory, VirtAddr address) {
    const Pde pde = pde_at(directory, address.value());
    if (!pde.is_present()) return Error::NotMapped;
    if (pde.is_large_page()) {
        return Translation{pde.frame().address() + address.value() % kLargePageSize, PageSize::Large, pde.rights()};
    }
    const Pte pte = pte_at(pde.frame(), address.value());
    if (!pte.is_present()) return Error::NotMapped;
    Rights rights = entry_bits::rights(pde.word() & pte.word());
    rights.scope = pte.rights().scope;
    return Translation{pte.frame().address() + address.page_offset(), PageSize::Small, rights};
}

} // namespace mm::page_table
