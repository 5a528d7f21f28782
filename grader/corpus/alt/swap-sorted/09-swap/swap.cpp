// Lab 09: two sorted arrays, of the slots in use and of the copies, both searched by halves. What is not in the first one is free, so that
// a free slot is a gap between two neighbours there.
#include "mm/reclaim/swap.h"

#include <algorithm>

#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/paging/tlb.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace mm::swap {

namespace {

enum class State : uint32_t { InUse, Leaving, Never };

struct Slot {
    uint32_t number;
    uint32_t entries;
    uint32_t frame; // its copy, or 0
    State state;
};

struct Copy {
    uint32_t frame;
    uint32_t slot;
};

// Elements in the order of their first member, a number.
template <typename T, uint32_t T::*key>
struct Sorted {
    T* begin = nullptr;
    uint32_t count = 0;

    // Where it is, or belongs.
    uint32_t place(uint32_t number) const {
        uint32_t low = 0, high = count;
        while (low < high) {
            const uint32_t middle = (low + high) / 2;
            if (begin[middle].*key < number) low = middle + 1;
            else high = middle;
        }
        return low;
    }
    T* find(uint32_t number) const {
        const uint32_t at = place(number);
        return at < count && begin[at].*key == number ? begin + at : nullptr;
    }
    T* insert(const T& element) {
        const uint32_t at = place(element.*key);
        memmove(begin + at + 1, begin + at, (count - at) * sizeof(T));
        begin[at] = element;
        ++count;
        return begin + at;
    }
    void remove(T* element) {
        --count;
        memmove(element, element + 1, (begin + count - element) * sizeof(T));
    }
};

Sorted<Slot, &Slot::number> slots; // pointers to its elements are good until the next insert() or remove()
Sorted<Copy, &Copy::frame> copies;
uint32_t usable, never, last_number, hint = 1;
Statistics figures;

Slot& slot_at(uint32_t number) {
    Slot* const one = slots.find(number);
    KASSERT("a slot that somebody has an entry of is in use", one != nullptr);
    return *one;
}

uint32_t number_with(FrameNumber frame) {
    const Copy* const copy = copies.find(frame.value());
    return copy ? copy->slot : 0;
}

uint32_t free_count() { return usable - (slots.count - never); }

void put_copy(uint32_t number, FrameNumber frame) {
    slot_at(number).frame = frame.value();
    copies.insert({frame.value(), number});
}

void remove_copy(uint32_t number) {
    Slot& one = slot_at(number);
    if (one.frame == 0) return;
    copies.remove(copies.find(one.frame));
    one.frame = 0;
}

void remove_if_free(uint32_t number) {
    Slot& one = slot_at(number);
    if (one.entries == 0 && one.frame == 0 && one.state == State::InUse) slots.remove(&one);
}

void retire(uint32_t number) {
    remove_copy(number);
    slot_at(number).state = State::Never;
    ++never;
    --usable;
}

// The first number from `begin` on that is not in the array; past the last one when there is none.
uint32_t gap_from(uint32_t begin) {
    uint32_t number = begin;
    for (uint32_t at = slots.place(begin); at < slots.count && slots.begin[at].number == number; ++at) ++number;
    return number;
}

uint32_t take_free() {
    if (free_count() == 0) return 0;
    uint32_t number = gap_from(hint);
    if (number > last_number) number = gap_from(1);
    slots.insert({number, 0, 0, State::Leaving});
    hint = number == last_number ? 1 : number + 1;
    return number;
}

// The copy with the highest frame number that nobody has an entry of gives its slot away.
uint32_t take_from_copy() {
    for (uint32_t i = copies.count; i-- > 0;) {
        const uint32_t number = copies.begin[i].slot;
        Slot& one = slot_at(number);
        if (one.entries > 0 || one.state != State::InUse) continue;
        one.frame = 0;
        one.state = State::Leaving;
        copies.remove(copies.begin + i);
        return number;
    }
    return 0;
}

void put_reference(FrameNumber frame) { KASSERT("a reference that is given back was there", !frames::release(frame).is_error()); }

bool was_changed(FrameNumber frame) {
    struct Answer {
        bool changed;
    } answer{reverse_map::was_dirtied(frame)};
    reverse_map::for_each(
        frame, [](void* context, const Mapping& mapping) { static_cast<Answer*>(context)->changed |= mapping.entry->is_dirty(); }, &answer);
    return answer.changed;
}

struct Page {
    FrameNumber frame;
    uint32_t slot;   // 0: stays
    bool is_written;
};

// Chooses the page's slot, which is nobody else's from now on.
Page prepare(FrameNumber frame, bool changed) {
    uint32_t number = number_with(frame);
    if (number != 0) {
        slot_at(number).state = State::Leaving;
        return {frame, number, changed};
    }
    number = take_free();
    return {frame, number != 0 ? number : take_from_copy(), true};
}

void write_alone(Page& page) {
    if (!swap_area::write(SwapSlot(page.slot), {&page.frame, 1}).is_error()) return;
    retire(page.slot);
    page.slot = 0;
}

// Writes what must be written: together as long as slots follow one another.
void write_all(Page* pages, size_t count) {
    FrameNumber row[kCluster];
    size_t length = 0;
    for (size_t i = 0; i <= count; ++i) {
        const bool joins = i < count && pages[i].slot != 0 && pages[i].is_written &&
                           (length == 0 || pages[i].slot == pages[i - 1].slot + 1);
        if (!joins && length > 0) {
            Page* const first = pages + i - length;
            if (length == 1) {
                if (swap_area::write(SwapSlot(first->slot), {row, 1}).is_error()) write_alone(*first);
            } else if (swap_area::write(SwapSlot(first->slot), {row, length}).is_error()) {
                for (size_t j = 0; j < length; ++j) write_alone(first[j]);
            }
            length = 0;
        }
        if (i < count && pages[i].slot != 0 && pages[i].is_written) row[length++] = pages[i].frame;
    }
}

// Everybody who shows the page has an entry of its slot afterwards. Returns how many references of the frame are nobody's now.
uint32_t replace(const Page& page) {
    const uint32_t replaced = reverse_map::for_each(page.frame, [&](const Mapping& mapping) {
        *mapping.entry = Pte::swapped(SwapSlot(page.slot));
        if (active_directory() == spaces::directory(mapping.space)) tlb::invalidate_page(mapping.page);
        spaces::count_swapped_out(mapping.space);
    });
    const bool was_held = slot_at(page.slot).entries > 0;
    remove_copy(page.slot);
    Slot& one = slot_at(page.slot);
    one.state = State::InUse;
    one.entries += replaced;
    remove_if_free(page.slot);
    return replaced + was_held;
}

size_t take_out(const FrameNumber* frames, size_t count) {
    Page pages[kCluster];
    size_t out = 0;
    for (size_t i = 0; i < count; ++i) pages[i] = prepare(frames[i], was_changed(frames[i]));
    write_all(pages, count);
    for (size_t i = 0; i < count; ++i) {
        if (pages[i].slot == 0) continue;
        for (uint32_t references = replace(pages[i]); references > 0; --references) put_reference(frames[i]);
        ++out;
        ++figures.pages_out;
        figures.clean_out += !pages[i].is_written;
    }
    return out;
}

// Reads a row of slots into new frames, as many as can be had; at least the wanted one.
class Reading {
public:
    explicit Reading(uint32_t wanted) : wanted_(wanted), first_(wanted), end_(wanted) {}

