// Single frames come and go through the frame cache: the two fast paths are a stack's pop and push, and a frame table entry. All
// else (an empty or full stack, watermarks, shrinkers, tests that want failures) lies on the slow paths behind them.
#include "mm/physical/frames.h"

#include <cstdint>

#include "config.h"
#include "lib/panic.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_stacks.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/shrinker.h"
#include "mm/physical/split_runs.h"
#include "mm/physical/watermarks.h"

namespace mm::frames {

// What refusals() and single_refusals() read.
constinit size_t frames_refused = 0;
constinit size_t single_frames_refused = 0;

namespace {

using frame_cache::entries;
using frame_cache::entry_count;
using frame_cache::ZoneStacks;

constexpr size_t kUnlimited = SIZE_MAX;
constinit size_t allowed_allocations = kUnlimited; ///< What fail_after() left; kUnlimited outside of tests.
constinit size_t frames_given = 0;  ///< Handed out since the boot; both counts may wrap.
constinit size_t frames_back = 0;   ///< Given back since the boot.
constinit size_t reserve_users = 0; ///< UseReserve.
void (*pageable_gone)(FrameNumber) = nullptr;

/// May the last frames be taken, those below the watermark?
enum class Depth { ToTheMark, ToTheLast };

// Every call that hands out no frame, or takes none back, ends in one of these two. The grader counts how often the machine
// comes by: here, at allocate() and at release(). That number no piece can write to.
[[gnu::noipa]] Result<FrameNumber> without_frame(Error error) { return error; }
[[gnu::noipa]] Result<void> frame_stays(Error error) { return error; }

inline Result<FrameNumber> hand_out(FrameNumber frame) {
    entries[frame.value()].use = FrameUse::Allocated; // its entry counts one reference already
    ++frames_given;
    return frame;
}

inline FrameNumber pop_hot(ZoneStacks& stacks) {
    const FrameNumber frame = stacks.hot.pop();
    if constexpr (CONFIG_MEMORY_DEBUGGING) frame_cache::check_hot(frame);
    return frame;
}

inline FrameNumber pop_zeroed(ZoneStacks& stacks) {
    const FrameNumber frame = stacks.zeroed.pop();
    if constexpr (CONFIG_MEMORY_DEBUGGING) frame_cache::check_zeroed(frame);
    return frame;
}

/// A frame of exactly this zone, by way of its stacks.
Result<FrameNumber> take_from(Zone zone, Contents contents) {
    ZoneStacks& stacks = frame_cache::stacks_of(zone);
    if (contents == Contents::Zeroed && !stacks.zeroed.is_empty()) return pop_zeroed(stacks);
    if (stacks.hot.is_empty()) frame_cache::refill(zone, watermarks::minimum(zone));
    if (!stacks.hot.is_empty()) {
        const FrameNumber frame = pop_hot(stacks);
        if (contents == Contents::Zeroed) zero_frame(frame);
        return frame;
    }
    if (!stacks.zeroed.is_empty()) return pop_zeroed(stacks);
    return Error::OutOfMemory;
}

Result<FrameNumber> take(Zone highest, Contents contents, Depth depth) {
    for (size_t i = static_cast<size_t>(frame_cache::served_by[static_cast<size_t>(highest)]) + 1; i > 0; --i) {
        const auto frame = take_from(Zone(i - 1), contents);
        if (!frame.is_error()) return frame;
    }
    return depth == Depth::ToTheLast ? frame_cache::take_reserved(highest, contents) : Error::OutOfMemory;
}

[[gnu::noinline]] Result<FrameNumber> allocate_slowly(Zone zone, Contents contents, Depth depth) {
    if (allowed_allocations == 0) return without_frame(Error::OutOfMemory);
    if (reserve_users > 0) depth = Depth::ToTheLast;
    auto frame = take(zone, contents, depth);
    if (frame.is_error() && shrinkers::shrink_all() > 0) frame = take(zone, contents, depth);
    if (frame.is_error()) {
        ++frames_refused;
        ++single_frames_refused;
        return without_frame(frame.error());
    }
    if (allowed_allocations != kUnlimited) --allowed_allocations;
    return hand_out(frame.value());
}

/// What release() does with a frame that nobody has any more when its stack is full.
[[gnu::noinline]] Result<void> release_slowly(FrameNumber frame) {
    entries[frame.value()].use = FrameUse::Cached;
    ++frames_back;
    if constexpr (CONFIG_MEMORY_DEBUGGING) frame_cache::poison(frame);
    frame_cache::push_slowly(frame);
    return {};
}

/// release() of a frame that is not just allocated: one with pages that can be reclaimed, or nobody's.
[[gnu::noinline]] Result<void> release_pageable(FrameNumber frame, FrameInfo& info) {
    if (info.use != FrameUse::Pageable || info.references == 0) return frame_stays(Error::NotAllocated);
    if (info.references > 1) {
        --info.references;
        return frame_stays(Error::None);
    }
    pageable_gone(frame);
    info.use = FrameUse::Allocated;
    return release(frame);
}

/// Asks the frame allocator for a run, if that leaves `zone` above its mark. The allocator falls to lower zones by itself: where the run
/// comes from is for the caller to look at.
[[gnu::always_inline]] inline Result<FrameNumber> try_run(Order order, Zone zone, Contents contents) {
    if (frame_allocator::free_frames(zone) < watermarks::minimum(zone) + order.frames()) return Error::OutOfMemory;
    const FrameNumber first = TRY(frame_allocator::allocate(order, zone, contents));
    frame_cache::claim(first, order, zone, FrameUse::Allocated);
    return first;
}

inline bool is_from(const Result<FrameNumber>& run, Zone zone) {
    return !run.is_error() && &frame_cache::stacks_of(run.value()) == &frame_cache::stacks_of(zone);
}

/// What try_run() found for the highest zone is not from there, if it found anything. A run from a zone that is below its mark now goes
/// back, and the search goes on below; after the lowest zone the shrinkers are asked, once, and all zones tried again.
[[gnu::noinline]] Result<FrameNumber> search_run(Result<FrameNumber> found, Order order, Zone highest, Contents contents) {
    Zone zone = highest;
    bool has_asked = false;
    for (;; found = try_run(order, zone, contents)) {
        if (!found.is_error()) {
            const Zone from = zone_of(found.value());
            if (from == zone || frame_allocator::free_frames(from) >= watermarks::minimum(from)) return found;
            frame_cache::give_back(found.value(), order);
            zone = from;
        } else if (found.error() != Error::OutOfMemory) {
            return found;
        }
        if (zone != Zone::Dma) {
            zone = Zone(static_cast<uint32_t>(zone) - 1);
        } else {
            if (has_asked || shrinkers::shrink_all() == 0) {
                ++frames_refused;
                return Error::OutOfMemory;
            }
            has_asked = true;
            zone = highest;
        }
    }
}

} // namespace

Result<FrameNumber> allocate(Zone zone, Contents contents) {
    ZoneStacks& stacks = *frame_cache::first_choice[static_cast<uint32_t>(zone)];
    if (contents == Contents::Unspecified) {
        if (!stacks.hot.is_empty()) [[likely]] return hand_out(pop_hot(stacks));
    } else if (!stacks.zeroed.is_empty()) {
        return hand_out(pop_zeroed(stacks));
    } else if (!stacks.hot.is_empty()) {
        const FrameNumber frame = pop_hot(stacks);
        zero_frame(frame);
        return hand_out(frame);
    }
    return allocate_slowly(zone, contents, Depth::ToTheMark);
}

Result<FrameNumber> allocate_reserve(Zone zone, Contents contents) { return allocate_slowly(zone, contents, Depth::ToTheLast); }

Result<void> release(FrameNumber frame) {
    if (frame.value() >= entry_count) [[unlikely]] return frame_stays(Error::NotAllocated);
    FrameInfo& info = entries[frame.value()];
    if (info.use != FrameUse::Allocated || info.references == 0 || info.order != 0) [[unlikely]] return release_pageable(frame, info);
    if (info.references > 1) {
        --info.references;
        return frame_stays(Error::None);
    }
    auto& hot = frame_cache::stacks_of(frame).hot;
    if (hot.is_full()) [[unlikely]] return release_slowly(frame);
    if constexpr (CONFIG_MEMORY_DEBUGGING) frame_cache::poison(frame);
    hot.push(frame);
    info.use = FrameUse::Cached;
    ++frames_back;
    return {};
}

void release_all(const FrameNumber* frames, size_t count) {
    for (const FrameNumber* frame = frames; frame < frames + count; ++frame) {
        FrameInfo& info = entries[frame->value()];
        if (info.references > 1 && info.use == FrameUse::Allocated && info.order == 0) --info.references;
        else KASSERT("a frame that is released has an owner", !release(*frame).is_error());
    }
}

void split_run(FrameNumber first) {
    FrameInfo& entry = frame_table::info(first);
    KASSERT("a run that is taken apart has one owner and the largest order",
            entry.use == FrameUse::Allocated && entry.references == 1 && entry.order == kMaxOrder.value());
    entry.order = 0;
    frame_cache::for_each_frame(&entry, kMaxOrder, [](FrameInfo& info) {
        info.references = 1;
        info.owner_tag = 0;
    });
    split_runs::add(first);
}

void share(FrameNumber first) {
    KASSERT("a frame is one of memory", first.value() < entry_count);
    FrameInfo& info = entries[first.value()];
    KASSERT("only an allocated frame gets another owner", (info.use == FrameUse::Allocated || info.use == FrameUse::Pageable) && info.references > 0);
    ++info.references;
}

Result<FrameNumber> allocate_run(Order order, Zone zone, Contents contents) {
    if (order == Order(0)) return allocate(zone, contents);
    if (order > kMaxOrder) return Error::Unsupported;
    if (allowed_allocations == 0) return Error::OutOfMemory;
    if (entry_count == 0) frame_cache::look_up_frame_table();
    zone = frame_cache::served_by[static_cast<uint32_t>(zone)];
    auto first = try_run(order, zone, contents);
    if (!is_from(first, zone)) [[unlikely]] {
        first = search_run(first, order, zone, contents);
        if (first.is_error()) return first;
    }
    FrameInfo& info = entries[first.value().value()];
    info.references = 1;
    info.order = static_cast<uint8_t>(order.value());
    frames_given += order.frames();
    if (allowed_allocations != kUnlimited) --allowed_allocations;
    return first;
}

Result<void> release_run(FrameNumber first, Order order) {
    if (order == Order(0)) return release(first);
    if (first.value() >= entry_count) return Error::NotAllocated;
    FrameInfo& info = entries[first.value()];
    if (info.use != FrameUse::Allocated || info.references == 0 || info.order != order.value()) return Error::NotAllocated;
    if (info.references > 1) {
        --info.references;
        return {};
    }
    info.order = 0;
    frames_back += order.frames();
    frame_cache::give_back(first, order);
    return {};
}

void make_pageable(FrameNumber frame, uint32_t word0, uint32_t word1) {
    FrameInfo& info = frame_table::info(frame);
    KASSERT("a frame that becomes pageable is a single one, and has an owner",
            info.use == FrameUse::Allocated && info.references > 0 && info.order == 0);
    info.use = FrameUse::Pageable;
    info.link[0] = word0;
    info.link[1] = word1;
}

void set_pageable_listener(void (*gone)(FrameNumber frame)) { pageable_gone = gone; }

size_t in_use() { return frames_given - frames_back; }

size_t allocations() { return frames_given; }


UseReserve::UseReserve() { ++reserve_users; }
UseReserve::~UseReserve() { --reserve_users; }

void fail_after(size_t count) {
    allowed_allocations = count;
    frame_cache::hide_stacks();
}

void fail_never() {
    allowed_allocations = kUnlimited;
    frame_cache::show_stacks();
}

} // namespace mm::frames

namespace mm::pages {

Result<void*> allocate(Order order, Contents contents) {
    return identity_address(TRY(frames::allocate_run(order, Zone::Normal, contents)));
}

Result<void*> get_free_page(Contents contents) { return identity_address(TRY(frames::allocate(Zone::Normal, contents))); }

Result<void> free(void* address, Order order) {
    if (!is_identity_address(address) || address_of(address).page_offset() != 0) return Error::NotAllocated;
    return frames::release_run(identity_frame(address), order);
}

} // namespace mm::pages
