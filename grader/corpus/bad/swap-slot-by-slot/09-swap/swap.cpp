/// @file
/// The swap area's slots: another piece for lab 09-swap. The contract is mm/reclaim/swap.h.
///
/// Two tables: what each slot has (entries, a copy), and which slot each frame is the copy of. Everything follows from one rule: while a
/// slot has entries and a copy, the entries together own one reference of the copy. Whoever changes either looks after that.
///
/// Frames leave one after the other, and come back alone.
#include "mm/reclaim/swap.h"


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

constexpr FrameNumber kNoFrame{0}; // frame 0 is reserved for ever
constexpr SwapSlot kNoSlot{0};     // slot 0 is the header
constexpr uint32_t kRetired = ~0u; ///< As a number of entries: never used (again).

struct Slot {
    uint32_t entries;
    FrameNumber copy; ///< Of the slot's contents; they are older than the frame's if that was changed since.
    bool is_free() const { return entries == 0 && copy == kNoFrame; }
};

constinit Slot* slots = nullptr;
constinit SwapSlot* slot_of_frame = nullptr;
constinit uint32_t next_slot = 1; ///< Where the search for a free slot begins.
constinit Statistics figures = {};

uint32_t slot_count() { return static_cast<uint32_t>(swap_area::slots()); }
Slot& at(SwapSlot slot) { return slots[slot.value()]; }
SwapSlot& slot_with(FrameNumber frame) { return slot_of_frame[frame.value()]; }

template <typename T>
Result<T*> table_of(size_t count) {
    void* const memory = TRY(vmalloc::allocate(count * sizeof(T)));
    T* const table = static_cast<T*>(memory);
    for (size_t i = 0; i < count; ++i) table[i] = T{};
    return table;
}

void must_release(FrameNumber frame) { KASSERT("a page in memory has a reference of its frame", !frames::release(frame).is_error()); }

// Copies.

void set_copy(SwapSlot slot, FrameNumber frame) {
    at(slot).copy = frame;
    slot_with(frame) = slot;
    ++figures.copies;
}

/// The slot has no copy any more. Whose reference the copy is, the caller knows.
FrameNumber drop_copy(SwapSlot slot) {
    const FrameNumber frame = at(slot).copy;
    at(slot).copy = kNoFrame;
    slot_with(frame) = kNoSlot;
    --figures.copies;
    return frame;
}

void count_if_free(SwapSlot slot) { figures.free += at(slot).is_free(); }

void retire(SwapSlot slot) {
    at(slot).entries = kRetired;
    --figures.slots;
}

// Free slots.

SwapSlot next_after(SwapSlot slot) { return SwapSlot(slot.value() + 1 == slot_count() ? 1 : slot.value() + 1); }

/// Takes a slot from a copy that nobody has an entry of.
bool free_a_kept_slot() {
    for (uint32_t i = 1; i < slot_count(); ++i) {
        if (slots[i].entries != 0 || slots[i].copy == kNoFrame) continue;
        drop_copy(SwapSlot(i));
        ++figures.free;
        return true;
    }
    return false;
}

/// A free slot, which is taken then: the next one from where the last was found. kNoSlot when there is none.
SwapSlot take_slot() {
    if (figures.free == 0 && !free_a_kept_slot()) return kNoSlot;
    SwapSlot slot(next_slot);
    while (!at(slot).is_free()) slot = next_after(slot);
    next_slot = next_after(slot).value();
    --figures.free;
    return slot;
}

// Writing.

/// A frame on its way out.
struct Leaving {
    FrameNumber frame;
    SwapSlot slot = kNoSlot; ///< Where its contents are, or shall be.
    bool must_write = false;
    bool had_slot = false;
};

bool is_changed(FrameNumber frame) {
    bool changed = reverse_map::was_dirtied(frame);
    reverse_map::for_each(frame, [&](const Mapping& mapping) { changed |= mapping.entry->is_dirty(); });
    return changed;
}

/// The slot was not written. What it held before was older, and nobody's: a frame that must be written has no entries in its slot.
void give_up(Leaving& page) {
    if (page.had_slot) drop_copy(page.slot);
    retire(page.slot);
    page.slot = kNoSlot;
}

/// Writes a page to its slot; where that fails, once more.
void write_page(Leaving& page) {
    for (int attempt = 0; attempt < 2; ++attempt)
        if (!swap_area::write(page.slot, {&page.frame, 1}).is_error()) return;
    give_up(page);
}

/// The slot for a frame, its own or a free one. It has one more entry until finish(), so that nobody else takes it meanwhile.
Leaving choose_slot(FrameNumber frame, bool changed) {
    Leaving page{.frame = frame, .slot = slot_with(frame), .must_write = true};
    if (page.slot != kNoSlot) {
        page.must_write = changed;
        page.had_slot = true;
    } else {
        page.slot = take_slot();
    }
    if (page.slot != kNoSlot) ++at(page.slot).entries;
    return page;
}

/// Ends what choose_slot() began. The frame is no copy any more. @return whether the slot's entries had owned a reference of it
bool leave_copy(const Leaving& page) {
    Slot& slot = at(page.slot);
    --slot.entries;
    if (page.had_slot) drop_copy(page.slot);
    return page.had_slot && slot.entries > 0;
}