    Result<void> perform() {
        if (!grow(end_)) return Error::OutOfMemory;
        const uint32_t block = wanted_ / kCluster * kCluster;
        while (end_ < block + kCluster && is_wanted(end_) && grow(end_)) {}
        while (first_ > block && is_wanted(first_ - 1) && grow(first_ - 1)) {}
        if (swap_area::read(SwapSlot(first_), {frame_of(first_), end_ - first_}).is_error()) {
            leave_others();
            if (swap_area::read(SwapSlot(wanted_), {frame_of(wanted_), 1}).is_error()) {
                put_reference(*frame_of(wanted_));
                return Error::DeviceError;
            }
        }
        for (uint32_t number = first_; number < end_; ++number) put_copy(number, *frame_of(number));
        figures.read_ahead += end_ - first_ - 1;
        return {};
    }

private:
    static bool is_wanted(uint32_t number) {
        const Slot* const one = slots.find(number);
        return one && one->entries > 0 && one->frame == 0;
    }
    FrameNumber* frame_of(uint32_t number) { return &frames_[number % kCluster]; }
    bool grow(uint32_t number) {
        const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Unspecified);
        if (frame.is_error()) return false;
        *frame_of(number) = frame.value();
        if (number < first_) first_ = number;
        else end_ = number + 1;
        return true;
    }
    void leave_others() {
        for (uint32_t number = first_; number < end_; ++number) {
            if (number != wanted_) put_reference(*frame_of(number));
        }
        first_ = wanted_;
        end_ = wanted_ + 1;
    }

    uint32_t wanted_, first_, end_; // [first_, end_) have frames
    FrameNumber frames_[kCluster];
};

} // namespace

