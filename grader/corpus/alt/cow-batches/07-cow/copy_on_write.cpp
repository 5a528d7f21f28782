/// @file
/// Copy-on-write in two passes. The first makes every page table that the child will need, so that a lack of memory leaves the parent as
/// it is. The second carries entries over in batches: out of the parent's table into an array, and from there into the child's. The TLB
/// forgets single pages, or everything when there are many.
#include "mm/fault/copy_on_write.h"

#include <algorithm>

#include "mm/paging/page_table.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"

namespace mm::copy_on_write {

namespace {

constexpr size_t kBatch = 64;

/// Entries on their way from one table to the other.
struct Batch {
    VirtAddr begin;
    size_t count = 0;
    Pte entries[kBatch];
};

/// What the TLB still has to forget.
class Stale {
public:
    explicit Stale(bool is_active) : is_active_(is_active) {}
    ~Stale() {
        if (count_ > kMost) tlb::flush();
        for (size_t i = 0; count_ <= kMost && i < count_; ++i) tlb::invalidate_page(pages_[i]);
    }
    Stale(const Stale&) = delete;
    Stale& operator=(const Stale&) = delete;
    void add(VirtAddr page) {
        if (!is_active_) return;
        if (count_ < kMost) pages_[count_] = page;
        ++count_;
    }

private:
    static constexpr size_t kMost = 16;
    bool is_active_;
    size_t count_ = 0;
    VirtAddr pages_[kMost];
};

VirtAddr next_slot(VirtAddr address) { return VirtAddr(align_down(address.value(), kLargePageSize)) + kLargePageSize; }

/// Calls `visit` with each part of the area that lies in one page table of the parent's.
template <typename Visit>
Result<void> for_each_table(AddressSpace* parent, const Area& area, Visit visit) {
    for (VirtAddr begin = area.range.begin; begin < area.range.end; begin = next_slot(begin)) {
        if (spaces::slot_contents(parent, begin) != spaces::SlotContents::PageTable) continue;
        TRY(visit(AddressRange{begin, std::min(next_slot(begin), area.range.end)}));
    }
    return {};
}

bool is_any_present(AddressRange range, FrameNumber table) {
    const FrameMemory memory = frame_memory(table);
    const Pte* const first = memory.as<Pte>() + range.begin.table_index();
    return std::any_of(first, first + range.pages(), [](Pte entry) { return entry.is_present(); });
}

Result<void> prepare(AddressSpace* parent, AddressSpace* child, AddressRange range) {
    const FrameNumber table = TRY(spaces::page_table_for(parent, range.begin));
    if (is_any_present(range, table)) TRY(spaces::page_table_for(child, range.begin));
    return {};
}

/// Takes a batch out of the parent's table, and the right to write with it.
void take(FrameNumber table, Batch& batch, Stale& stale) {
    const FrameMemory memory = frame_memory(table);
    Pte* const from = memory.as<Pte>() + batch.begin.table_index();
    for (size_t i = 0; i < batch.count; ++i) {
        const uint32_t word = from[i].word();
        if (from[i].is_present() && (word & entry_bits::kWritable)) {
            from[i] = Pte::from_word(word & ~entry_bits::kWritable);
            stale.add(batch.begin + i * kPageSize);
        }
        batch.entries[i] = from[i];
    }
}

/// Puts it into the child's. @return how many pages there are
size_t put(FrameNumber table, const Batch& batch) {
    const FrameMemory memory = frame_memory(table);
    Pte* const to = memory.as<Pte>() + batch.begin.table_index();
    size_t present = 0;
    for (size_t i = 0; i < batch.count; ++i) {
        if (!batch.entries[i].is_present()) continue;
        frames::share(batch.entries[i].frame());
        to[i] = batch.entries[i];
        ++present;
    }
    return present;
}

Result<void> carry_over(AddressSpace* parent, AddressSpace* child, AddressRange range, Stale& stale) {
    const FrameNumber from = TRY(spaces::page_table_for(parent, range.begin));
    if (!is_any_present(range, from)) return {};
    const FrameNumber to = TRY(spaces::page_table_for(child, range.begin));
    size_t pages = 0;
    for (VirtAddr at = range.begin; at < range.end; at = at + kBatch * kPageSize) {
        Batch batch;
        batch.begin = at;
        batch.count = std::min(kBatch, AddressRange{at, range.end}.pages());
        take(from, batch, stale);
        pages += put(to, batch);
    }
    spaces::count_added_pages(child, pages);
    return {};
}

/// The entry of one page, rewritten.
void replace(AddressSpace* space, VirtAddr page, FrameNumber frame) {
    const FrameMemory memory = frame_memory(spaces::page_table_for(space, page).value()); // it is there: no frame is taken
    Pte& entry = memory.as<Pte>()[page.table_index()];
    entry = Pte::from_word(frame.address().value() | (entry.word() & ~entry_bits::kFrame) | entry_bits::kWritable);
    if (spaces::directory(space) == active_directory()) tlb::invalidate_page(page);
}

} // namespace

Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area) {
    if (area.sharing == Sharing::Shared) return {};
    TRY(for_each_table(parent, area, [&](AddressRange range) { return prepare(parent, child, range); }));
    Stale stale(spaces::directory(parent) == active_directory());
    return for_each_table(parent, area, [&](AddressRange range) { return carry_over(parent, child, range, stale); });
}

fault::Decision resolve_write(AddressSpace* space, const Area&, VirtAddr page) {
    const Result<Translation> seen = page_table::translate(spaces::directory(space), page);
    if (seen.is_error()) return fault::retry();
    const FrameNumber old = FrameNumber::containing(seen.value().address);
    if (frame_table::info(old).references == 1) {
        replace(space, page, old);
        return fault::resolved(fault::How::LastOwner);
    }
    const bool is_zero = old == spaces::zero_frame();
    const Result<FrameNumber> copy = frames::allocate(Zone::High, is_zero ? Contents::Zeroed : Contents::Unspecified);
    if (copy.is_error()) return fault::out_of_memory();
    if (!is_zero) copy_frame(copy.value(), old);
    replace(space, page, copy.value());
    (void)frames::release(old);
    return fault::resolved(fault::How::Copied);
}

} // namespace mm::copy_on_write
