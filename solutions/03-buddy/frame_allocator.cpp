/// Reference solution of lab 03-buddy: the binary buddy system (Knowlton 1965; Knuth, *The Art of Computer Programming*,
/// volume 1, 2.5), with a list of free runs for every order of every zone.
///
/// A run of order k begins at a multiple of 2^k. Its *buddy* is the other half of the run of order k + 1 that both lie in. The
/// two numbers differ in bit k only, so an XOR finds it, upwards from a lower half and downwards from an upper one:
///
///     order 3  |               0x30                |      buddy(0x30, 2) = 0x30 ^ 4 = 0x34
///     order 2  |      0x30       |      0x34       |      buddy(0x34, 2) = 0x34 ^ 4 = 0x30
///     order 1  |  0x30  |  0x32  |  0x34  |  0x36  |      buddy(0x36, 1) = 0x36 ^ 2 = 0x34
///
/// allocate(1) of this, with only 0x30 of order 3 free, takes it, puts its upper halves into lower lists, and keeps what is left:
///
///     order 3  empty
///     order 2  head -> 0x34                 nonempty = 0b0110: one bit per list, so that the smallest run that is large
///     order 1  head -> 0x32                 enough is found by counting zeros, not by looking at the lists
///     order 0  empty                        and 0x30 of order 1 is the caller's
///
/// Everything about a run is in the frame table's entry of its *first* frame. allocator_tag says what begins there:
///
/// | tag      | the frame is                                                | in a list | becomes                                 |
/// |----------|-------------------------------------------------------------|-----------|-----------------------------------------|
/// | 0        | the first of no run: inside one, reserved, or no memory     | no        | 0x4K when a run is split in front of it |
/// | 0x40 + k | the first of a free run of order k                          | of order k| 0x8K by allocate(), 0 by a merge below  |
/// | 0x80 + k | the first of a run of order k that is handed out            | no        | 0x4K by free(), 0 by a merge below      |
///
/// So a run is handed out or taken back by writing one byte, whatever its size, and each wrong free() shows in one comparison: only
/// the first frame of a run in use of exactly this order has the tag 0x80 + order. Two free buddies of one order never stay side
/// by side; therefore free runs are always the largest that the free frames make.
///
/// Worst case: kMaxOrder splits or merges, each of which moves one run into or out of a list.
#include "mm/physical/frame_allocator.h"

#include <algorithm>
#include <bit>

#include "config.h"
#include "lib/address.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

constexpr uint32_t kOrders = kMaxOrder.value() + 1;

// Zones border on each other at multiples of the largest run, so no run, and no pair of buddies, lies in two zones.
static_assert(is_aligned(zone_frames(Zone::Normal).begin.value(), kMaxOrder.frames()));
static_assert(is_aligned(zone_frames(Zone::High).begin.value(), kMaxOrder.frames()));

/// Ends a list. No frame has this number: frames are below kMaxFrames.
constexpr uint32_t kEnd = ~uint32_t{0};

constexpr uint8_t kNoRun = 0;
constexpr uint8_t free_tag(uint32_t order) { return static_cast<uint8_t>(0x40 + order); }
constexpr uint8_t used_tag(uint32_t order) { return static_cast<uint8_t>(0x80 + order); }

/// The free runs of one zone. A list goes through the entries of the first frames: link[0] to the next, link[1] back.
struct FreeRuns {
    uint32_t nonempty = 0;        ///< Bit k: there is a free run of order k.
    uint32_t heads[kOrders];      ///< First frame of the first run; meaningful where `nonempty` has a bit.
    uint32_t counts[kOrders] = {};
    uint32_t frames = 0;          ///< Free ones, in runs of all orders.
};
constinit FreeRuns zones[kZoneCount] = {};

/// The frame table and its end. Kept here because every split and merge looks at entries.
constinit FrameInfo* table = nullptr;
constinit uint32_t table_end = 0;

FreeRuns& free_runs_of(Zone zone) { return zones[static_cast<uint32_t>(zone)]; }

/// Puts a run into a list of which it becomes the only member: all that a split needs.
void make_list(FreeRuns& runs, uint32_t first, uint32_t order) {
    FrameInfo& entry = table[first];
    entry.allocator_tag = free_tag(order);
    entry.link[0] = kEnd;
    entry.link[1] = kEnd;
    runs.heads[order] = first;
    runs.counts[order] = 1;
}

/// Puts a free run in front of its list.
void push(FreeRuns& runs, uint32_t first, uint32_t order) {
    const uint32_t count = runs.counts[order];
    const uint32_t next = runs.heads[order];
    make_list(runs, first, order);
    runs.nonempty |= 1u << order;
    if (count == 0) return;
    runs.counts[order] = count + 1;
    table[first].link[0] = next;
    table[next].link[1] = first;
}

/// Takes a run out of its list, wherever in it the run is. Its first frame begins no run then, as far as the tag knows.
void remove(FreeRuns& runs, FrameInfo& entry, uint32_t order) {
    const uint32_t next = entry.link[0];
    const uint32_t previous = entry.link[1];
    entry.allocator_tag = kNoRun;
    if (next != kEnd) table[next].link[1] = previous;
    if (previous != kEnd) table[previous].link[0] = next;
    else runs.heads[order] = next;
    if (--runs.counts[order] == 0) runs.nonempty &= ~(1u << order);
}

