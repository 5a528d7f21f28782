/// @file
/// Lab 10-replace with rings of frame numbers: two arrays of neighbours, next and previous, and a head of each ring behind the last frame. The hand is the
/// ring's head itself: who is passed by the hand is moved from before the head to behind it. Counters and times lie in arrays of their own.
#include "mm/reclaim/policy.h"

#include "mm/heap/kmalloc.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_table.h"
#include "mm/reclaim/page_usage.h"

namespace mm::policy {

namespace {

struct Ring {
    uint32_t head;
    size_t length;
};

constinit Kind kind;
constinit uint32_t* next = nullptr;   ///< Towards the younger ones; a frame in no ring leads to itself.
constinit uint32_t* previous = nullptr;
constinit uint32_t* time = nullptr;
constinit uint8_t* note = nullptr;    ///< Aging's counter; of TwoLists bit 0: marked, bit 1: active.
constinit Ring main_ring, active_ring;

constexpr uint8_t kMarked = 1, kActive = 2;

uint32_t oldest(const Ring& ring) { return next[ring.head]; }

void link_last(Ring& ring, uint32_t frame) {
    const uint32_t last = previous[ring.head];
    next[last] = frame;
    previous[frame] = last;
    next[frame] = ring.head;
    previous[ring.head] = frame;
    ++ring.length;
}

void unlink(Ring& ring, uint32_t frame) {
    next[previous[frame]] = next[frame];
    previous[next[frame]] = previous[frame];
    next[frame] = previous[frame] = frame;
    --ring.length;
}

void pass(Ring& from, Ring& to, uint32_t frame) {
    unlink(from, frame);
    link_last(to, frame);
}

bool take_bit(uint32_t frame) { return page_usage::test_and_clear_accessed(FrameNumber(frame)); }

uint32_t age(uint32_t frame) {
    const uint32_t now = page_usage::owner_time(FrameNumber(frame));
    return now > time[frame] ? now - time[frame] : 0;
}

uint32_t by_clock() {
    for (;;) {
        const uint32_t frame = oldest(main_ring);
        if (!take_bit(frame)) return frame;
        pass(main_ring, main_ring, frame);
    }
}

uint32_t by_counter() {
    uint32_t best = oldest(main_ring);
    for (uint32_t frame = next[best]; frame != main_ring.head; frame = next[frame]) {
        if (note[frame] < note[best]) best = frame;
    }
    return best;
}

void activate(uint32_t frame) {
    note[frame] = kActive;
    pass(main_ring, active_ring, frame);
}

uint32_t by_lists() {
    for (;;) {
        while (main_ring.length * 2 < active_ring.length) {
            const uint32_t frame = oldest(active_ring);
            const bool stays = take_bit(frame);
            if (!stays) note[frame] = 0;
            pass(active_ring, stays ? active_ring : main_ring, frame);
        }
        const uint32_t frame = oldest(main_ring);
        if (!take_bit(frame)) return frame;
        if (note[frame] & kMarked) {
            activate(frame);
        } else {
            note[frame] |= kMarked;
            pass(main_ring, main_ring, frame);
        }
    }
}

bool is_clean(uint32_t frame) { return !page_usage::is_dirty(FrameNumber(frame)); }

/// The first of the greatest age from the head on, among all or among clean ones; the head itself if there is none.
uint32_t eldest(bool must_be_clean) {
    uint32_t best = main_ring.head;
    for (uint32_t frame = oldest(main_ring); frame != main_ring.head; frame = next[frame]) {
        if (must_be_clean && !is_clean(frame)) continue;
        if (best == main_ring.head || age(frame) > age(best)) best = frame;
    }
    return best;
}

uint32_t by_working_set() {
    size_t cleaned = 0;
    for (size_t steps = 2 * main_ring.length; steps > 0; --steps) {
        const uint32_t frame = oldest(main_ring);
        if (take_bit(frame)) time[frame] = page_usage::owner_time(FrameNumber(frame));
        else if (age(frame) > kWorkingSetWindow) {
            if (is_clean(frame)) return frame;
            if (cleaned++ < kCleaningsPerSearch) page_usage::clean(FrameNumber(frame));
        }
        pass(main_ring, main_ring, frame);
    }
    uint32_t victim = eldest(true);
    if (victim == main_ring.head) victim = eldest(false);
    while (oldest(main_ring) != victim) pass(main_ring, main_ring, oldest(main_ring));
    return victim;
}

template <typename T>
Result<void> take_memory(T*& array, size_t count) {
    if (!array) array = static_cast<T*>(TRY(vmalloc::allocate(count * sizeof(T))));
    return {};
}

} // namespace

Result<void> initialize(Kind wanted) {
    const uint32_t frames = frame_table::frame_count();
    TRY(take_memory(next, frames + 2));
    TRY(take_memory(previous, frames + 2));
    TRY(take_memory(time, frames));
    TRY(take_memory(note, frames));
    for (uint32_t i = 0; i < frames + 2; ++i) next[i] = previous[i] = i;
    main_ring = {frames, 0};
    active_ring = {frames + 1, 0};
    kind = wanted;
    return {};
}

void page_in(FrameNumber frame) {
    const uint32_t number = frame.value();
    note[number] = kind == Kind::TwoLists ? 0 : kind == Kind::Own ? 0x40 : 0x80;
    if (kind == Kind::WorkingSet) time[number] = page_usage::owner_time(frame);
    link_last(main_ring, number);
}

void page_out(FrameNumber frame) {
    const uint32_t number = frame.value();
    if (next[number] == number) return;
    unlink(kind == Kind::TwoLists && note[number] & kActive ? active_ring : main_ring, number);
}

Result<FrameNumber> choose_victim() {
    if (main_ring.length + active_ring.length == 0) return Error::NotFound;
    uint32_t (*const choose[])() = {[] { return oldest(main_ring); }, by_clock, by_counter, by_lists, by_working_set, by_counter};
    return FrameNumber(choose[static_cast<unsigned>(kind)]());
}

void tick() {
    if (kind != Kind::Aging && kind != Kind::Own) return;
    for (uint32_t frame = oldest(main_ring); frame != main_ring.head; frame = next[frame]) note[frame] = note[frame] >> 1 | (take_bit(frame) ? 0x80 : 0);
}

size_t count() { return main_ring.length + active_ring.length; }

} // namespace mm::policy
