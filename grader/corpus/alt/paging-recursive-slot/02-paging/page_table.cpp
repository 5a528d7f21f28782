// The recursive slot: PDE 1022 of every directory names the directory itself. The CPU then takes the directory for a page table, and
// all page tables of the active directory appear as pages from 0xFF800000 on, the directory among them at 0xFFBFE000.
#include "mm/paging/page_table.h"

#include <algorithm>

#include "config.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace mm::page_table {
namespace {

constexpr uint32_t kSelf = kPieceSlot / kLargePageSize;
constexpr uint32_t kUserFirst = kUserBegin / kLargePageSize;
constexpr uint32_t kUserLast = kUserEnd / kLargePageSize - 1;

uint32_t* window(uint32_t slot) { return reinterpret_cast<uint32_t*>(kPieceSlot + slot * kPageSize); }

/// One directory, seen through the window if it is the active one.
class Tables {
public:
    explicit Tables(PageDirectory directory) : directory_(directory), active_(directory == active_directory()) {
        if (!active_) return;
        const FrameMemory memory = frame_memory(directory.frame);
        Pde& self = memory.as<Pde>()[kSelf];
        // The kernel's directory, made at boot, has none yet.
        if (!self.is_present()) self = Pde::table(directory.frame, Access::ReadWrite, Privilege::Supervisor);
    }

    bool active() const { return active_; }

    Pde pde(uint32_t slot) const {
        if (active_) return Pde::from_word(window(kSelf)[slot]);
        return frame_memory(directory_.frame).as<Pde>()[slot];
    }

    void set_pde(uint32_t slot, Pde pde) const {
        frame_memory(directory_.frame).as<Pde>()[slot] = pde;
        // Another table shows in the window from now on.
        if (active_) tlb::invalidate_page(VirtAddr(kPieceSlot + slot * kPageSize));
    }

    Pte pte(uint32_t page) const {
        if (active_) return Pte::from_word(window(page / 1024)[page % 1024]);
        return frame_memory(pde(page / 1024).frame()).as<Pte>()[page % 1024];
    }

    void set_pte(uint32_t page, Pte pte) const {
        if (active_) window(page / 1024)[page % 1024] = pte.word();
        else frame_memory(pde(page / 1024).frame()).as<Pte>()[page % 1024] = pte;
    }

