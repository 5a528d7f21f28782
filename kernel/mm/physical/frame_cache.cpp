#include "mm/physical/frame_cache.h"

#include <algorithm>
#include <array>

#include "config.h"
#include "lib/format.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_stacks.h"
#include "mm/physical/split_runs.h"
#include "mm/physical/watermarks.h"

namespace mm::frame_cache {

constinit ZoneStacks stacks[kZoneCount];
constinit Zone served_by[kZoneCount] = {Zone::Dma, Zone::Normal, Zone::High};
constinit ZoneStacks* first_choice[kZoneCount] = {&stacks[0], &stacks[1], &stacks[2]};
constinit FrameInfo* entries = nullptr;
constinit size_t entry_count = 0;

void look_up_frame_table() {
    entries = &frame_table::info(FrameNumber(0));
    entry_count = frame_table::frame_count();
}

namespace {

consteval auto find_homes() {
    std::array<ZoneStacks*, kMaxFrames / kFramesPerHome> homes{};
    for (uint32_t i = 0; i < homes.size(); ++i) homes[i] = &stacks[static_cast<uint32_t>(zone_of(FrameNumber(i * kFramesPerHome)))];
    return homes;
}
static_assert(zone_frames(Zone::Dma).count() % kFramesPerHome == 0 && zone_frames(Zone::Normal).count() % kFramesPerHome == 0);

constinit ZoneStacks nothing_at_hand;

/// FrameInfo::owner_tag of a frame on a hot stack: whether its contents are known.
enum class Filling : uint8_t { Unknown = 0, Poison = 1 };

void set_filling(FrameInfo& info, Filling filling) { info.owner_tag = static_cast<uint8_t>(filling); }

/// A frame that came for a request for `zone` becomes one of the cache's.
void cache(FrameNumber frame, Zone zone) {
    FrameInfo& info = claim(frame, Order(0), zone, FrameUse::Cached);
    info.references = 1;
    set_filling(info, Filling::Unknown);
}

/// Stops the kernel: whoever had the frame before still writes to it.
[[noreturn]] void damaged(FrameNumber frame, const uint32_t* at, uint32_t expected) {
    print("frame {x}: the word at offset {x} is {x8}, and should be {x8}\n", frame, address_of(at).page_offset(), *at, expected);
    PANIC("a frame was written to while it was free");
}

void check_all_words(FrameNumber frame, uint32_t word) {
    const FrameMemory memory = frame_memory(frame);
    if (const uint32_t* at = find_other_word(memory.as<uint32_t>(), word, kPageSize / sizeof(uint32_t))) damaged(frame, at, word);
}

template <size_t kRoom>
size_t empty(FrameStack<kRoom>& stack) {
    const size_t count = stack.count();
    while (!stack.is_empty()) give_back(stack.pop(), Order(0));
    return count;
}

/// Up to `count` zeroed frames for one zone.
size_t fill_zeroed(Zone zone, size_t count) {
    auto& zeroed = stacks_of(zone).zeroed;
    size_t filled = 0;
    look_up_frame_table();
    while (filled < count && !zeroed.is_full() && frame_allocator::free_frames(zone) > watermarks::of(zone).high) {
        const auto frame = frame_allocator::allocate(Order(0), zone, Contents::Zeroed);
        if (frame.is_error()) break;
        cache(frame.value(), zone);
        if (zone_of(frame.value()) != zone) { // an allocator that does not tell zones apart yet
            give_back(frame.value(), Order(0));
            break;
        }
        zeroed.push(frame.value());
        ++filled;
    }
    return filled;
}

} // namespace

constinit const std::array<ZoneStacks*, kMaxFrames / kFramesPerHome> home_stacks = find_homes();

void choose_zones() {
    for (size_t i = 0; i < kZoneCount; ++i) {
        size_t choice = i;
        while (choice > 0 && watermarks::of(Zone(choice)).min == 0) --choice;
        served_by[i] = Zone(choice);
    }
    show_stacks();
}

void hide_stacks() { std::fill_n(first_choice, kZoneCount, &nothing_at_hand); }
void show_stacks() { std::transform(served_by, served_by + kZoneCount, first_choice, [](Zone zone) { return &stacks_of(zone); }); }

void give_back(FrameNumber first, Order order) {
    if (order == Order(0) && split_runs::contains(first)) return split_runs::wait(first);
    FrameInfo& entry = entries[first.value()];
    for_each_frame(&entry, order, [](FrameInfo& info) { info.use = FrameUse::Free; });
    entry.references = 0;
    KASSERT("the frame allocator takes back what it handed out", !frame_allocator::free(first, order).is_error());
}

namespace {

/// Frames of runs that were taken apart come first: the frame allocator cannot hand them out. A closed stack stays closed.
void take_waiting(Zone zone) {
    auto& hot = stacks_of(zone).hot;
    for (size_t i = 0; i < kBatch && split_runs::waiting(zone) > 0; ++i) hot.push(split_runs::take(zone));
}

} // namespace

void refill(Zone zone, size_t floor) {
    const size_t free = frame_allocator::free_frames(zone);
    const size_t wanted = free > floor ? std::min(free - floor, kBatch) : 0;
    if (wanted > 0) stacks_of(zone).hot.open();
    if (split_runs::waiting(zone) > 0) return take_waiting(zone);
    look_up_frame_table();
    FrameNumber batch[kBatch];
    size_t got = 0;
    while (got < wanted) {
        const auto frame = frame_allocator::allocate(Order(0), zone, Contents::Unspecified);
        if (frame.is_error()) break;
        cache(frame.value(), zone);
        batch[got++] = frame.value();
    }
    // The allocator's first frame goes out first. Each lands in its own zone's stack: an allocator that does not tell zones
    // apart yet may have fallen back to a lower one.
    while (got > 0) {
        const FrameNumber frame = batch[--got];
        auto& hot = stacks_of(zone_of(frame)).hot;
        if (hot.is_full()) give_back(frame, Order(0));
        else hot.push(frame);
    }
}

void push_slowly(FrameNumber frame) {
    auto& hot = stacks_of(frame).hot;
    if (hot.count() >= kBatch) { // not closed, then, but full
        FrameNumber coldest[kBatch];
        hot.pop_coldest(coldest);
        for (const FrameNumber cold : coldest) give_back(cold, Order(0));
        hot.push(frame);
        return;
    }
    give_back(frame, Order(0)); // refill() opens the stack again when the zone has frames to spare
}

Result<FrameNumber> take_reserved(Zone zone, Contents contents) {
    look_up_frame_table();
    const FrameNumber frame = TRY(frame_allocator::allocate(Order(0), zone, contents));
    claim(frame, Order(0), zone, FrameUse::Cached).references = 1;
    const Zone from = zone_of(frame);
    if (frame_allocator::free_frames(from) < watermarks::of(from).min) stacks_of(from).hot.close();
    return frame;
}

void poison(FrameNumber frame) {
    fill_frame(frame, kFreedFramePoison);
    set_filling(frame_table::info(frame), Filling::Poison);
}

void check_hot(FrameNumber frame) {
    if (frame_table::info(frame).owner_tag == static_cast<uint8_t>(Filling::Poison)) check_all_words(frame, kFreedFramePoison);
}

void check_zeroed(FrameNumber frame) { check_all_words(frame, 0); }

size_t hot_count(Zone zone) { return stacks_of(zone).hot.count() + split_runs::waiting(zone); }
size_t zeroed_count(Zone zone) { return stacks_of(zone).zeroed.count(); }
size_t count(Zone zone) { return hot_count(zone) + zeroed_count(zone); }

size_t fill_zeroed(size_t count) {
    size_t filled = 0;
    for (size_t i = kZoneCount; i > 0 && filled < count; --i) filled += fill_zeroed(Zone(i - 1), count - filled);
    return filled;
}

size_t drain() {
    size_t count = 0;
    for (ZoneStacks& zone : stacks) count += empty(zone.hot) + empty(zone.zeroed);
    return count;
}

} // namespace mm::frame_cache
