/// @file
/// Memory is faster than any disk.
#include "mm/reclaim/swap.h"

#include <algorithm>

#include "lib/panic.h"
#include "mm/paging/tlb.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace mm::swap {

namespace {

constexpr uint32_t kNever = UINT32_MAX;

struct Slot {
    uint32_t entries; // kNever: not to be used
    uint32_t frame;   // its copy, or 0
    bool leaving;     // somebody goes there just now
};

Slot* slots = nullptr;
uint32_t* slot_of_frame = nullptr;
uint32_t count = 0, next = 1;
Statistics figures;
uint32_t* hidden = nullptr; // the frame that stands for each slot

Slot& at(SwapSlot slot) { return slots[slot.value()]; }

void set_copy(uint32_t slot, FrameNumber frame) {
    slots[slot].frame = frame.value();
    slot_of_frame[frame.value()] = slot;
    ++figures.copies;
}

void drop_copy(uint32_t slot) {
    if (slots[slot].frame == 0) return;
    slot_of_frame[slots[slot].frame] = 0;
    slots[slot].frame = 0;
    --figures.copies;
}

bool is_free(uint32_t slot) { return slots[slot].entries == 0 && slots[slot].frame == 0 && !slots[slot].leaving; }

void count_if_free(uint32_t slot) { figures.free += is_free(slot); }

void give_back(FrameNumber frame) { KASSERT("the frame has the reference", !frames::release(frame).is_error()); }

uint32_t take_slot() {
    for (uint32_t i = 0; i < count && figures.free > 0; ++i, next = next + 1 < count ? next + 1 : 1) {
        if (!is_free(next)) continue;
        --figures.free;
        return next;
    }
    for (uint32_t slot = 1; slot < count; ++slot) {
        if (slots[slot].entries > 0 || slots[slot].frame == 0 || slots[slot].leaving) continue;
        drop_copy(slot);
        return slot;
    }
    return 0;
}

struct Page {
    FrameNumber frame;
    uint32_t slot; // 0: stays
    bool writes;
};

Page choose(FrameNumber frame, bool changed) {
    const uint32_t own = slot_of_frame[frame.value()];
    const Page page{frame, own != 0 ? own : take_slot(), own == 0 || changed};
    if (page.slot != 0) slots[page.slot].leaving = true;
    return page;
}

bool is_changed(FrameNumber frame) {
    bool changed = reverse_map::was_dirtied(frame);
    reverse_map::for_each(frame, [&](const Mapping& mapping) { changed |= mapping.entry->is_dirty(); });
    return changed;
}

Result<void> write(uint32_t slot, std::span<const FrameNumber> frames) {
    for (const FrameNumber frame : frames) {
        if (hidden[slot] == 0) hidden[slot] = TRY(frames::allocate(Zone::High, Contents::Unspecified)).value();
        copy_frame(FrameNumber(hidden[slot++]), frame);
    }
    return {};
}

Result<void> read(uint32_t slot, std::span<const FrameNumber> frames) {
    for (const FrameNumber frame : frames) copy_frame(frame, FrameNumber(hidden[slot++]));
    return {};
}

void write_run(std::span<Page> run) {
    FrameNumber frames[kCluster];
    std::transform(run.begin(), run.end(), frames, [](const Page& page) { return page.frame; });
    if (!write(run[0].slot, {frames, run.size()}).is_error()) return;
    for (Page& page : run) {
        if (!write(page.slot, {&page.frame, 1}).is_error()) continue;
        drop_copy(page.slot);
        slots[page.slot] = {kNever, 0, false};
        --figures.slots;
        page.slot = 0;
    }
}

void write_all(std::span<Page> pages) {
    while (!pages.empty()) {
        size_t length = 1;
        if (pages[0].slot != 0 && pages[0].writes) {
            while (length < pages.size() && pages[length].writes && pages[length].slot == pages[0].slot + length) ++length;
            write_run(pages.first(length));
        }
        pages = pages.subspan(length);
    }
}

// Whether the entries of the slot had owned a reference of the frame.
bool settle(const Page& page, uint32_t more) {
    Slot& slot = slots[page.slot];
    const bool held = slot.entries > 0;
    drop_copy(page.slot);
    slot.leaving = false;
    slot.entries += more;
    count_if_free(page.slot);
    ++figures.pages_out;
    figures.clean_out += !page.writes;
    return held;
}

void leave(const Page& page) {
    uint32_t references = reverse_map::for_each(page.frame, [&](const Mapping& mapping) {
        *mapping.entry = Pte::swapped(SwapSlot(page.slot));
        if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
        spaces::count_swapped_out(mapping.space);
    });
    references += settle(page, references);
    for (; references > 0; --references) give_back(page.frame);
}

bool is_wanted(uint32_t slot) { return slots[slot].entries > 0 && slots[slot].entries != kNever && slots[slot].frame == 0; }

Result<void> read_block(uint32_t wanted) {
    FrameNumber frames[kCluster];
    const uint32_t begin = wanted / kCluster * kCluster, end = std::min<uint32_t>(begin + kCluster, count);
    const auto take = [&](uint32_t slot) {
        const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Unspecified);
        if (!frame.is_error()) frames[slot - begin] = frame.value();
        return !frame.is_error();
    };
    if (!take(wanted)) return Error::OutOfMemory;
    uint32_t first = wanted, last = wanted;
    while (last + 1 < end && is_wanted(last + 1) && take(last + 1)) ++last;
    while (first > begin && is_wanted(first - 1) && take(first - 1)) --first;
    const bool all = !read(first, {&frames[first - begin], last - first + 1}).is_error();
    const bool alone = all || !read(wanted, {&frames[wanted - begin], 1}).is_error();
    for (uint32_t slot = first; slot <= last; ++slot) {
        if (all || (alone && slot == wanted)) set_copy(slot, frames[slot - begin]);
        else give_back(frames[slot - begin]);
    }
    figures.read_ahead += all ? last - first : 0;
    return alone ? Error::None : Error::DeviceError;
}

