// Lab 09: a bitmap says which slots are in use, and only these have a record, which two hash tables find: by its slot, and by its copy.
// A batch of pages looks for a run of free slots that holds all of it, from the area's beginning.
#include "mm/reclaim/swap.h"

#include <algorithm>

#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/paging/tlb.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace mm::swap {

namespace {

constexpr uint32_t kBuckets = 512, kWordBits = 32;

struct Record {
    uint32_t slot;
    uint32_t frame;   // the copy; 0 when there is none
    uint32_t entries;
    bool busy;        // chosen for a page on its way out
    Record* next_of_slot;
    Record* next_of_frame;
};

uint32_t* used = nullptr;  // a bit for each slot; set for good when it must not be used
Record* records = nullptr;
Record* unused = nullptr;  // linked by next_of_slot
Record* by_slot[kBuckets];
Record* by_frame[kBuckets];
uint32_t slot_count = 0;
Statistics figures;

bool is_used(uint32_t slot) { return used[slot / kWordBits] >> slot % kWordBits & 1; }
void set_used(uint32_t slot) { used[slot / kWordBits] |= 1u << slot % kWordBits; }
void set_unused(uint32_t slot) { used[slot / kWordBits] &= ~(1u << slot % kWordBits); }

Record* find_slot(uint32_t slot) {
    Record* one = by_slot[slot % kBuckets];
    while (one && one->slot != slot) one = one->next_of_slot;
    return one;
}

Record* find_frame(FrameNumber frame) {
    Record* one = by_frame[frame.value() % kBuckets];
    while (one && one->frame != frame.value()) one = one->next_of_frame;
    return one;
}

template <Record* Record::*next>
void take_from(Record** link, Record* one) {
    while (*link != one) link = &((*link)->*next);
    *link = one->*next;
}

void set_copy(Record* one, FrameNumber frame) {
    Record*& bucket = by_frame[frame.value() % kBuckets];
    one->frame = frame.value();
    one->next_of_frame = bucket;
    bucket = one;
    ++figures.copies;
}

void drop_copy(Record* one) {
    if (one->frame == 0) return;
    take_from<&Record::next_of_frame>(&by_frame[one->frame % kBuckets], one);
    one->frame = 0;
    --figures.copies;
}

// The slot is free in the bitmap.
Record* new_record(uint32_t slot) {
    Record* const one = unused;
    unused = one->next_of_slot;
    *one = {slot, 0, 0, true, by_slot[slot % kBuckets], nullptr};
    by_slot[slot % kBuckets] = one;
    set_used(slot);
    --figures.free;
    return one;
}

void delete_record(Record* one) {
    drop_copy(one);
    take_from<&Record::next_of_slot>(&by_slot[one->slot % kBuckets], one);
    one->next_of_slot = unused;
    unused = one;
}

void free_if_unneeded(Record* one) {
    if (one->entries > 0 || one->frame != 0 || one->busy) return;
    set_unused(one->slot);
    ++figures.free;
    delete_record(one);
}

// The slot's bit stays set.
void retire(Record* one) {
    delete_record(one);
    --figures.slots;
}

// The first of so many free slots in a row, or of as many as there are in any row; 0 when none is free.
uint32_t find_run(uint32_t wanted) {
    uint32_t best = 0, best_length = 0;
    for (uint32_t slot = 1; slot < slot_count && best_length < wanted; ++slot) {
        if (slot % kWordBits == 0 && used[slot / kWordBits] == UINT32_MAX) slot += kWordBits - 1;
        else if (!is_used(slot)) {
            uint32_t length = 1;
            while (slot + length < slot_count && length < wanted && !is_used(slot + length)) ++length;
            if (length > best_length) {
                best = slot;
                best_length = length;
            }
            slot += length;
        }
    }
    return best;
}

// Some copy without entries loses its slot to somebody else.
uint32_t take_kept_slot() {
    for (uint32_t i = 0; i < slot_count; ++i) {
        Record* const one = &records[i];
        if (one->frame == 0 || one->entries > 0 || one->busy) continue;
        const uint32_t slot = one->slot;
        drop_copy(one);
        free_if_unneeded(one);
        return slot;
    }
    return 0;
}

bool is_changed(FrameNumber frame) {
    bool changed = reverse_map::was_dirtied(frame);
    reverse_map::for_each(frame, [&](const Mapping& mapping) { changed = changed || mapping.entry->is_dirty(); });
    return changed;
}

// A page on its way out.
struct Going {
    FrameNumber frame;
    Record* record;
    bool write;
};

// Pages that have no slot yet get one, those of a row from left to right.
void give_slots(Going* pages, size_t count) {
    const auto is_without = [](const Going& page) { return page.record == nullptr; };
    uint32_t next = 0;
    for (size_t i = 0; i < count; ++i) {
        if (pages[i].record) continue;
        if (next == 0 || next == slot_count || is_used(next)) next = find_run(std::count_if(pages + i, pages + count, is_without));
        if (next == 0) next = take_kept_slot();
        if (next == 0) return;
        pages[i].record = new_record(next++);
    }
}

// Writes pages whose slots lie side by side; those that fail alone lose their record.
void write_row(Going* pages, size_t count) {
    FrameNumber frames[kCluster];
    for (size_t i = 0; i < count; ++i) frames[i] = pages[i].frame;
    if (!swap_area::write(SwapSlot(pages[0].record->slot), {frames, count}).is_error()) return;
    for (size_t i = 0; i < count; ++i) {
        if (!swap_area::write(SwapSlot(pages[i].record->slot), {frames + i, 1}).is_error()) continue;
        retire(pages[i].record);
        pages[i].record = nullptr;
    }
}

void write_pages(Going* pages, size_t count) {
    for (size_t i = 0; i < count;) {
        size_t length = 1;
        if (pages[i].record && pages[i].write) {
            while (i + length < count && pages[i + length].record && pages[i + length].write &&
                   pages[i + length].record->slot == pages[i].record->slot + length)
                ++length;
            write_row(pages + i, length);
        }
        i += length;
    }
}

void give_back(FrameNumber frame) { KASSERT("whoever shows a frame has a reference of it", !frames::release(frame).is_error()); }

// The page is safe in its slot: nobody shows it any more.
void leave(const Going& page) {
    Record* const slot = page.record;
    uint32_t references = slot->frame != 0 && slot->entries > 0;
    drop_copy(slot);
    reverse_map::for_each(page.frame, [&](const Mapping& mapping) {
        *mapping.entry = Pte::swapped(SwapSlot(slot->slot));
        if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
        spaces::count_swapped_out(mapping.space);
        ++slot->entries;
        ++references;
    });
    slot->busy = false;
    free_if_unneeded(slot);
    for (; references > 0; --references) give_back(page.frame);
    ++figures.pages_out;
    figures.clean_out += !page.write;
}

size_t swap_out_some(const FrameNumber* frames, size_t count) {
    Going pages[kCluster];
    for (size_t i = 0; i < count; ++i) {
        Record* const slot = find_frame(frames[i]);
        pages[i] = {frames[i], slot, !slot || is_changed(frames[i])};
        if (slot) slot->busy = true;
    }
    give_slots(pages, count);
    write_pages(pages, count);
    size_t out = 0;
    for (size_t i = 0; i < count; ++i) {
        if (!pages[i].record) continue;
        leave(pages[i]);
        ++out;
    }
    return out;
}

// One page for a slot of its own, or of anybody: store() and clean(). The record is busy then.
Result<Record*> write_one(FrameNumber frame, bool changed) {
    Going page{frame, find_frame(frame), changed};
    if (page.record && !changed) return page.record;
    page.write = true;
    if (page.record) page.record->busy = true;
    give_slots(&page, 1);
    if (!page.record) return Error::NoSpace;
    write_row(&page, 1);
    if (!page.record) return Error::DeviceError;
    return page.record;
}

bool is_absent(uint32_t slot) {
    const Record* const one = find_slot(slot);
    return one && one->entries > 0 && one->frame == 0;
}

// The slot gets a copy, and so do its neighbours if nothing is in the way.
Result<void> read_around(Record* wanted) {
    FrameNumber frames[kCluster];
    const uint32_t begin = std::max<uint32_t>(wanted->slot / kCluster * kCluster, 1);
    const uint32_t end = std::min<uint32_t>(wanted->slot / kCluster * kCluster + kCluster, slot_count);
    uint32_t first = wanted->slot, last = wanted->slot;
    const auto take_frame = [&](uint32_t slot) {
        const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Unspecified);
        if (!frame.is_error()) frames[slot % kCluster] = frame.value();
        return frame.error();
    };
    if (const Error error = take_frame(first); error != Error::None) return error;
    while (last + 1 < end && is_absent(last + 1) && take_frame(last + 1) == Error::None) ++last;
    while (first > begin && is_absent(first - 1) && take_frame(first - 1) == Error::None) --first;
    if (swap_area::read(SwapSlot(first), {&frames[first % kCluster], last - first + 1}).is_error()) {
        for (uint32_t slot = first; slot <= last; ++slot) {
            if (slot != wanted->slot) give_back(frames[slot % kCluster]);
        }
        first = last = wanted->slot;
        const FrameNumber own = frames[first % kCluster];
        if (swap_area::read(SwapSlot(first), {&own, 1}).is_error()) {
            give_back(own);
            return Error::DeviceError;
        }
    }
    for (uint32_t slot = first; slot <= last; ++slot) set_copy(find_slot(slot), frames[slot % kCluster]);
    figures.read_ahead += last - first;
    return {};
}

} // namespace

