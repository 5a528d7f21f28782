/// @file
/// Lab 10-replace without a linked list for most: each page has the number of its coming, and one array holds the pages in that order. A page that
/// goes leaves a hole, and when the array is full, it is pushed together. What stands where is kept for each frame.
#include "mm/reclaim/policy.h"

#include "lib/memory.h"
#include "mm/heap/kmalloc.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_table.h"
#include "mm/reclaim/page_usage.h"

namespace mm::policy {

namespace {

constexpr uint32_t kHole = ~0u;

/// Pages in an order, oldest first, with holes. Twice as many places as there are frames, so that pushing together is rare.
struct Row {
    uint32_t* places = nullptr;
    uint32_t* place_of = nullptr;   ///< Of each frame; kHole when it is not here.
    size_t begin = 0, end = 0, size = 0;
    size_t count = 0;

    void push(uint32_t frame) {
        if (end == size) press();
        places[end] = frame;
        place_of[frame] = end++;
        ++count;
    }
    bool has(uint32_t frame) const { return place_of[frame] != kHole; }
    void drop(uint32_t frame) {
        places[place_of[frame]] = kHole;
        place_of[frame] = kHole;
        --count;
        while (begin < end && places[begin] == kHole) ++begin;
    }
    void press() {
        size_t to = 0;
        for (size_t from = begin; from < end; ++from) {
            if (places[from] == kHole) continue;
            place_of[places[from]] = to;
            places[to++] = places[from];
        }
        begin = 0;
        end = to;
    }
    uint32_t front() const { return places[begin]; }
    void to_back() {
        const uint32_t frame = front();
        drop(frame);
        push(frame);
    }
};

struct Book {
    uint32_t time;
    uint8_t age;
    bool was_seen;
};

constinit Kind kind = Kind::Fifo;
constinit Row all, busy;   ///< In a circle the hand is at the front. TwoLists: `all` are the inactive ones, `busy` the active ones.
constinit Book* books = nullptr;

bool used(uint32_t frame) { return page_usage::test_and_clear_accessed(FrameNumber(frame)); }

uint32_t age_of(uint32_t frame) {
    const uint32_t now = page_usage::owner_time(FrameNumber(frame));
    return now < books[frame].time ? 0 : now - books[frame].time;
}

uint32_t clock_victim() {
    while (used(all.front())) all.to_back();
    return all.front();
}

uint32_t youngest_counter() {
    uint32_t best = all.front();
    for (size_t i = all.begin; i < all.end; ++i) {
        if (all.places[i] != kHole && books[all.places[i]].age < books[best].age) best = all.places[i];
    }
    return best;
}

uint32_t list_victim() {
    for (;;) {
        while (3 * all.count < all.count + busy.count) {
            const uint32_t frame = busy.front();
            if (used(frame)) {
                busy.to_back();
            } else {
                busy.drop(frame);
                all.push(frame);
            }
        }
        const uint32_t frame = all.front();
        if (!used(frame)) return frame;
        if (!books[frame].was_seen) {
            books[frame].was_seen = true;
            all.to_back();
        } else {
            books[frame].was_seen = false;
            all.drop(frame);
            busy.push(frame);
        }
    }
}

uint32_t working_set_victim() {
    size_t left = kCleaningsPerSearch;
    const size_t looks = 2 * all.count;
    for (size_t look = 0; look < looks; ++look) {
        const uint32_t frame = all.front();
        if (used(frame)) {
            books[frame].time = page_usage::owner_time(FrameNumber(frame));
        } else if (age_of(frame) > kWorkingSetWindow) {
            if (!page_usage::is_dirty(FrameNumber(frame))) return frame;
            if (left > 0) {
                --left;
                page_usage::clean(FrameNumber(frame));
            }
        }
        all.to_back();
    }
    uint32_t best[2] = {kHole, kHole}; // dirty, clean
    all.press();
    for (size_t i = all.begin; i < all.end; ++i) {
        const uint32_t frame = all.places[i];
        uint32_t& better = best[!page_usage::is_dirty(FrameNumber(frame))];
        if (better == kHole || age_of(frame) > age_of(better)) better = frame;
    }
    const uint32_t victim = best[1] != kHole ? best[1] : best[0];
    while (all.front() != victim) all.to_back();
    return victim;
}

Result<void> make(Row& row, size_t frames) {
    if (!row.places) {
        row.size = 2 * frames;
        row.places = static_cast<uint32_t*>(TRY(vmalloc::allocate(row.size * sizeof(uint32_t))));
        row.place_of = static_cast<uint32_t*>(TRY(vmalloc::allocate(frames * sizeof(uint32_t))));
    }
    for (size_t i = 0; i < frames; ++i) row.place_of[i] = kHole;
    row.begin = row.end = row.count = 0;
    return {};
}

} // namespace

Result<void> initialize(Kind wanted) {
    const size_t frames = frame_table::frame_count();
    if (!books) books = static_cast<Book*>(TRY(vmalloc::allocate(frames * sizeof(Book))));
    TRY(make(all, frames));
    TRY(make(busy, frames));
    kind = wanted;
    return {};
}

void page_in(FrameNumber frame) {
    Book& book = books[frame.value()];
    book = {.time = 0, .age = static_cast<uint8_t>(kind == Kind::Own ? 0x40 : 0x80), .was_seen = false};
    if (kind == Kind::WorkingSet) book.time = page_usage::owner_time(frame);
    all.push(frame.value());
}

void page_out(FrameNumber frame) {
    if (all.has(frame.value())) all.drop(frame.value());
    else if (busy.has(frame.value())) busy.drop(frame.value());
}

Result<FrameNumber> choose_victim() {
    if (count() == 0) return Error::NotFound;
    switch (kind) {
    case Kind::Fifo: return FrameNumber(all.front());
    case Kind::Clock: return FrameNumber(clock_victim());
    case Kind::TwoLists: return FrameNumber(list_victim());
    case Kind::WorkingSet: return FrameNumber(working_set_victim());
    default: return FrameNumber(youngest_counter());
    }
}

void tick() {
    if (kind != Kind::Aging && kind != Kind::Own) return;
    for (size_t i = all.begin; i < all.end; ++i) {
        const uint32_t frame = all.places[i];
        if (frame != kHole) books[frame].age = static_cast<uint8_t>(books[frame].age / 2 + (used(frame) ? 0x80 : 0));
    }
}

size_t count() { return all.count + busy.count; }

} // namespace mm::policy
