// Tables first, pages later: prepare() makes sure that every slot of a range has a page table, and notes each old PDE in a log.
// If memory ends half way, the log is played back. After it nothing can fail, and the work is done page by page.
#include "mm/paging/page_table.h"

#include <array>

#include "config.h"
#include "lib/panic.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace mm::page_table {
namespace {

constexpr uint32_t kFirstShared = kSharedBegin >> kLargePageShift;
constexpr uint32_t kFirstUser = kUserBegin >> kLargePageShift;
constexpr uint32_t kOwnSlot = kPieceSlot >> kLargePageShift;
constexpr uint64_t kEndOfAddresses = uint64_t{1} << 32;

struct LogEntry {
    uint32_t slot;
    Pde old;
};

// One slot each at most: no range is longer than the user range.
constinit std::array<LogEntry, 1024> undo_log{};
constinit size_t undo_count = 0;

constinit std::array<FrameNumber, 1024> known{};
constinit size_t known_count = 0;

Pde get(PageDirectory directory, uint32_t slot) { return frame_memory(directory.frame).as<Pde>()[slot]; }

void put(PageDirectory directory, uint32_t slot, Pde pde) {
    frame_memory(directory.frame).as<Pde>()[slot] = pde;
    if (slot < kFirstShared || slot == kOwnSlot) return;
    for (size_t i = 0; i < known_count; ++i) frame_memory(known[i]).as<Pde>()[slot] = pde;
}

Pte get_pte(FrameNumber table, uint32_t index) { return frame_memory(table).as<Pte>()[index]; }
void put_pte(FrameNumber table, uint32_t index, Pte pte) { frame_memory(table).as<Pte>()[index] = pte; }

void release(FrameNumber frame) { KASSERT("the frame of a page table is ours", !frames::release(frame).is_error()); }

uint32_t notes(uint32_t word) { return word & (entry_bits::kAccessed | entry_bits::kDirty); }

/// Puts a table into the slot, with what the slot meant before.
Result<void> make_table(PageDirectory directory, uint32_t slot) {
    const Pde old = get(directory, slot);
    const FrameNumber table = TRY(frames::allocate(Zone::Normal, Contents::Zeroed));
    for (uint32_t i = 0; old.is_large_page() && i < 1024; ++i) {
        put_pte(table, i, Pte::from_word(Pte::present(old.frame() + i, old.rights()).word() | notes(old.word())));
    }
    undo_log[undo_count++] = {slot, old};
    const bool shared = slot >= kFirstShared;
    put(directory, slot, Pde::table(table, Access::ReadWrite, shared ? Privilege::Supervisor : Privilege::User));
    return {};
}

void undo(PageDirectory directory) {
    while (undo_count > 0) {
        const LogEntry entry = undo_log[--undo_count];
        const FrameNumber table = get(directory, entry.slot).frame();
        // A large page that is put back has not been used in between, and its translations are the same as before.
        put(directory, entry.slot, entry.old);
        release(table);
    }
}

bool covers_slot(uint64_t begin, uint64_t end, uint32_t slot) {
    const uint64_t low = uint64_t{slot} << kLargePageShift;
    return begin <= low && low + kLargePageSize <= end;
}

/// Makes tables where `wanted(slot's entry, covered as a whole)` says so. All, or none.
template <typename Wanted>
Result<void> prepare(PageDirectory directory, uint64_t begin, uint64_t end, Wanted wanted) {
    undo_count = 0;
    for (uint32_t slot = begin >> kLargePageShift; uint64_t{slot} << kLargePageShift < end; ++slot) {
        if (!wanted(get(directory, slot), covers_slot(begin, end, slot))) continue;
        const auto made = make_table(directory, slot);
        if (!made.is_error()) continue;
        undo(directory);
        return made;
    }
    return {};
}

void forget(PageDirectory directory, uint64_t at) {
    if (at >= kSharedBegin || directory == active_directory()) tlb::invalidate_page(VirtAddr(static_cast<uint32_t>(at)));
}

Result<void> check_range(PageDirectory directory, uint64_t begin, uint64_t bytes, uint32_t size) {
    if (bytes == 0) return Error::InvalidArgument;
    if (begin % size != 0) return Error::Misaligned;
    const uint64_t end = begin + bytes;
    if (begin >= kUserBegin && end <= kUserEnd) return {};
    if (begin >= kSharedBegin && end <= kEndOfAddresses && directory == kernel_directory()) return {};
    return Error::OutOfRange;
}

bool rights_fit(uint64_t begin, Rights rights) {
    return begin < kSharedBegin ? rights.scope == Scope::Local : rights.privilege == Privilege::Supervisor;
}

void drop_table_if_empty(PageDirectory directory, uint32_t slot) {
    if (slot >= kFirstShared) return;
    const Pde pde = get(directory, slot);
    if (!pde.is_table()) return;
    for (uint32_t i = 0; i < 1024; ++i) {
        if (!get_pte(pde.frame(), i).is_empty()) return;
    }
    put(directory, slot, Pde::empty());
    // Also forgets that the PDE led to this table.
    forget(directory, uint64_t{slot} << kLargePageShift);
    release(pde.frame());
}

Result<void> map_large(PageDirectory directory, uint64_t begin, FrameNumber first, size_t count, Rights rights) {
    for (size_t i = 0; i < count; ++i) {
        const uint64_t at = begin + i * uint64_t{kLargePageSize};
        const uint32_t slot = at >> kLargePageShift;
        const Pde old = get(directory, slot);
        put(directory, slot, Pde::large_page(first + i * 1024, rights));
        for (uint32_t page = 0; page < (old.is_table() ? 1024u : 1u); ++page) forget(directory, at + page * kPageSize);
        if (old.is_table()) release(old.frame());
    }
    return {};
}

} // namespace