Result<void> initialize() {
    slot_count = swap_area::slots();
    const uint32_t words = slot_count / kWordBits + 1;
    used = static_cast<uint32_t*>(TRY(vmalloc::allocate(words * sizeof *used)));
    records = static_cast<Record*>(TRY(vmalloc::allocate(slot_count * sizeof *records)));
    std::fill(used, used + words, 0u);
    std::fill(by_slot, by_slot + kBuckets, nullptr);
    std::fill(by_frame, by_frame + kBuckets, nullptr);
    figures = {};
    unused = nullptr;
    for (uint32_t i = 0; i < slot_count; ++i) {
        records[i] = {0, 0, 0, false, unused, nullptr};
        unused = &records[i];
        if (i == 0 || swap_area::is_bad(SwapSlot(i))) set_used(i);
        else ++figures.slots;
    }
    figures.free = figures.slots;
    return {};
}

size_t swap_out(std::span<const FrameNumber> frames) {
    size_t out = 0;
    for (size_t i = 0; i < frames.size(); i += kCluster) out += swap_out_some(&frames[i], std::min(kCluster, frames.size() - i));
    return out;
}

Result<void> swap_in(AddressSpace* space, const Area& area, VirtAddr page) {
    Record* const one = find_slot(spaces::swap_entry(space, page).value());
    const bool hit = one->frame != 0;
    if (!hit) TRY(read_around(one));
    const FrameNumber frame(one->frame);
    const bool is_last = one->entries == 1;
    // With the last entry its reference goes to the page; otherwise the page needs one more.
    if (!is_last) frames::share(frame);
    const bool is_own = is_last && frame_table::info(frame).references == 1;
    --one->entries;
    const Result<void> shown = spaces::show_swapped(space, area, page, frame, area.protection.write && is_own ? Access::ReadWrite : Access::ReadOnly);
    if (shown.is_error()) {
        ++one->entries;
        if (!is_last) give_back(frame);
        return shown;
    }
    ++figures.pages_in;
    figures.cache_hits += hit;
    return {};
}

