// A tight directory: the PDE of a page table in the user range has the union of its pages' rights and no more, so that a walk can
// end early where nothing in the table could be allowed. refresh() counts the union anew after every change of a table, gives
// the table back if there is nothing left in it, and is the only place where PDEs of tables are written.
#include "mm/paging/page_table.h"

#include "config.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace mm::page_table {
namespace {

using entry_bits::kPresent;
using entry_bits::kUser;
using entry_bits::kWritable;

constexpr uint32_t kRightsBits = kWritable | kUser | entry_bits::kGlobal;

uint32_t& pde_word(const FrameMemory& directory, uint32_t address) { return directory.as<uint32_t>()[address >> 22]; }
bool is_large(uint32_t pde) { return (pde & kPresent) && (pde & entry_bits::kPageSize); }
bool is_table(uint32_t pde) { return (pde & kPresent) && !(pde & entry_bits::kPageSize); }
FrameNumber frame_of(uint32_t word) { return FrameNumber(word >> 12); }

/// A walk over a range, one directory entry after the other. Addresses are kept by their first and last byte: no end can wrap.
struct Part {
    uint32_t first, last;
    uint32_t begin_of_slot() const { return first & ~(uint32_t{kLargePageSize} - 1); }
    uint32_t end_of_slot() const { return first | (uint32_t{kLargePageSize} - 1); }
    bool whole() const { return first == begin_of_slot() && last == end_of_slot(); }
    uint32_t first_index() const { return first >> 12 & 1023; }
    uint32_t last_index() const { return last >> 12 & 1023; }
};

template <typename Visit>
void each_part(uint32_t first, uint32_t last, Visit visit) {
    for (uint32_t at = first;;) {
        Part part{at, last};
        if (part.end_of_slot() < last) part.last = part.end_of_slot();
        visit(part);
        if (part.last == last) return;
        at = part.last + 1;
    }
}

/// What a request needs besides its arguments.
struct Job {
    PageDirectory directory;
    uint32_t first, last; // bytes, both included
    uint32_t pages;
    bool present_before = false;

    bool shared() const { return first >= kSharedBegin; }
    bool concerns_cpu() const { return shared() || directory == active_directory(); }