/// The contents are safe: all that led to the frame leads to the slot from now on, and the frame goes.
void finish(const Leaving& page) {
    const bool held = leave_copy(page);
    const uint32_t mappings = reverse_map::for_each(page.frame, [&](const Mapping& mapping) {
        *mapping.entry = Pte::swapped(page.slot);
        if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
        spaces::count_swapped_out(mapping.space);
    });
    at(page.slot).entries += mappings;
    for (uint32_t i = 0; i < mappings + held; ++i) must_release(page.frame);
    count_if_free(page.slot);
    ++figures.pages_out;
    figures.clean_out += !page.must_write;
}

/// @return whether it is out
bool swap_out_one(FrameNumber frame) {
    Leaving page = choose_slot(frame, is_changed(frame));
    if (page.slot == kNoSlot) return false;
    if (page.must_write) write_page(page);
    if (page.slot == kNoSlot) return false;
    finish(page);
    return true;
}

// Reading.

/// Reads the slot into a frame of its own, which becomes its copy.
Result<void> read_slot(SwapSlot slot) {
    const FrameNumber frame = TRY(frames::allocate(Zone::High, Contents::Unspecified));
    if (swap_area::read(slot, {&frame, 1}).is_error()) {
        must_release(frame);
        return Error::DeviceError;
    }
    set_copy(slot, frame); // its first reference is the entries'
    return {};
}

// Loading.

/// Afterwards the slot has a copy. @return whether it had one before
Result<bool> make_copy(SwapSlot slot) {
    if (at(slot).copy != kNoFrame) return true;
    TRY(read_slot(slot));
    return false;
}

/// An entry goes, and its owner gets a reference of the copy: that of all entries when it was the last one.
FrameNumber take_reference(SwapSlot slot) {
    Slot& one = at(slot);
    if (--one.entries > 0) frames::share(one.copy);
    return one.copy;
}

void count_in(bool hit) {
    ++figures.pages_in;
    figures.cache_hits += hit;
}

} // namespace

Result<void> initialize() {
    slots = TRY(table_of<Slot>(slot_count()));
    slot_of_frame = TRY(table_of<SwapSlot>(frame_table::frame_count()));
    figures = {};
    figures.slots = slot_count();
    for (uint32_t i = 0; i < slot_count(); ++i) {
        if (i == 0 || swap_area::is_bad(SwapSlot(i))) retire(SwapSlot(i));
    }
    figures.free = figures.slots;
    next_slot = 1;
    return {};
}

size_t swap_out(std::span<const FrameNumber> frames) {
    size_t out = 0;
    for (const FrameNumber frame : frames) out += swap_out_one(frame);
    return out;
}

Result<void> swap_in(AddressSpace* space, const Area& area, VirtAddr page) {
    const SwapSlot slot = spaces::swap_entry(space, page);
    const bool hit = TRY(make_copy(slot));
    const FrameNumber frame = take_reference(slot);
    const bool is_own = frame_table::info(frame).references == 1;
    const Access access = area.protection.write && is_own ? Access::ReadWrite : Access::ReadOnly;
    const Result<void> shown = spaces::show_swapped(space, area, page, frame, access);
    if (!shown.is_error()) count_in(hit);
    else if (++at(slot).entries > 1) must_release(frame); // the entry is back, and with the first one its reference is the entries'
    return shown;
}

Result<SwapSlot> store(FrameNumber frame, bool changed) {
    Leaving page = choose_slot(frame, changed);
    if (page.slot == kNoSlot) return Error::NoSpace;
    if (page.must_write) write_page(page);
    if (page.slot == kNoSlot) return Error::DeviceError;
    if (leave_copy(page)) must_release(frame); // the rest goes with the caller's reference
    ++at(page.slot).entries;
    ++figures.pages_out;
    figures.clean_out += !page.must_write;
    return page.slot;
}

Result<FrameNumber> load(SwapSlot slot) {
    count_in(TRY(make_copy(slot)));
    return take_reference(slot);
}

void share(SwapSlot slot) { ++at(slot).entries; }

void release(SwapSlot slot) {
    Slot& one = at(slot);
    if (--one.entries > 0) return;
    const FrameNumber frame = one.copy;
    if (frame != kNoFrame && frame_table::info(frame).references == 1) drop_copy(slot);
    count_if_free(slot);
    if (frame != kNoFrame) must_release(frame);
}

Result<void> clean(FrameNumber frame) {
    if (holds(frame)) return {};
    Leaving page = choose_slot(frame, true);
    if (page.slot == kNoSlot) return Error::NoSpace;
    write_page(page);
    if (page.slot == kNoSlot) return Error::DeviceError;
    --at(page.slot).entries;
    if (!page.had_slot) set_copy(page.slot, frame);
    return {};
}

void forget(FrameNumber frame) {
    const SwapSlot slot = slot_with(frame);
    if (slot == kNoSlot) return;
    drop_copy(slot);
    count_if_free(slot);
}

size_t shrink(size_t count) {
    size_t given = 0;
    for (uint32_t i = 1; i < slot_count() && given < count; ++i) {
        const Slot& one = slots[i];
        if (one.entries == 0 || one.copy == kNoFrame || frame_table::info(one.copy).references > 1) continue;
        must_release(drop_copy(SwapSlot(i)));
        ++given;
    }
    return given;
}

SwapSlot slot_of(FrameNumber frame) { return slot_with(frame); }
uint32_t entries(SwapSlot slot) { return at(slot).entries == kRetired ? 0 : at(slot).entries; }

bool holds(FrameNumber frame) {
    const SwapSlot slot = slot_with(frame);
    return slot != kNoSlot && at(slot).entries > 0;
}

Statistics statistics() { return figures; }

} // namespace mm::swap