    bool maps(uint32_t page) const {
        const Pde entry = pde(page / 1024);
        return entry.is_large_page() || (entry.is_table() && pte(page).is_present());
    }

private:
    PageDirectory directory_;
    bool active_;
};

struct Pages {
    uint32_t first, last; // both included: the last page of the address space needs no special care
    bool shared() const { return first >= kSharedBegin / kPageSize; }
    bool whole(uint32_t slot) const { return first <= slot * 1024 && slot * 1024 + 1023 <= last; }
};

/// Page tables taken in advance. One request uses it at a time.
constinit FrameNumber taken[1024];
constinit size_t taken_count = 0;

Result<void> take(size_t count) {
    for (taken_count = 0; taken_count < count; ++taken_count) {
        const auto frame = frames::allocate(Zone::Normal, Contents::Zeroed);
        if (frame.is_error()) {
            while (taken_count > 0) (void)frames::release(taken[--taken_count]);
            return frame.error();
        }
        taken[taken_count] = frame.value();
    }
    return {};
}

Result<Pages> pages_of(PageDirectory directory, VirtAddr start, size_t count, uint32_t per_page) {
    constexpr uint32_t kLastPage = 0xFFFFF;
    const uint32_t first = start.value() / kPageSize;
    if (count == 0) return Error::InvalidArgument;
    if (start.page_offset() != 0 || first % per_page != 0) return Error::Misaligned;
    if (count > (kLastPage - first + 1) / per_page) return Error::OutOfRange;
    const Pages pages{first, first + static_cast<uint32_t>(count) * per_page - 1};
    if (first >= kUserBegin / kPageSize && pages.last < kUserEnd / kPageSize) return pages;
    if (pages.shared() && directory == kernel_directory()) return pages;
    return Error::OutOfRange;
}

bool fit(Pages pages, Rights rights) {
    return pages.shared() ? rights.privilege == Privilege::Supervisor : rights.scope == Scope::Local;
}

constexpr uint32_t kNotes = entry_bits::kAccessed | entry_bits::kDirty;

/// A table for the slot, out of those taken; a large page goes on as 1024 small ones.
void add_table(const Tables& tables, uint32_t slot) {
    const Pde old = tables.pde(slot);
    const FrameNumber table = taken[--taken_count];
    if (old.is_large_page()) {
        const FrameMemory memory = frame_memory(table);
        for (uint32_t i = 0; i < 1024; ++i) {
            const uint32_t word = Pte::present(old.frame() + i, old.rights()).word();
            memory.as<uint32_t>()[i] = word | (old.word() & kNotes);
        }
    }
    tables.set_pde(slot, Pde::table(table, Access::ReadWrite, slot > kUserLast ? Privilege::Supervisor : Privilege::User));
}

void forget(const Tables& tables, Pages pages) {
    if (!tables.active() && !pages.shared()) return;
    if (pages.last - pages.first >= kFullFlushPages) {
        pages.shared() ? tlb::flush_including_global() : tlb::flush();
        return;
    }
    for (uint32_t page = pages.first; page <= pages.last; ++page) tlb::invalidate_page(VirtAddr(page * kPageSize));
}

/// Large pages of which the range covers a part.
size_t splits(const Tables& tables, Pages pages) {
    size_t count = 0;
    for (uint32_t slot = pages.first / 1024; slot <= pages.last / 1024; ++slot) {
        if (tables.pde(slot).is_large_page() && !pages.whole(slot)) ++count;
    }
    return count;
}

Result<void> map_large(const Tables& tables, Pages pages, FrameNumber first, Rights rights) {
    for (uint32_t slot = pages.first / 1024; slot <= pages.last / 1024; ++slot) {
        const Pde old = tables.pde(slot);
        tables.set_pde(slot, Pde::large_page(first + (slot * 1024 - pages.first), rights));
        if (tables.active()) tlb::flush();
        if (old.is_table()) (void)frames::release(old.frame());
    }
    return {};
}

void return_if_empty(const Tables& tables, uint32_t slot) {
    const Pde pde = tables.pde(slot);
    if (slot > kUserLast || !pde.is_table()) return;
    for (uint32_t page = slot * 1024; page < slot * 1024 + 1024; ++page) {
        if (!tables.pte(page).is_empty()) return;
    }
    tables.set_pde(slot, Pde::empty());
    (void)frames::release(pde.frame());
}

} // namespace

Result<PageDirectory> create() {
    const FrameNumber frame = TRY(frames::allocate(Zone::Normal, Contents::Zeroed));
    const FrameMemory own = frame_memory(frame);
    const FrameMemory kernel = frame_memory(kernel_directory().frame);
    std::copy(kernel.as<uint32_t>(), kernel.as<uint32_t>() + kUserFirst, own.as<uint32_t>());
    std::copy(kernel.as<uint32_t>() + kUserLast + 1, kernel.as<uint32_t>() + 1024, own.as<uint32_t>() + kUserLast + 1);
    own.as<Pde>()[kSelf] = Pde::table(frame, Access::ReadWrite, Privilege::Supervisor);
    return PageDirectory{frame};
}

Result<void> destroy(PageDirectory directory) {
    if (directory == active_directory()) return directory == kernel_directory() ? Error::InvalidArgument : Error::Busy;
    if (directory == kernel_directory()) return Error::InvalidArgument;
    const Tables tables(directory);
    for (uint32_t slot = kUserFirst; slot <= kUserLast; ++slot) {
        if (tables.pde(slot).is_table()) (void)frames::release(tables.pde(slot).frame());
    }
    return frames::release(directory.frame);
}

