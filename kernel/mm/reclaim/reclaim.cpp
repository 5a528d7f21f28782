#include "mm/reclaim/reclaim.h"

#include <algorithm>
#include <iterator>

#include "mm/object/swap_store.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frames.h"
#include "mm/physical/watermarks.h"
#include "mm/reclaim/eviction.h"
#include "mm/reclaim/load_control.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/swap_area.h"
#include "mm/reclaim/usage_notes.h"
#include "mm/space/address_space.h"
#include "mm/space/pageable.h"
#include "mm/space/pager.h"
#include "mm/space/swap_services.h"

namespace mm::reclaim {

namespace {

constinit bool initialized = false;
constinit policy::Kind kind_in_force = policy::Kind::Clock;
constinit size_t limit = 0;
constinit size_t torture = 0;
constinit size_t next_torture = 0;       ///< When frames::allocations() reaches this.
void (*wake_reclaimer)() = nullptr;
constinit bool is_awake = false;         ///< The reclaimer's thread: it has been woken, and is not done.
constinit bool is_in_vain = false;       ///< Nothing could be taken: nobody tries again before the policy's next tick, unless he must.
constinit size_t copies_ahead = 0;       ///< Pages that were read ahead, and perhaps nobody has asked for. Never too few for long.
constinit uint32_t timer_ticks = 0;
constinit uint32_t policy_ticks = 0;     ///< Those that the policy knows of, in units of the timer's.

constexpr uint32_t kPolicyTick = 10;     ///< Timer ticks: 100 ms.
constexpr size_t kPatience = 4 * kBatch; ///< Victims that cannot leave, before whoever is not in need gives up.
constexpr size_t kMaxAttempts = 16;      ///< Of one call that fails for want of memory; each takes twice as many pages as the one before.
/// `torture` leaves so many pages: more than one instruction needs at once, its own, its operands', and those of a system call.
constexpr size_t kTortureLeaves = 32;
/// Pages that were read ahead stay, until there is one to so many that are in use.
constexpr size_t kUsedPerAhead = 8;

// Frames at hand.

size_t at_hand() {
    size_t frames = 0;
    for (const Zone zone : kAllZones)
        frames += frame_allocator::free_frames(zone) + frame_cache::hot_count(zone) + frame_cache::zeroed_count(zone);
    return frames;
}

size_t all_marks(size_t Watermarks::*mark) {
    size_t frames = 0;
    for (const Zone zone : kAllZones) frames += watermarks::of(zone).*mark;
    return frames;
}

// Pages that were read ahead.

/// @param asked  how many: those least worth keeping are not known
size_t take_copies(size_t asked) {
    if (!swaps || asked == 0) return 0;
    const size_t given = swap::shrink(asked);
    copies_ahead = given < asked ? 0 : copies_ahead - std::min(copies_ahead, given);
    return given;
}

/// Copies that are too many, of `count` at most.
size_t take_old_copies(size_t count) {
    const size_t worthwhile = std::max(policy::count() / kUsedPerAhead, kBatch);
    return copies_ahead > worthwhile ? take_copies(std::min(count, copies_ahead - worthwhile)) : 0;
}

/// Reads pages by `load`, and notes what came with them. The disk tells, not the piece: its statistics() may have to count.
template <typename Load>
auto reading(Load load) {
    const size_t before = swap_area::statistics().pages_read;
    auto result = load();
    const size_t pages = swap_area::statistics().pages_read - before;
    if (pages > 0) copies_ahead += pages - 1;
    else if (!result.is_error() && copies_ahead > 0) --copies_ahead; // a copy that was there
    return result;
}

// What others call.

void page_came(FrameNumber frame) {
    if (may_ever_leave(frame)) policy::page_in(frame);
}

void page_gone(FrameNumber frame) {
    policy::page_out(frame);
    if (swaps) swap::forget(frame);
}

Result<void> bring_back(AddressSpace* space, const Area& area, VirtAddr page) {
    return reading([&] { return swap::swap_in(space, area, page); });
}

Result<FrameNumber> load(SwapSlot slot) {
    return reading([&] { return swap::load(slot); });
}

bool was_used(Pte& entry) { return usage_notes::take_for_space(entry, load_control::is_on() ? usage_notes::kForSample : 0); }

bool make_room_in(AddressSpace* space) { return spaces::give_one_page(*space, {.was_used = was_used, .take = take_page}); }

constexpr Pager kPager{.page_came = page_came,
                       .bring_back = bring_back,
                       .safe_point = safe_point,
                       .make_room = make_room,
                       .make_room_in = make_room_in};
constexpr SwapStore kStore{.load = load, .share = swap::share, .release = swap::release, .forget = swap::forget};

// When.

void let_policy_tick() {
    if (timer_ticks - policy_ticks < kPolicyTick) return;
    policy_ticks = timer_ticks;
    is_in_vain = false;
    policy::tick();
}

/// A thousand pages that cannot leave are too much when they are more than all others together.
void make_large_pages_pageable() {
    if (swaps && spaces::large_pages_everywhere() * kPagesPerLargePage > policy::count()) spaces::split_some_large_page();
}

/// @param patience  as take_victims()
size_t take(size_t count, size_t patience) {
    make_large_pages_pageable();
    size_t given = take_old_copies(count);
    given += take_victims(count - given, patience);
    if (given < count) given += take_copies(count - given);
    return given;
}

void keep_limit() {
    if (limit > 0 && policy::count() >= limit) take_victims(policy::count() - limit + 1, kPatience);
}

/// A page for every `torture` frames that were allocated since the last one.
void take_for_torture() {
    if (torture == 0 || frames::allocations() < next_torture) return;
    const size_t due = (frames::allocations() - next_torture) / torture + 1;
    next_torture += due * torture;
    const size_t spare = policy::count() - std::min(policy::count(), kTortureLeaves);
    const size_t wanted = std::min({due, spare, kBatch});
    if (wanted > 0) take(wanted, kPatience);
}

void wake() {
    if (is_awake || is_in_vain || !wake_reclaimer) return;
    is_awake = true;
    ++counts.wakeups;
    wake_reclaimer();
}

} // namespace

Result<void> initialize(policy::Kind kind) {
    TRY(policy::initialize(kind));
    kind_in_force = kind;
    if (swap_area::is_open()) {
        TRY(swap::initialize());
        swap_store::set(kStore);
        swaps = true;
    }
    frames::set_pageable_listener(page_gone);
    pager::set(kPager);
    initialized = true;
    return {};
}

bool is_initialized() { return initialized; }
bool has_swap() { return swaps; }

const char* kind_name(policy::Kind kind) {
    static constexpr const char* kNames[] = {"fifo", "clock", "aging", "two-lists", "working-set", "own"};
    static_assert(std::size(kNames) == policy::kKinds);
    return kNames[static_cast<unsigned>(kind)];
}

const char* policy_name() { return kind_name(kind_in_force); }

size_t take_pages(size_t count) { return take(count, SIZE_MAX); }

void safe_point() {
    let_policy_tick();
    keep_limit();
    take_for_torture();
    const size_t frames = at_hand();
    if (frames >= all_marks(&Watermarks::low)) return;
    wake();
    if (frames >= all_marks(&Watermarks::min) || is_in_vain) return;
    is_in_vain = take(kBatch, kPatience) == 0;
    counts.safe_points += !is_in_vain;
}

bool make_room(size_t attempt) {
    if (attempt >= kMaxAttempts) return false;
    const bool has_given = take_pages(kBatch << attempt) > 0; // the shrinkers were asked before anybody was refused a frame
    counts.made_room += has_given;
    return has_given;
}

size_t balance() {
    size_t given = 0;
    while (at_hand() < all_marks(&Watermarks::high)) {
        const size_t now = take(kBatch, kPatience);
        is_in_vain = now == 0;
        if (is_in_vain) break;
        given += now;
    }
    is_awake = false;
    return given;
}

size_t frames_for_pages() {
    const size_t frames = at_hand(), kept = all_marks(&Watermarks::high);
    const size_t all = policy::count() + (frames > kept ? frames - kept : 0);
    return limit > 0 && limit < all ? limit : all;
}

void set_waker(void (*wake)()) { wake_reclaimer = wake; }
void set_limit(size_t frames) { limit = frames; }
void set_torture(size_t n) {
    torture = n;
    next_torture = frames::allocations() + n;
}
void note_time() { ++timer_ticks; }

} // namespace mm::reclaim