    void changed(uint32_t address, bool was_present) {
        present_before |= was_present;
        if (was_present && concerns_cpu() && pages <= kFullFlushPages) tlb::invalidate_page(VirtAddr(address));
    }
    void finish() const {
        if (!present_before || !concerns_cpu() || pages <= kFullFlushPages) return;
        if (shared()) tlb::flush_including_global();
        else tlb::flush();
    }
};

Result<Job> job(PageDirectory directory, VirtAddr start, size_t count, uint32_t size) {
    if (count == 0) return Error::InvalidArgument;
    if (start.value() & (size - 1)) return Error::Misaligned;
    const uint32_t first = start.value();
    if (count - 1 > (0xFFFF'FFFF - first) / size) return Error::OutOfRange;
    const uint32_t last = first + static_cast<uint32_t>(count - 1) * size + (size - 1);
    const bool user = first >= kUserBegin && last < kUserEnd;
    const bool shared = first >= kSharedBegin && last > first && directory == kernel_directory();
    if (!user && !shared) return Error::OutOfRange;
    return Job{directory, first, last, static_cast<uint32_t>(count) * (size / kPageSize)};
}

bool allowed(const Job& job, Rights rights) {
    return job.shared() ? rights.privilege != Privilege::User : rights.scope != Scope::Global;
}

/// Frames taken before the first change, chained by the second word of each.
constinit FrameNumber spare_head{};
constinit uint32_t spares = 0;

FrameNumber take_spare() {
    KASSERT("enough tables were taken in advance", spares > 0);
    const FrameNumber frame = spare_head;
    const FrameMemory memory = frame_memory(frame);
    spare_head = FrameNumber(memory.as<uint32_t>()[1] >> 12);
    memory.as<uint32_t>()[1] = 0;
    --spares;
    return frame;
}

void give(FrameNumber frame) { KASSERT("page tables are frames of ours", !frames::release(frame).is_error()); }

Result<void> reserve(uint32_t count) {
    while (spares < count) {
        const auto frame = frames::allocate(Zone::Normal, Contents::Unspecified);
        if (frame.is_error()) {
            while (spares > 0) give(take_spare());
            return Error::OutOfMemory;
        }
        zero_frame(frame.value());
        frame_memory(frame.value()).as<uint32_t>()[1] = spare_head.value() << 12;
        spare_head = frame.value();
        ++spares;
    }
    return {};
}

/// The table of a slot that is not a table yet: empty, or a large page in 1024 parts. Its PDE keeps the large page's rights.
FrameNumber table_for(const Job& job, uint32_t& pde) {
    if (is_table(pde)) return frame_of(pde);
    const FrameNumber table = take_spare();
    const FrameMemory memory = frame_memory(table);
    if (is_large(pde)) {
        const uint32_t kept = pde & (kRightsBits | kPresent | entry_bits::kAccessed | entry_bits::kDirty);
        for (uint32_t i = 0; i < 1024; ++i) memory.as<uint32_t>()[i] = ((pde & entry_bits::kLargeFrame) + (i << 12)) | kept;
    }
    pde = table.address().value() | kPresent | (is_large(pde) ? pde & (kWritable | kUser) : 0) | (job.shared() ? kWritable : 0);
    return table;
}

void refresh(const Job& job, uint32_t& pde) {
    if (job.shared() || !is_table(pde)) return; // other directories hold copies of shared entries: these stay as they are
    const FrameMemory table = frame_memory(frame_of(pde));
    uint32_t all = 0; // what the pages may
    bool holds_something = false;
    for (uint32_t i = 0; i < 1024; ++i) {
        const uint32_t pte = table.as<uint32_t>()[i];
        holds_something |= pte != 0; // a page or a swap entry
        if (pte & kPresent) all |= pte;
    }
    if (holds_something) {
        pde = (pde & ~(kWritable | kUser)) | (all & (kWritable | kUser));
        return;
    }
    const FrameNumber empty = frame_of(pde);
    pde = 0;
    if (job.concerns_cpu()) tlb::invalidate_page(VirtAddr(job.first)); // and the CPU's memory of the PDE
    give(empty);
}

} // namespace

Result<PageDirectory> create() {
    const FrameNumber frame = TRY(frames::allocate(Zone::Normal, Contents::Unspecified));
    copy_frame(frame, kernel_directory().frame);
    const FrameMemory memory = frame_memory(frame);
    memset(memory.as<uint32_t>() + (kUserBegin >> 22), 0, ((kUserEnd - kUserBegin) >> 22) * 4);
    return PageDirectory{frame};
}

Result<void> destroy(PageDirectory directory) {
    if (directory == kernel_directory()) return Error::InvalidArgument;
    if (directory == active_directory()) return Error::Busy;
    for (uint32_t address = kUserBegin; address < kUserEnd; address += kLargePageSize) {
        const uint32_t pde = pde_word(frame_memory(directory.frame), address);
        if (is_table(pde)) give(frame_of(pde));
    }
    return frames::release(directory.frame);
}

Result<void> map(PageDirectory directory, VirtAddr start, FrameNumber first, size_t count, PageSize size, Rights rights) {
    Job work = TRY(job(directory, start, count, static_cast<uint32_t>(size)));
    if (!allowed(work, rights)) return Error::InvalidArgument;
    if (size == PageSize::Large && (first.value() & 1023)) return Error::Misaligned;
    if (first.value() >= kMaxFrames || work.pages > kMaxFrames - first.value()) return Error::OutOfRange;
    if (size == PageSize::Large && (!CONFIG_LARGE_PAGES || work.shared())) return Error::Unsupported;

    const FrameMemory entries = frame_memory(directory.frame);
    uint32_t needed = 0;
    each_part(work.first, work.last, [&](Part part) { needed += size == PageSize::Small && !is_table(pde_word(entries, part.first)); });
    TRY(reserve(needed));

    each_part(work.first, work.last, [&](Part part) {
        uint32_t& pde = pde_word(entries, part.first);
        if (size == PageSize::Large) {
            const uint32_t old = pde;
            pde = Pde::large_page(first + ((part.first - work.first) >> 12), rights).word();
            work.changed(part.first, old & kPresent);
            if (is_table(old)) give(frame_of(old));
            return;
        }
        const bool was_large = is_large(pde);
        const FrameMemory table = frame_memory(table_for(work, pde));
        for (uint32_t i = part.first_index(); i <= part.last_index(); ++i) {
            const uint32_t address = part.begin_of_slot() + (i << 12);
            uint32_t& pte = table.as<uint32_t>()[i];
            const bool was_present = was_large || (pte & kPresent);
            pte = Pte::present(first + ((address - work.first) >> 12), rights).word();
            refresh(work, pde);
            work.changed(address, was_present);
        }
    });
    work.finish();
    return {};
}

Result<void> unmap(PageDirectory directory, VirtAddr start, size_t count) {
    Job work = TRY(job(directory, start, count, kPageSize));
    const FrameMemory entries = frame_memory(directory.frame);
    uint32_t needed = 0;
    each_part(work.first, work.last, [&](Part part) { needed += is_large(pde_word(entries, part.first)) && !part.whole(); });
    TRY(reserve(needed));
    each_part(work.first, work.last, [&](Part part) {
        uint32_t& pde = pde_word(entries, part.first);
        if (!(pde & kPresent)) return;
        if (is_large(pde) && part.whole()) {
            pde = 0;
            return work.changed(part.first, true);
        }
        const FrameMemory table = frame_memory(table_for(work, pde));
        for (uint32_t i = part.first_index(); i <= part.last_index(); ++i) {
            const uint32_t old = table.as<uint32_t>()[i];
            table.as<uint32_t>()[i] = 0;
            work.changed(part.begin_of_slot() + (i << 12), old & kPresent);
        }
        refresh(work, pde);
    });
    work.finish();
    return {};
}

Result<void> protect(PageDirectory directory, VirtAddr start, size_t count, Rights rights) {
    Job work = TRY(job(directory, start, count, kPageSize));
    if (!allowed(work, rights)) return Error::InvalidArgument;
    const FrameMemory entries = frame_memory(directory.frame);
    uint32_t needed = 0;
    bool hole = false;
    each_part(work.first, work.last, [&](Part part) {
        const uint32_t pde = pde_word(entries, part.first);
        needed += is_large(pde) && !part.whole();
        if (!(pde & kPresent)) hole = true;
        if (!is_table(pde)) return;
        const FrameMemory table = frame_memory(frame_of(pde));
        for (uint32_t i = part.first_index(); i <= part.last_index(); ++i) hole |= !(table.as<uint32_t>()[i] & kPresent);
    });
    if (hole) return Error::NotMapped;
    TRY(reserve(needed));
    each_part(work.first, work.last, [&](Part part) {
        uint32_t& pde = pde_word(entries, part.first);
        if (is_large(pde) && part.whole()) {
            pde = (pde & ~kRightsBits) | entry_bits::of(rights);
            return work.changed(part.first, true);
        }
        const FrameMemory table = frame_memory(table_for(work, pde));
        for (uint32_t i = part.first_index(); i <= part.last_index(); ++i) {
            uint32_t& pte = table.as<uint32_t>()[i];
            pte = (pte & ~kRightsBits) | entry_bits::of(rights);
        }
        refresh(work, pde);
        for (uint32_t i = part.first_index(); i <= part.last_index(); ++i) work.changed(part.begin_of_slot() + (i << 12), true);
    });
    work.finish();
    return {};
}

Result<Translation> translate(PageDirectory directory, VirtAddr address) {
    const uint32_t pde = pde_word(frame_memory(directory.frame), address.value());
    if (!(pde & kPresent)) return Error::NotMapped;
    if (is_large(pde)) {
        const PhysAddr byte((pde & entry_bits::kLargeFrame) | (address.value() & 0x003F'FFFF));
        return Translation{byte, PageSize::Large, entry_bits::rights(pde)};
    }
    const uint32_t pte = frame_memory(frame_of(pde)).as<uint32_t>()[address.table_index()];
    if (!(pte & kPresent)) return Error::NotMapped;
    return Translation{frame_of(pte).address() + address.page_offset(), PageSize::Small,
                       entry_bits::rights((pte & pde & (kWritable | kUser)) | (pte & entry_bits::kGlobal))};
}

} // namespace mm::page_table
