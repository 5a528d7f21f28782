/// @file
/// Page tables: the reference of lab 02-paging. The contract is mm/paging/page_table.h.
///
///      address   31 ........ 22 21 ........ 12 11 ......... 0
///                | slot (PDE)  |  entry (PTE) |   offset    |
///
/// A range of pages is worked on slot by slot: a *slot* is one directory entry and the 4 MiB below it.
///
/// map(), unmap() and protect() all go the same way, which is what makes them all-or-nothing:
///   1. check the request: nothing is touched before every argument is known to be good;
///   2. take every page table that the change will need (`spare`); only here can memory run out;
///   3. change the entries: nothing can fail any more;
///   4. forget the old translations (forget());
///   5. give tables back that became empty (`retired`), last, because until step 4 the CPU may still walk them.
#include "mm/paging/page_table.h"

#include <cstddef>
#include <cstdint>

#include "config.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace mm::page_table {
namespace {

constexpr uint32_t kEntries = 1024;                   // In a directory, and in a table.
constexpr uint32_t kPages = uint32_t{1} << 20;        // In the whole address space.
constexpr uint32_t kUserSlot = VirtAddr(kUserBegin).directory_index();
constexpr uint32_t kSharedSlot = VirtAddr(kSharedBegin).directory_index();

/// What a page keeps when its rights change or its large page is split: what the CPU noted, cache bits, marks of software.
constexpr uint32_t kKeptBits = entry_bits::kAccessed | entry_bits::kDirty | entry_bits::kWriteThrough |
                               entry_bits::kCacheDisable | entry_bits::kAvailable;

constexpr bool is_shared(uint32_t slot) { return slot >= kSharedSlot; }
constexpr bool is_user(uint32_t slot) { return kUserSlot <= slot && slot < kSharedSlot; }

/// Pages [begin, end) by number (address / 4096). The end of the last page of the address space is 2^20: as an address it
/// would be 0, as a page number it is just a number.
struct PageRange {
    uint32_t begin;
    uint32_t end;
    constexpr uint32_t count() const { return end - begin; }
    constexpr bool shared() const { return is_shared(begin / kEntries); }
};

/// The part of a range that lies in one slot: its entries [first, end) out of 0 to 1024.
struct SlotPart {
    uint32_t slot;
    uint32_t first;
    uint32_t end;
    constexpr bool whole() const { return first == 0 && end == kEntries; }
    constexpr uint32_t page() const { return slot * kEntries + first; }
};

/// `for (SlotPart part : SlotParts(range))` visits the slots of a range in order.
class SlotParts {
public:
    constexpr explicit SlotParts(PageRange range) : range_(range) {}
    struct Iterator {
        uint32_t page, end;
        constexpr bool operator!=(const Iterator& other) const { return page != other.page; }
        constexpr SlotPart operator*() const { return {page / kEntries, page % kEntries, stop() - page / kEntries * kEntries}; }
        constexpr void operator++() { page = stop(); }
        constexpr uint32_t stop() const {
            uint32_t next = (page / kEntries + 1) * kEntries;
            return next < end ? next : end;
        }
    };
    constexpr Iterator begin() const { return {range_.begin, range_.end}; }
    constexpr Iterator end() const { return {range_.end, range_.end}; }

private:
    PageRange range_;
};

/// Frames of page tables that no directory points to: those taken in advance, or those on their way back. They are chained
/// through their first word, as an entry that is not present. Whatever is left at the end of its life is given back.
class TableStack {
public:
    TableStack() = default;
    TableStack(const TableStack&) = delete;
    TableStack& operator=(const TableStack&) = delete;
    ~TableStack() {
        while (count_ > 0) {
            bool released = !frames::release(pop()).is_error();
            KASSERT("a page table that we took is ours to give back", released);
        }
    }

    void push(FrameNumber table) {
        frame_memory(table).as<uint32_t>()[0] = top_.address().value();
        top_ = table;
        ++count_;
    }

