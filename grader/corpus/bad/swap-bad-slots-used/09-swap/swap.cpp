// The slots of the swap area. A page takes the lowest slot that is free; how many are free is counted when somebody asks.
#include "mm/reclaim/swap.h"

#include <algorithm>
#include <array>

#include "lib/panic.h"
#include "mm/paging/page_table.h"
#include "mm/paging/tlb.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/address_space.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace mm::swap {

namespace {

struct Slot {
    bool usable;       // neither header, nor bad, nor retired
    bool chosen;       // for a page that is about to be written
    uint32_t entries;
    FrameNumber copy;  // frame 0: none
};

constinit Slot* slots = nullptr;
constinit SwapSlot* slot_of_copy = nullptr;
constinit Statistics counted = {};  // of these the figures since the boot only

uint32_t slot_count() { return static_cast<uint32_t>(swap_area::slots()); }
Slot& at(SwapSlot slot) { return slots[slot.value()]; }
bool has_copy(const Slot& slot) { return slot.copy != FrameNumber(0); }
bool is_free(const Slot& slot) { return slot.usable && !slot.chosen && slot.entries == 0 && !has_copy(slot); }
bool is_kept(const Slot& slot) { return slot.usable && !slot.chosen && slot.entries == 0 && has_copy(slot); }

void give_back(FrameNumber frame) { KASSERT("a frame that is given back has an owner", !frames::release(frame).is_error()); }

void set_copy(SwapSlot slot, FrameNumber frame) {
    at(slot).copy = frame;
    slot_of_copy[frame.value()] = slot;
}

void drop_copy(SwapSlot slot) {
    slot_of_copy[at(slot).copy.value()] = SwapSlot(0);
    at(slot).copy = FrameNumber(0);
}

/// The first slot of which `what` is true; SwapSlot(0) for none.
template <typename What>
SwapSlot first_slot(What what) {
    for (uint32_t i = 1; i < slot_count(); ++i) {
        if (what(slots[i])) return SwapSlot(i);
    }
    return SwapSlot(0);
}

SwapSlot find_slot() {
    const SwapSlot free = first_slot(is_free);
    if (free != SwapSlot(0)) return free;
    const SwapSlot kept = first_slot(is_kept);
    if (kept != SwapSlot(0)) drop_copy(kept);
    return kept;
}

/// A page on its way out.
struct Page {
    FrameNumber frame;
    SwapSlot slot;
    bool is_new;   // the slot was nobody's
    bool write;
    bool safe;     // its contents are in the slot
};

bool is_dirty(FrameNumber frame) {
    bool dirty = reverse_map::was_dirtied(frame);
    reverse_map::for_each(frame, [&](const Mapping& mapping) { dirty = dirty || mapping.entry->is_dirty(); });
    return dirty;
}

Page choose(FrameNumber frame, bool dirty) {
    Page page{frame, slot_of_copy[frame.value()], false, dirty, !dirty};
    if (page.slot == SwapSlot(0)) page = {frame, find_slot(), true, true, false};
    if (page.slot == SwapSlot(0)) page.write = false;
    else at(page.slot).chosen = true;
    return page;
}

void write_alone(Page& page) {
    page.safe = !swap_area::write(page.slot, {&page.frame, 1}).is_error();
    if (page.safe) return;
    if (!page.is_new) drop_copy(page.slot);
    at(page.slot).usable = false;
}

void write_run(std::span<Page> run) {
    std::array<FrameNumber, kCluster> frames;
    for (size_t i = 0; i < run.size(); ++i) frames[i] = run[i].frame;
    const bool together = !swap_area::write(run[0].slot, {frames.data(), run.size()}).is_error();
    for (Page& page : run) {
        if (together) page.safe = true;
        else write_alone(page);
    }
}

bool follows(const Page& before, const Page& page) { return page.write && page.slot.value() == before.slot.value() + 1; }

void write_pages(std::span<Page> pages) {
    for (size_t i = 0; i < pages.size(); ++i) {
        if (!pages[i].write) continue;
        size_t length = 1;
        while (i + length < pages.size() && follows(pages[i + length - 1], pages[i + length])) ++length;
        write_run(pages.subspan(i, length));
        i += length - 1;
    }
}

/// What is in the slot is nobody's copy any more. Whether the entries had a reference of it.
bool part_from_copy(const Page& page) {
    at(page.slot).chosen = false;
    if (page.is_new) return false;
    drop_copy(page.slot);
    return at(page.slot).entries > 0;
}

void count_out(const Page& page) {
    ++counted.pages_out;
    if (!page.write) ++counted.clean_out;
}

void leave(const Page& page) {
    const bool held = part_from_copy(page);
    const size_t shown = reverse_map::for_each(page.frame, [&](const Mapping& mapping) {
        *mapping.entry = Pte::swapped(page.slot);
        if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
        spaces::count_swapped_out(mapping.space);
    });
    at(page.slot).entries += shown;
    for (size_t i = 0; i < shown + held; ++i) give_back(page.frame);
    count_out(page);
}

size_t leave_together(std::span<const FrameNumber> frames) {
    std::array<Page, kCluster> pages;
    for (size_t i = 0; i < frames.size(); ++i) pages[i] = choose(frames[i], is_dirty(frames[i]));
    write_pages({pages.data(), frames.size()});
    size_t out = 0;
    for (size_t i = 0; i < frames.size(); ++i) {
        if (pages[i].slot == SwapSlot(0)) continue;
        if (pages[i].safe) {
            leave(pages[i]);
            ++out;
        }
        at(pages[i].slot).chosen = false;
    }
    return out;
}

/// One page by itself: its slot is chosen and written, as far as that goes.
Result<Page> save(FrameNumber frame, bool dirty) {
    Page page = choose(frame, dirty);
    if (page.slot == SwapSlot(0)) return Error::NoSpace;
    write_pages({&page, 1});
    at(page.slot).chosen = false;
    if (!page.safe) return Error::DeviceError;
    return page;
}

bool is_neighbour(uint32_t slot) { return slot > 0 && slot < slot_count() && slots[slot].entries > 0 && !has_copy(slots[slot]); }

/// Reads the slot, and what lies around it; all become copies.
Result<void> read(SwapSlot slot) {
    const uint32_t wanted = slot.value(), block = wanted / kCluster * kCluster;
    std::array<FrameNumber, kCluster> frames;
    frames[wanted - block] = TRY(frames::allocate(Zone::High, Contents::Unspecified));
    uint32_t begin = wanted, end = wanted + 1;
    const auto add = [&](uint32_t other) {
        const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Unspecified);
        if (frame.is_error()) return false;
        frames[other - block] = frame.value();
        return true;
    };
    while (begin > block && is_neighbour(begin - 1) && add(begin - 1)) --begin;
    while (end < block + kCluster && is_neighbour(end) && add(end)) ++end;
    const bool all = !swap_area::read(SwapSlot(begin), {&frames[begin - block], end - begin}).is_error();
    const bool own = all || !swap_area::read(slot, {&frames[wanted - block], 1}).is_error();
    for (uint32_t other = begin; other < end; ++other) {
        if (all || (own && other == wanted)) {
            set_copy(SwapSlot(other), frames[other - block]);
            if (other != wanted) ++counted.read_ahead;
        } else {
            give_back(frames[other - block]);
        }
    }
    return own ? Error::None : Error::DeviceError;
}