Result<SwapSlot> store(FrameNumber frame, bool changed) {
    Record* const known = find_frame(frame);
    const bool was_held = known && known->entries > 0;
    Record* const one = TRY(write_one(frame, changed));
    figures.clean_out += known && !changed;
    drop_copy(one);
    one->busy = false;
    ++one->entries;
    ++figures.pages_out;
    if (was_held) give_back(frame);
    return SwapSlot(one->slot);
}

Result<FrameNumber> load(SwapSlot slot) {
    Record* const one = find_slot(slot.value());
    const bool hit = one->frame != 0;
    if (!hit) TRY(read_around(one));
    ++figures.pages_in;
    figures.cache_hits += hit;
    if (--one->entries > 0) frames::share(FrameNumber(one->frame));
    return FrameNumber(one->frame);
}

void share(SwapSlot slot) { ++find_slot(slot.value())->entries; }

void release(SwapSlot slot) {
    Record* const one = find_slot(slot.value());
    if (--one->entries > 0) return;
    const FrameNumber frame(one->frame);
    const bool has_copy = one->frame != 0;
    if (has_copy && frame_table::info(frame).references == 1) drop_copy(one);
    free_if_unneeded(one);
    if (has_copy) give_back(frame);
}

Result<void> clean(FrameNumber frame) {
    Record* const known = find_frame(frame);
    if (known && known->entries > 0) return {};
    Record* const one = TRY(write_one(frame, true));
    one->busy = false;
    if (!known) set_copy(one, frame);
    return {};
}

void forget(FrameNumber frame) {
    Record* const one = find_frame(frame);
    if (!one) return;
    drop_copy(one);
    free_if_unneeded(one);
}

size_t shrink(size_t count) {
    size_t given = 0;
    for (uint32_t i = 0; i < slot_count && given < count; ++i) {
        Record& one = records[i];
        const FrameNumber frame(one.frame);
        if (one.frame == 0 || one.entries == 0 || frame_table::info(frame).references > 1) continue;
        drop_copy(&one);
        give_back(frame);
        ++given;
    }
    return given;
}

SwapSlot slot_of(FrameNumber frame) {
    const Record* const one = find_frame(frame);
    return SwapSlot(one ? one->slot : 0);
}

uint32_t entries(SwapSlot slot) {
    const Record* const one = find_slot(slot.value());
    return one ? one->entries : 0;
}

bool holds(FrameNumber frame) {
    const Record* const one = find_frame(frame);
    return one && one->entries > 0;
}

Statistics statistics() { return figures; }

} // namespace mm::swap