Result<void> map(PageDirectory directory, VirtAddr start, FrameNumber first, size_t count, PageSize size, Rights rights) {
    const uint32_t per_page = size == PageSize::Large ? 1024 : 1;
    const Pages pages = TRY(pages_of(directory, start, count, per_page));
    if (!fit(pages, rights)) return Error::InvalidArgument;
    if (first.value() % per_page != 0) return Error::Misaligned;
    if (first.value() >= kMaxFrames || pages.last - pages.first > kMaxFrames - 1 - first.value()) return Error::OutOfRange;
    const Tables tables(directory);
    if (size == PageSize::Large) {
        if (!CONFIG_LARGE_PAGES || pages.shared()) return Error::Unsupported;
        return map_large(tables, pages, first, rights);
    }
    size_t missing = 0;
    for (uint32_t slot = pages.first / 1024; slot <= pages.last / 1024; ++slot) missing += !tables.pde(slot).is_table();
    TRY(take(missing));
    for (uint32_t page = pages.first; page <= pages.last; ++page) {
        if (!tables.pde(page / 1024).is_table()) add_table(tables, page / 1024);
        tables.set_pte(page, Pte::present(first + (page - pages.first), rights));
    }
    forget(tables, pages);
    return {};
}

Result<void> unmap(PageDirectory directory, VirtAddr start, size_t count) {
    const Pages pages = TRY(pages_of(directory, start, count, 1));
    const Tables tables(directory);
    TRY(take(splits(tables, pages)));
    for (uint32_t page = pages.first; page <= pages.last; ++page) {
        const uint32_t slot = page / 1024;
        if (tables.pde(slot).is_large_page() && pages.whole(slot)) tables.set_pde(slot, Pde::empty());
        if (tables.pde(slot).is_large_page()) add_table(tables, slot);
        if (tables.pde(slot).is_table()) tables.set_pte(page, Pte::empty());
    }
    forget(tables, pages);
    for (uint32_t slot = pages.first / 1024; slot <= pages.last / 1024; ++slot) return_if_empty(tables, slot);
    return {};
}

Result<void> protect(PageDirectory directory, VirtAddr start, size_t count, Rights rights) {
    const Pages pages = TRY(pages_of(directory, start, count, 1));
    if (!fit(pages, rights)) return Error::InvalidArgument;
    const Tables tables(directory);
    for (uint32_t page = pages.first; page <= pages.last; ++page) {
        if (!tables.maps(page)) return Error::NotMapped;
    }
    TRY(take(splits(tables, pages)));
    for (uint32_t page = pages.first; page <= pages.last; ++page) {
        const uint32_t slot = page / 1024;
        const Pde pde = tables.pde(slot);
        if (pde.is_large_page() && pages.whole(slot)) {
            tables.set_pde(slot, Pde::from_word(Pde::large_page(pde.frame(), rights).word() | (pde.word() & kNotes)));
            continue;
        }
        if (pde.is_large_page()) add_table(tables, slot);
        const Pte old = tables.pte(page);
        tables.set_pte(page, Pte::from_word(Pte::present(old.frame(), rights).word() | (old.word() & kNotes)));
    }
    forget(tables, pages);
    return {};
}

Result<Translation> translate(PageDirectory directory, VirtAddr address) {
    const Tables tables(directory);
    const uint32_t page = address.value() / kPageSize;
    if (!tables.maps(page)) return Error::NotMapped;
    const Pde pde = tables.pde(page / 1024);
    if (pde.is_large_page()) return Translation{pde.frame().address() + address.value() % kLargePageSize, PageSize::Large, pde.rights()};
    const Pte pte = tables.pte(page);
    const Rights upper = pde.rights(), lower = pte.rights();
    return Translation{pte.frame().address() + address.page_offset(), PageSize::Small,
                       {std::min(upper.access, lower.access), std::min(upper.privilege, lower.privilege), lower.scope}};
}

} // namespace mm::page_table