/// An entry is exchanged for a reference of the copy: the last one for that of all entries.
FrameNumber exchange(Slot& slot) {
    --slot.entries;
    if (slot.entries > 0) frames::share(slot.copy);
    return slot.copy;
}

Result<bool> bring(SwapSlot slot) {
    if (has_copy(at(slot))) return true;
    TRY(read(slot));
    return false;
}

void count_in(bool hit) {
    ++counted.pages_in;
    if (hit) ++counted.cache_hits;
}

} // namespace

Result<void> initialize() {
    const size_t frames = frame_table::frame_count();
    slots = static_cast<Slot*>(TRY(vmalloc::allocate(slot_count() * sizeof(Slot))));
    slot_of_copy = static_cast<SwapSlot*>(TRY(vmalloc::allocate(frames * sizeof(SwapSlot))));
    for (uint32_t i = 0; i < slot_count(); ++i) slots[i] = {i != 0, false, 0, FrameNumber(0)};
    std::fill_n(slot_of_copy, frames, SwapSlot(0));
    return {};
}

size_t swap_out(std::span<const FrameNumber> frames) {
    size_t out = 0;
    while (!frames.empty()) {
        const size_t now = std::min(frames.size(), kCluster);
        out += leave_together(frames.first(now));
        frames = frames.subspan(now);
    }
    return out;
}

Result<void> swap_in(AddressSpace* space, const Area& area, VirtAddr page) {
    Slot& slot = at(spaces::swap_entry(space, page));
    const bool hit = TRY(bring(spaces::swap_entry(space, page)));
    const FrameNumber frame = exchange(slot);
    const bool writable = area.protection.write && frame_table::info(frame).references == 1;
    const Result<void> shown = spaces::show_swapped(space, area, page, frame, writable ? Access::ReadWrite : Access::ReadOnly);
    if (shown.is_error()) {
        ++slot.entries;
        if (slot.entries > 1) give_back(frame);
        return shown;
    }
    count_in(hit);
    return {};
}

Result<SwapSlot> store(FrameNumber frame, bool changed) {
    const Page page = TRY(save(frame, changed));
    if (part_from_copy(page)) give_back(frame);
    ++at(page.slot).entries;
    count_out(page);
    return page.slot;
}

Result<FrameNumber> load(SwapSlot slot) {
    count_in(TRY(bring(slot)));
    return exchange(at(slot));
}

void share(SwapSlot slot) { ++at(slot).entries; }

void release(SwapSlot slot) {
    Slot& one = at(slot);
    --one.entries;
    if (one.entries > 0 || !has_copy(one)) return;
    const FrameNumber frame = one.copy;
    if (frame_table::info(frame).references == 1) drop_copy(slot);
    give_back(frame);
}

Result<void> clean(FrameNumber frame) {
    if (holds(frame)) return {};
    const Page page = TRY(save(frame, true));
    set_copy(page.slot, frame);
    return {};
}

void forget(FrameNumber frame) {
    const SwapSlot slot = slot_of(frame);
    if (slot != SwapSlot(0)) drop_copy(slot);
}

size_t shrink(size_t count) {
    size_t given = 0;
    for (uint32_t i = 1; i < slot_count() && given < count; ++i) {
        Slot& slot = slots[i];
        if (slot.entries == 0 || !has_copy(slot) || frame_table::info(slot.copy).references != 1) continue;
        const FrameNumber frame = slot.copy;
        drop_copy(SwapSlot(i));
        give_back(frame);
        ++given;
    }
    return given;
}

SwapSlot slot_of(FrameNumber frame) { return slot_of_copy[frame.value()]; }
uint32_t entries(SwapSlot slot) { return at(slot).entries; }
bool holds(FrameNumber frame) { return slot_of(frame) != SwapSlot(0) && at(slot_of(frame)).entries > 0; }

Statistics statistics() {
    Statistics now = counted;
    for (uint32_t i = 1; i < slot_count(); ++i) {
        now.slots += slots[i].usable;
        now.free += is_free(slots[i]);
        now.copies += has_copy(slots[i]);
    }
    return now;
}

} // namespace mm::swap