/// Takes the first run of a list that is not empty. As remove(), without asking what is known: nothing comes before it.
uint32_t pop(FreeRuns& runs, uint32_t order) {
    const uint32_t first = runs.heads[order];
    const uint32_t next = table[first].link[0];
    runs.heads[order] = next;
    if (--runs.counts[order] == 0) runs.nonempty &= ~(1u << order);
    else table[next].link[1] = kEnd;
    return first;
}

/// Merges a run that is in no list with its free buddies as far as that goes, and puts what comes of it into a list.
void put_back(FreeRuns& runs, uint32_t first, uint32_t order) {
    runs.frames += 1u << order;
    table[first].allocator_tag = kNoRun;
    for (; order < kMaxOrder.value(); ++order) {
        const uint32_t buddy = first ^ 1u << order;
        if (buddy >= table_end) break;  // memory ends within the larger run
        if (table[buddy].allocator_tag != free_tag(order)) break;  // in use, in pieces, reserved, or no memory
        remove(runs, table[buddy], order);
        first &= buddy;  // the lower of the two: it has the 0 in bit `order`
    }
    push(runs, first, order);
}

/// Cuts a run that is in no list down to `order`: of what is left its upper half goes into a list, again and again. Their
/// lists were empty, or allocate() would have taken a run from them. Not inline: most allocations split nothing.
[[gnu::noinline]] void split(FreeRuns& runs, uint32_t first, uint32_t found, uint32_t order) {
    runs.nonempty |= (1u << found) - (1u << order);  // bits `order` to `found` - 1
    while (found > order) {
        --found;
        make_list(runs, first + (1u << found), found);
    }
}

/// Frees the frames [begin, end), cut into the largest runs that fit: each as large as its first frame is aligned and the rest is long.
void put_back_range(uint32_t begin, uint32_t end) {
    while (begin < end) {
        const uint32_t aligned = std::countr_zero(begin); // 32 for frame 0, which is a multiple of everything
        const uint32_t fits = std::bit_width(end - begin) - 1;
        const uint32_t order = std::min({aligned, fits, kMaxOrder.value()});
        put_back(free_runs_of(zone_of(FrameNumber(begin))), begin, order);
        begin += 1u << order;
    }
}

void fill_run(FrameNumber first, Order order, uint32_t word) {
    for (uint32_t i = 0; i < order.frames(); ++i) fill_frame(first + i, word);
}

/// Where the stretch of frames that begins at `frame` ends, if they all are reserved, or all not: {reserved or not, the end}.
/// A few dozen ranges, asked once for each of their borders: nothing to sort, and no work per frame.
struct Stretch {
    bool reserved;
    uint32_t end;
};
Stretch stretch_at(uint32_t frame, uint32_t end, std::span<const FrameRange> reserved) {
    for (const FrameRange& range : reserved) {
        if (range.contains(FrameNumber(frame))) return {true, std::min(end, range.end.value())};
        if (range.begin.value() > frame && range.begin < range.end) end = std::min(end, range.begin.value());
    }
    return {false, end};
}

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    table = &frame_table::info(FrameNumber(0));
    table_end = frame_table::frame_count();
    for (const FrameRange& range : usable) {
        for (uint32_t frame = range.begin.value(); frame < range.end.value();) {
            const Stretch stretch = stretch_at(frame, range.end.value(), reserved);
            if (!stretch.reserved) put_back_range(frame, stretch.end);
            frame = stretch.end;
        }
    }
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order > kMaxOrder) return Error::Unsupported;
    FreeRuns* runs = &free_runs_of(zone);
    uint32_t candidates = runs->nonempty >> order.value();
    while (candidates == 0) {
        if (runs == zones) return Error::OutOfMemory;
        --runs; // the next lower zone
        candidates = runs->nonempty >> order.value();
    }
    const uint32_t found = order.value() + std::countr_zero(candidates);
    const uint32_t first = pop(*runs, found);
    if (found > order.value()) split(*runs, first, found, order.value());
    table[first].allocator_tag = used_tag(order.value());
    runs->frames -= order.frames();
    if (contents == Contents::Zeroed) fill_run(FrameNumber(first), order, 0);
    return FrameNumber(first);
}

Result<void> free(FrameNumber first, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    if (first.value() >= table_end) return Error::NotAllocated;
    if (table[first.value()].allocator_tag != used_tag(order.value())) return Error::NotAllocated;
    if constexpr (CONFIG_MEMORY_DEBUGGING) fill_run(first, order, kFreedFramePoison);
    put_back(free_runs_of(zone_of(first)), first.value(), order.value());
    return {};
}

size_t free_frames(Zone zone) { return free_runs_of(zone).frames; }

Result<size_t> free_runs(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    return free_runs_of(zone).counts[order.value()];
}

Result<uint32_t> fragmentation(Zone zone, Order order) {
    if (order > kMaxOrder) return Error::Unsupported;
    const FreeRuns& runs = free_runs_of(zone);
    uint32_t too_small = 0; // frames in runs of lower orders; at most 2^20, so that 1000 times as many fit in 32 bits
    for (uint32_t i = 0; i < order.value(); ++i) too_small += runs.counts[i] << i;
    return runs.frames == 0 ? 0 : too_small * 1000 / runs.frames;
}

} // namespace mm::frame_allocator