Result<PageDirectory> create() {
    if (known_count == known.size()) return Error::OutOfMemory;
    const FrameNumber frame = TRY(frames::allocate(Zone::Normal, Contents::Zeroed));
    copy_frame(frame, kernel_directory().frame);
    for (uint32_t slot = kFirstUser; slot < kFirstShared; ++slot) frame_memory(frame).as<Pde>()[slot] = Pde::empty();
    known[known_count++] = frame;
    return PageDirectory{frame};
}

Result<void> destroy(PageDirectory directory) {
    if (directory == kernel_directory()) return Error::InvalidArgument;
    if (directory == active_directory()) return Error::Busy;
    for (size_t i = 0; i < known_count; ++i) {
        if (known[i] != directory.frame) continue;
        known[i] = known[--known_count];
        break;
    }
    for (uint32_t slot = kFirstUser; slot < kFirstShared; ++slot) {
        const Pde pde = get(directory, slot);
        if (pde.is_table()) release(pde.frame());
    }
    return frames::release(directory.frame);
}

Result<void> map(PageDirectory directory, VirtAddr start, FrameNumber first, size_t count, PageSize size, Rights rights) {
    const uint32_t bytes = static_cast<uint32_t>(size);
    const uint64_t begin = start.value(), end = begin + uint64_t{count} * bytes;
    if (first.value() % (bytes / kPageSize) != 0) return Error::Misaligned;
    TRY(check_range(directory, begin, end - begin, bytes));
    if (!rights_fit(begin, rights)) return Error::InvalidArgument;
    if (uint64_t{first.value()} + (end - begin) / kPageSize > kMaxFrames) return Error::OutOfRange;
    if (size == PageSize::Large) {
        if (!CONFIG_LARGE_PAGES || begin >= kSharedBegin) return Error::Unsupported;
        return map_large(directory, begin, first, count, rights);
    }
    TRY(prepare(directory, begin, end, [](Pde pde, bool) { return !pde.is_table(); }));
    for (uint64_t at = begin; at < end; at += kPageSize, ++first) {
        const VirtAddr address(static_cast<uint32_t>(at));
        put_pte(get(directory, address.directory_index()).frame(), address.table_index(), Pte::present(first, rights));
        forget(directory, at);
    }
    return {};
}

Result<void> unmap(PageDirectory directory, VirtAddr start, size_t count) {
    const uint64_t begin = start.value(), end = begin + uint64_t{count} * kPageSize;
    TRY(check_range(directory, begin, end - begin, kPageSize));
    TRY(prepare(directory, begin, end, [](Pde pde, bool whole) { return pde.is_large_page() && !whole; }));
    for (uint64_t at = begin; at < end; at += kPageSize) {
        const VirtAddr address(static_cast<uint32_t>(at));
        const uint32_t slot = address.directory_index();
        const Pde pde = get(directory, slot);
        if (pde.is_large_page()) put(directory, slot, Pde::empty());
        if (pde.is_table()) put_pte(pde.frame(), address.table_index(), Pte::empty());
        if (pde.is_present()) forget(directory, at);
        if (address.table_index() == 1023 || at + kPageSize == end) drop_table_if_empty(directory, slot);
    }
    return {};
}

Result<void> protect(PageDirectory directory, VirtAddr start, size_t count, Rights rights) {
    const uint64_t begin = start.value(), end = begin + uint64_t{count} * kPageSize;
    TRY(check_range(directory, begin, end - begin, kPageSize));
    if (!rights_fit(begin, rights)) return Error::InvalidArgument;
    for (uint64_t at = begin; at < end; at += kPageSize) TRY(translate(directory, VirtAddr(static_cast<uint32_t>(at))));
    TRY(prepare(directory, begin, end, [](Pde pde, bool whole) { return pde.is_large_page() && !whole; }));
    for (uint64_t at = begin; at < end; at += kPageSize) {
        const VirtAddr address(static_cast<uint32_t>(at));
        const uint32_t slot = address.directory_index(), index = address.table_index();
        const Pde pde = get(directory, slot);
        if (pde.is_large_page()) {
            put(directory, slot, Pde::from_word(Pde::large_page(pde.frame(), rights).word() | notes(pde.word())));
        } else {
            const Pte old = get_pte(pde.frame(), index);
            put_pte(pde.frame(), index, Pte::from_word(Pte::present(old.frame(), rights).word() | notes(old.word())));
        }
        forget(directory, at);
    }
    return {};
}

Result<Translation> translate(PageDirectory directory, VirtAddr address) {
    const Pde pde = get(directory, address.directory_index());
    if (!pde.is_present()) return Error::NotMapped;
    if (pde.is_large_page()) return Translation{pde.frame().address() + (address.value() & 0x3F'FFFF), PageSize::Large, pde.rights()};
    const Pte pte = get_pte(pde.frame(), address.table_index());
    if (!pte.is_present()) return Error::NotMapped;
    const uint32_t both = pde.word() & pte.word();
    Rights rights = entry_bits::rights(both);
    rights.scope = pte.rights().scope;
    return Translation{pte.frame().address() + address.page_offset(), PageSize::Small, rights};
}

} // namespace mm::page_table