Result<void> initialize() {
    const uint32_t count = swap_area::slots();
    slots = {static_cast<Slot*>(TRY(vmalloc::allocate((count + 1) * sizeof(Slot)))), 0};
    copies = {static_cast<Copy*>(TRY(vmalloc::allocate((count + 1) * sizeof(Copy)))), 0};
    never = 0;
    last_number = count - 1;
    usable = last_number;
    for (uint32_t number = 1; number < count; ++number) {
        if (!swap_area::is_bad(SwapSlot(number))) continue;
        slots.insert({number, 0, 0, State::Never});
        ++never;
        --usable;
    }
    hint = 1;
    figures = {};
    return {};
}

size_t swap_out(std::span<const FrameNumber> frames) {
    size_t out = 0;
    for (; !frames.empty(); frames = frames.subspan(std::min(frames.size(), kCluster)))
        out += take_out(frames.data(), std::min(frames.size(), kCluster));
    return out;
}

Result<FrameNumber> load(SwapSlot slot) {
    const bool hit = slot_at(slot.value()).frame != 0;
    if (!hit) TRY(Reading(slot.value()).perform());
    Slot& one = slot_at(slot.value());
    const FrameNumber frame(one.frame);
    if (one.entries > 1) frames::share(frame);
    --one.entries;
    ++figures.pages_in;
    figures.cache_hits += hit;
    return frame;
}

Result<void> swap_in(AddressSpace* space, const Area& area, VirtAddr page) {
    const SwapSlot slot = spaces::swap_entry(space, page);
    const Statistics before = figures;
    const FrameNumber frame = TRY(load(slot));
    Access access = Access::ReadOnly;
    if (area.protection.write && frame_table::info(frame).references == 1) access = Access::ReadWrite;
    const Result<void> shown = spaces::show_swapped(space, area, page, frame, access);
    if (shown.is_error()) {
        if (++slot_at(slot.value()).entries > 1) put_reference(frame);
        figures.pages_in = before.pages_in;
        figures.cache_hits = before.cache_hits;
    }
    return shown;
}

Result<SwapSlot> store(FrameNumber frame, bool changed) {
    Page page = prepare(frame, changed);
    if (page.slot == 0) return Error::NoSpace;
    write_all(&page, 1);
    if (page.slot == 0) return Error::DeviceError;
    remove_copy(page.slot);
    Slot& one = slot_at(page.slot);
    one.state = State::InUse;
    if (++one.entries > 1) put_reference(frame);
    ++figures.pages_out;
    figures.clean_out += !page.is_written;
    return SwapSlot(page.slot);
}

void share(SwapSlot slot) { ++slot_at(slot.value()).entries; }

void release(SwapSlot slot) {
    Slot& one = slot_at(slot.value());
    if (--one.entries > 0) return;
    const FrameNumber frame(one.frame);
    if (one.frame == 0) return slots.remove(&one);
    if (frame_table::info(frame).references == 1) forget(frame);
    put_reference(frame);
}

Result<void> clean(FrameNumber frame) {
    if (holds(frame)) return {};
    const bool is_copy = number_with(frame) != 0;
    Page page = prepare(frame, true);
    if (page.slot == 0) return Error::NoSpace;
    write_all(&page, 1);
    if (page.slot == 0) return Error::DeviceError;
    slot_at(page.slot).state = State::InUse;
    if (!is_copy) put_copy(page.slot, frame);
    return {};
}

void forget(FrameNumber frame) {
    const uint32_t number = number_with(frame);
    if (number == 0) return;
    remove_copy(number);
    remove_if_free(number);
}

size_t shrink(size_t count) {
    size_t given = 0;
    for (uint32_t i = copies.count; i-- > 0 && given < count;) {
        const Copy copy = copies.begin[i];
        const FrameNumber frame(copy.frame);
        if (slot_at(copy.slot).entries == 0 || frame_table::info(frame).references > 1) continue;
        remove_copy(copy.slot);
        put_reference(frame);
        ++given;
    }
    return given;
}

SwapSlot slot_of(FrameNumber frame) { return SwapSlot(number_with(frame)); }

uint32_t entries(SwapSlot slot) {
    const Slot* const one = slots.find(slot.value());
    return one ? one->entries : 0;
}

bool holds(FrameNumber frame) {
    const uint32_t number = number_with(frame);
    return number != 0 && slot_at(number).entries > 0;
}

Statistics statistics() {
    Statistics now = figures;
    now.slots = usable;
    now.free = free_count();
    now.copies = copies.count;
    return now;
}

} // namespace mm::swap