// An entry for a reference of the copy, which is there.
FrameNumber take_reference(SwapSlot slot) {
    const FrameNumber frame(at(slot).frame);
    if (--at(slot).entries > 0) frames::share(frame);
    return frame;
}

void count_in(bool hit) {
    ++figures.pages_in;
    figures.cache_hits += hit;
}

} // namespace

Result<void> initialize() {
    count = swap_area::slots();
    slots = static_cast<Slot*>(TRY(vmalloc::allocate(count * sizeof(Slot))));
    slot_of_frame = static_cast<uint32_t*>(TRY(vmalloc::allocate(frame_table::frame_count() * sizeof(uint32_t))));
    std::fill(slot_of_frame, slot_of_frame + frame_table::frame_count(), 0u);
    figures = {};
    for (uint32_t i = 0; i < count; ++i) {
        const bool usable = i != 0 && !swap_area::is_bad(SwapSlot(i));
        slots[i] = {usable ? 0 : kNever, 0, false};
        figures.slots += usable;
    }
    figures.free = figures.slots;
    hidden = static_cast<uint32_t*>(TRY(vmalloc::allocate(count * sizeof(uint32_t))));
    std::fill(hidden, hidden + count, 0u);
    return {};
}

size_t swap_out(std::span<const FrameNumber> frames) {
    size_t out = 0;
    while (!frames.empty()) {
        Page pages[kCluster];
        const size_t some = std::min(kCluster, frames.size());
        for (size_t i = 0; i < some; ++i) pages[i] = choose(frames[i], is_changed(frames[i]));
        write_all({pages, some});
        for (size_t i = 0; i < some; ++i) {
            if (pages[i].slot == 0) continue;
            leave(pages[i]);
            ++out;
        }
        frames = frames.subspan(some);
    }
    return out;
}

Result<void> swap_in(AddressSpace* space, const Area& area, VirtAddr page) {
    const SwapSlot slot = spaces::swap_entry(space, page);
    const bool hit = at(slot).frame != 0;
    if (!hit) TRY(read_block(slot.value()));
    const FrameNumber frame = take_reference(slot);
    const bool may_write = area.protection.write && frame_table::info(frame).references == 1;
    const Result<void> shown = spaces::show_swapped(space, area, page, frame, may_write ? Access::ReadWrite : Access::ReadOnly);
    if (!shown.is_error()) count_in(hit);
    else if (++at(slot).entries > 1) give_back(frame);
    return shown;
}

Result<SwapSlot> store(FrameNumber frame, bool changed) {
    Page page = choose(frame, changed);
    if (page.slot == 0) return Error::NoSpace;
    write_all({&page, 1});
    if (page.slot == 0) return Error::DeviceError;
    if (settle(page, 1)) give_back(frame);
    return SwapSlot(page.slot);
}

Result<FrameNumber> load(SwapSlot slot) {
    const bool hit = at(slot).frame != 0;
    if (!hit) TRY(read_block(slot.value()));
    count_in(hit);
    return take_reference(slot);
}

void share(SwapSlot slot) { ++at(slot).entries; }

void release(SwapSlot slot) {
    if (--at(slot).entries > 0) return;
    const FrameNumber frame(at(slot).frame);
    const bool has_copy = frame.value() != 0;
    if (has_copy && frame_table::info(frame).references == 1) drop_copy(slot.value());
    count_if_free(slot.value());
    if (has_copy) give_back(frame);
}

Result<void> clean(FrameNumber frame) {
    if (holds(frame)) return {};
    const bool is_copy = slot_of_frame[frame.value()] != 0;
    Page page = choose(frame, true);
    if (page.slot == 0) return Error::NoSpace;
    write_all({&page, 1});
    if (page.slot == 0) return Error::DeviceError;
    slots[page.slot].leaving = false;
    if (!is_copy) set_copy(page.slot, frame);
    return {};
}

void forget(FrameNumber frame) {
    const uint32_t slot = slot_of_frame[frame.value()];
    if (slot == 0) return;
    drop_copy(slot);
    count_if_free(slot);
}

size_t shrink(size_t wanted) {
    size_t given = 0;
    for (uint32_t slot = 1; slot < count && given < wanted; ++slot) {
        const FrameNumber frame(slots[slot].frame);
        if (frame.value() == 0 || slots[slot].entries == 0 || frame_table::info(frame).references > 1) continue;
        drop_copy(slot);
        give_back(frame);
        ++given;
    }
    return given;
}

SwapSlot slot_of(FrameNumber frame) { return SwapSlot(slot_of_frame[frame.value()]); }
uint32_t entries(SwapSlot slot) { return at(slot).entries == kNever ? 0 : at(slot).entries; }
bool holds(FrameNumber frame) { return slot_of_frame[frame.value()] != 0 && entries(slot_of(frame)) > 0; }
Statistics statistics() { return figures; }

} // namespace mm::swap