    FrameNumber pop() {
        KASSERT("every page table that a change needs was taken before the change", count_ > 0);
        FrameNumber table = top_;
        uint32_t& link = frame_memory(table).as<uint32_t>()[0];
        top_ = FrameNumber::containing(PhysAddr(link));
        link = 0;
        --count_;
        return table;
    }

private:
    FrameNumber top_;
    size_t count_ = 0;
};

Pde read_pde(PageDirectory directory, uint32_t slot) { return frame_memory(directory.frame).as<Pde>()[slot]; }

void store_pde(PageDirectory directory, uint32_t slot, Pde pde) { frame_memory(directory.frame).as<Pde>()[slot] = pde; }

/// Takes the kernel's entries [first, end) over.
void copy_slots(PageDirectory directory, uint32_t first, uint32_t end) {
    auto from = frame_memory(kernel_directory().frame), to = frame_memory(directory.frame);
    memcpy(to.as<uint32_t>() + first, from.as<uint32_t>() + first, (end - first) * sizeof(Pde));
}

/// A table's PDE allows all that the range may ever allow; the PTEs decide. So changing one page never touches its 1023
/// neighbours.
Pde table_pde(FrameNumber table, uint32_t slot) {
    return Pde::table(table, Access::ReadWrite, is_shared(slot) ? Privilege::Supervisor : Privilege::User);
}

constexpr uint32_t with_rights(uint32_t kept_from, uint32_t entry) { return entry | (kept_from & kKeptBits); }

/// Fills `table` with 1024 pages that are together exactly what `large` is.
void fill_from_large_page(FrameNumber table, Pde large) {
    auto memory = frame_memory(table);
    for (uint32_t i = 0; i < kEntries; ++i) {
        Pte pte = Pte::present(large.frame() + i, large.rights());
        memory.as<Pte>()[i] = Pte::from_word(with_rights(large.word(), pte.word()));
    }
}

/// The page table of a slot. If there is none, one is taken from `spare` and put there: empty, or as a split large page.
FrameNumber ensure_table(PageDirectory directory, uint32_t slot, TableStack& spare) {
    Pde pde = read_pde(directory, slot);
    if (pde.is_table()) return pde.frame();
    FrameNumber table = spare.pop();
    if (pde.is_large_page()) fill_from_large_page(table, pde);
    store_pde(directory, slot, table_pde(table, slot));
    return table;
}

/// Whether nothing is in the page table any more: no page, no swap entry. Eight entries at a time, and those around the part that was
/// unmapped first: what keeps a page table is mostly a neighbour, and is found at once.
bool is_empty(FrameNumber table, SlotPart unmapped) {
    constexpr uint32_t kGroups = kEntries / 8;
    auto memory = frame_memory(table);
    for (uint32_t i = 0; i < kGroups; ++i) {
        const Pte* group = memory.as<Pte>() + (unmapped.end / 8 + i) % kGroups * 8;
        uint32_t all = group[0].word() | group[1].word() | group[2].word() | group[3].word();
        all |= group[4].word() | group[5].word() | group[6].word() | group[7].word();
        if (all != 0) return false;
    }
    return true;
}

Result<void> take_tables(TableStack& spare, size_t count) {
    for (size_t i = 0; i < count; ++i) spare.push(TRY(frames::allocate(Zone::Normal, Contents::Zeroed)));
    return {};
}

/// One table for each slot whose large page the range covers only in part.
Result<void> take_tables_for_splits(PageDirectory directory, PageRange range, TableStack& spare) {
    size_t splits = 0;
    for (SlotPart part : SlotParts(range)) splits += !part.whole() && read_pde(directory, part.slot).is_large_page();
    return take_tables(spare, splits);
}

/// Turns a request into page numbers, or into the error that it deserves.
Result<PageRange> checked_range(PageDirectory directory, VirtAddr start, size_t count, PageSize size) {
    if (count == 0) return Error::InvalidArgument;
    if (!is_aligned(start.value(), static_cast<uint32_t>(size))) return Error::Misaligned;
    // In 64 bits, so that a huge count cannot wrap around to a small range.
    uint64_t begin = start.value() / kPageSize;
    uint64_t end = begin + uint64_t{count} * (static_cast<uint32_t>(size) / kPageSize);
    bool user = begin >= kUserBegin / kPageSize && end <= kUserEnd / kPageSize;
    bool shared = begin >= kSharedBegin / kPageSize && end <= kPages && directory == kernel_directory();
    if (!user && !shared) return Error::OutOfRange;
    return PageRange{static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
}

Result<void> check_rights(PageRange range, Rights rights) {
    if (range.shared() && rights.privilege == Privilege::User) return Error::InvalidArgument;
    if (!range.shared() && rights.scope == Scope::Global) return Error::InvalidArgument;
    return {};
}

/// Makes the TLB agree with the tables again. `step` is 1, or 1024 when every slot of the range held a large page or nothing:
/// one INVLPG forgets all of a large page.
void forget(PageDirectory directory, PageRange range, uint32_t step = 1) {
    // Local translations of a directory that CR3 does not point to were forgotten when CR3 was loaded (SDM 3A, 4.10.4.1).
    if (!range.shared() && directory != active_directory()) return;
    if (range.count() / step > kFullFlushPages) {
        if (range.shared()) tlb::flush_including_global();
        else tlb::flush();
        return;
    }
    for (uint32_t page = range.begin; page < range.end; page += step) tlb::invalidate_page(VirtAddr(page << kPageShift));
}

void map_large(PageDirectory directory, PageRange range, FrameNumber first, Rights rights) {
    TableStack retired;
    uint32_t step = kEntries;
    for (SlotPart part : SlotParts(range)) {
        Pde old = read_pde(directory, part.slot);
        store_pde(directory, part.slot, Pde::large_page(first + (part.page() - range.begin), rights));
        if (!old.is_table()) continue;
        retired.push(old.frame());
        step = 1; // The TLB may hold any of its 1024 small pages.
    }
    forget(directory, range, step);
}

Result<void> map_small(PageDirectory directory, PageRange range, FrameNumber first, Rights rights) {
    TableStack spare;
    size_t missing = 0;
    for (SlotPart part : SlotParts(range)) missing += !read_pde(directory, part.slot).is_table();
    TRY(take_tables(spare, missing));

    for (SlotPart part : SlotParts(range)) {
        auto memory = frame_memory(ensure_table(directory, part.slot, spare));
        for (uint32_t i = part.first; i < part.end; ++i) {
            memory.as<Pte>()[i] = Pte::present(first + (part.slot * kEntries + i - range.begin), rights);
        }
    }
    forget(directory, range);
    return {};
}

bool all_mapped(PageDirectory directory, PageRange range) {
    for (SlotPart part : SlotParts(range)) {
        Pde pde = read_pde(directory, part.slot);
        if (!pde.is_present()) return false;
        if (pde.is_large_page()) continue;
        auto memory = frame_memory(pde.frame());
        for (uint32_t i = part.first; i < part.end; ++i) {
            if (!memory.as<Pte>()[i].is_present()) return false;
        }
    }
    return true;
}

/// The commonest change by far: one small page of the user range, whose page table is there. Needs no memory and cannot fail.
/// @param change  makes the new entry of the old one; an empty answer asks for the general way
/// @return whether it is done
template <typename Change>
inline bool change_one(PageDirectory directory, VirtAddr page, Rights rights, Change change) {
    const bool is_common = page.page_offset() == 0 && is_user(page.directory_index()) && rights.scope == Scope::Local;
    if (!is_common) return false;
    const Pde pde = read_pde(directory, page.directory_index());
    if (!pde.is_table()) return false;
    auto memory = frame_memory(pde.frame());
    Pte& entry = memory.as<Pte>()[page.table_index()];
    const Pte old = entry, wanted = change(old);
    if (!wanted.is_present()) return false;
    entry = wanted;
    // The CPU remembers no entry that is not present (SDM 3A, 4.10.2.3), and none of a directory that CR3 does not point to.
    if (old.is_present() && directory == active_directory()) tlb::invalidate_page(page);
    return true;
}

inline bool map_one(PageDirectory directory, VirtAddr page, FrameNumber frame, Rights rights) {
    return frame.value() < kMaxFrames && change_one(directory, page, rights, [&](Pte) { return Pte::present(frame, rights); });
}

inline bool protect_one(PageDirectory directory, VirtAddr page, Rights rights) {
    return change_one(directory, page, rights, [&](Pte old) {
        return old.is_present() ? Pte::from_word(with_rights(old.word(), Pte::present(old.frame(), rights).word())) : Pte::empty();
    });
}

} // namespace

Result<PageDirectory> create() {
    PageDirectory directory{TRY(frames::allocate(Zone::Normal, Contents::Zeroed))};
    copy_slots(directory, 0, kUserSlot);
    copy_slots(directory, kSharedSlot, kEntries);
    return directory;
}

Result<void> destroy(PageDirectory directory) {
    if (directory == kernel_directory()) return Error::InvalidArgument;
    if (directory == active_directory()) return Error::Busy;
    TableStack retired;
    auto memory = frame_memory(directory.frame);
    const uint32_t* const slots = memory.as<uint32_t>();
    for (uint32_t slot = kUserSlot; slot < kSharedSlot; slot += 4) {
        if ((slots[slot] | slots[slot + 1] | slots[slot + 2] | slots[slot + 3]) == 0) continue; // most are empty
        for (uint32_t i = slot; i < slot + 4; ++i) {
            if (Pde pde = read_pde(directory, i); pde.is_table()) retired.push(pde.frame());
        }
    }
    return frames::release(directory.frame);
}

Result<void> map(PageDirectory directory, VirtAddr start, FrameNumber first, size_t count, PageSize size, Rights rights) {
    if (count == 1 && size == PageSize::Small && map_one(directory, start, first, rights)) return {};
    PageRange range = TRY(checked_range(directory, start, count, size));
    TRY(check_rights(range, rights));
    if (!is_aligned(first.value(), static_cast<uint32_t>(size) / kPageSize)) return Error::Misaligned;
    if (first.value() > kMaxFrames - range.count()) return Error::OutOfRange;
    if (size == PageSize::Small) return map_small(directory, range, first, rights);

    if (!CONFIG_LARGE_PAGES || range.shared()) return Error::Unsupported;
    map_large(directory, range, first, rights);
    return {};
}

Result<void> unmap(PageDirectory directory, VirtAddr start, size_t count) {
    PageRange range = TRY(checked_range(directory, start, count, PageSize::Small));
    TableStack spare;
    TRY(take_tables_for_splits(directory, range, spare));

    TableStack retired;
    for (SlotPart part : SlotParts(range)) {
        Pde pde = read_pde(directory, part.slot);
        if (!pde.is_present()) continue;
        if (pde.is_large_page() && part.whole()) {
            store_pde(directory, part.slot, Pde::empty());
            continue;
        }
        FrameNumber table = ensure_table(directory, part.slot, spare);
        auto memory = frame_memory(table);
        for (uint32_t i = part.first; i < part.end; ++i) memory.as<Pte>()[i] = Pte::empty();
        if (is_shared(part.slot) || !is_empty(table, part)) continue;
        store_pde(directory, part.slot, Pde::empty());
        retired.push(table);
    }
    forget(directory, range);
    return {};
}

Result<void> protect(PageDirectory directory, VirtAddr start, size_t count, Rights rights) {
    if (count == 1 && protect_one(directory, start, rights)) return {};
    PageRange range = TRY(checked_range(directory, start, count, PageSize::Small));
    TRY(check_rights(range, rights));
    if (!all_mapped(directory, range)) return Error::NotMapped;
    TableStack spare;
    TRY(take_tables_for_splits(directory, range, spare));

    for (SlotPart part : SlotParts(range)) {
        Pde pde = read_pde(directory, part.slot);
        if (pde.is_large_page() && part.whole()) {
            uint32_t word = Pde::large_page(pde.frame(), rights).word();
            store_pde(directory, part.slot, Pde::from_word(with_rights(pde.word(), word)));
            continue;
        }
        auto memory = frame_memory(ensure_table(directory, part.slot, spare));
        for (uint32_t i = part.first; i < part.end; ++i) {
            Pte& pte = memory.as<Pte>()[i];
            pte = Pte::from_word(with_rights(pte.word(), Pte::present(pte.frame(), rights).word()));
        }
    }
    forget(directory, range);
    return {};
}

Result<Translation> translate(PageDirectory directory, VirtAddr address) {
    Pde pde = read_pde(directory, address.directory_index());
    if (!pde.is_present()) return Error::NotMapped;
    if (pde.is_large_page()) {
        uint32_t offset = address.value() % kLargePageSize;
        return Translation{pde.frame().address() + offset, PageSize::Large, pde.rights()};
    }
    Pte pte = frame_memory(pde.frame()).as<Pte>()[address.table_index()];
    if (!pte.is_present()) return Error::NotMapped;
    Rights above = pde.rights();
    Rights rights = pte.rights();
    if (above.access == Access::ReadOnly) rights.access = Access::ReadOnly;
    if (above.privilege == Privilege::Supervisor) rights.privilege = Privilege::Supervisor;
    return Translation{pte.frame().address() + address.page_offset(), PageSize::Small, rights};
}

} // namespace mm::page_table
