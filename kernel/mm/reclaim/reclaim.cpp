#include "mm/reclaim/reclaim.h"

#include <iterator>

#include "lib/panic.h"
#include "mm/object/swap_store.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/physical/shrinker.h"
#include "mm/physical/watermarks.h"
#include "mm/reclaim/page_usage.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/address_space.h"
#include "mm/space/pager.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace mm::reclaim {

namespace {

constinit bool initialized = false;
constinit bool swaps = false;
constinit policy::Kind kind_in_force = policy::Kind::Clock;
constinit size_t limit = 0;
constinit size_t torture = 0;
constinit size_t next_torture = 0;       ///< When frames::allocations() reaches this.
void (*wake_reclaimer)() = nullptr;
void (*victim_listener)(FrameNumber) = nullptr;
constinit uint32_t timer_ticks = 0;
constinit uint32_t policy_ticks = 0;     ///< Those that the policy knows of, in units of the timer's.
constinit Counters counts;

constexpr uint32_t kPolicyTick = 10;     ///< Timer ticks: 100 ms.

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

// One victim.

/// The pages of an object that show the frame forget it: the object knows where its contents are.
void hide(FrameNumber frame) {
    reverse_map::for_each(frame, [&](const Mapping& mapping) {
        *mapping.entry = Pte::empty();
        if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
        spaces::count_hidden(mapping.space);
        KASSERT("a present page has a reference of its frame", !frames::release(frame).is_error());
    });
}

/// A page of an object leaves.
Result<void> evict_object_page(FrameNumber frame, MemoryObject& object) {
    const page_usage::Usage usage = page_usage::of(frame);
    const size_t index = reverse_map::index_of(frame);
    SwapSlot slot;
    if (object.is_shared_memory) {
        if (!swaps) return Error::NoSpace;
        slot = TRY(swap::store(frame, usage.dirty));
    }
    hide(frame);
    ++(object.is_shared_memory ? counts.shared : counts.files);
    object.operations->evict(object, index, slot);
    return {};
}

/// Whether every reference of the frame is known: else somebody in the kernel works with it just now.
bool is_explained(FrameNumber frame) {
    const size_t known = page_usage::of(frame).mappings + (reverse_map::object_of(frame) ? 1 : 0) + (swaps && swap::holds(frame) ? 1 : 0);
    return frame_table::info(frame).references == known;
}

Result<void> evict(FrameNumber frame) {
    if (victim_listener) victim_listener(frame);
    if (!is_explained(frame)) return Error::Busy;
    if (MemoryObject* const object = reverse_map::object_of(frame)) return evict_object_page(frame, *object);
    if (!swaps) return Error::NoSpace;
    if (swap::swap_out({&frame, 1}) == 0) return Error::DeviceError;
    ++counts.anonymous;
    return {};
}

/// A victim that cannot leave goes to the end of the policy's order, so that the others have their turn.
void keep(FrameNumber frame) {
    ++counts.stayed;
    policy::page_out(frame);
    policy::page_in(frame);
}

/// So many of the policy's victims leave, if they can.
size_t take_victims(size_t count) {
    size_t taken = 0, in_vain = 0;
    while (taken < count && in_vain < policy::count()) {
        const Result<FrameNumber> victim = take_one();
        if (victim.error() == Error::NotFound) break;
        ++(victim.is_error() ? in_vain : taken);
    }
    return taken;
}

// What others call.

void page_came(FrameNumber frame) { policy::page_in(frame); }

void page_gone(FrameNumber frame) {
    policy::page_out(frame);
    if (swaps) swap::forget(frame);
}

Result<void> bring_back(AddressSpace* space, const Area& area, VirtAddr page) { return swap::swap_in(space, area, page); }

constexpr Pager kPager{.page_came = page_came, .bring_back = bring_back, .safe_point = safe_point, .make_room = make_room};
constexpr SwapStore kStore{.load = swap::load, .share = swap::share, .release = swap::release, .forget = swap::forget};

bool is_torture_due() {
    if (torture == 0 || frames::allocations() < next_torture) return false;
    next_torture = frames::allocations() + torture;
    return true;
}

} // namespace

Result<void> initialize(policy::Kind kind) {
    TRY(policy::initialize(kind));
    kind_in_force = kind;
    swaps = swap_area::is_open();
    if (swaps) {
        TRY(swap::initialize());
        swap_store::set(kStore);
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

Result<FrameNumber> take_one() {
    const FrameNumber victim = TRY(policy::choose_victim());
    ++counts.victims;
    const Result<void> gone = evict(victim);
    if (!gone.is_error()) return victim;
    keep(victim);
    return gone.error();
}

size_t take_pages(size_t count) {
    const size_t copies = swaps ? swap::shrink(count) : 0; // nobody has looked at them yet
    return copies + take_victims(count - copies);
}

void safe_point() {
    if (timer_ticks - policy_ticks >= kPolicyTick) {
        policy_ticks = timer_ticks;
        policy::tick();
    }
    if (limit > 0 && policy::count() >= limit) take_victims(policy::count() - limit + 1);
    size_t wanted = is_torture_due() ? 1 : 0;
    const size_t frames = at_hand();
    if (frames < all_marks(&Watermarks::low) && wake_reclaimer) {
        ++counts.wakeups;
        wake_reclaimer();
    }
    if (frames < all_marks(&Watermarks::min) && wanted < kBatch) wanted = kBatch;
    if (wanted > 0 && take_pages(wanted) > 0) ++counts.safe_points;
}

bool make_room() {
    const size_t given = take_pages(kBatch) + shrinkers::shrink_all();
    counts.made_room += given > 0;
    return given > 0;
}

size_t balance() {
    size_t given = 0;
    while (at_hand() < all_marks(&Watermarks::high)) {
        const size_t now = take_pages(kBatch);
        if (now == 0) break;
        given += now;
    }
    return given;
}

void set_waker(void (*wake)()) { wake_reclaimer = wake; }
void set_limit(size_t frames) { limit = frames; }
void set_torture(size_t n) {
    torture = n;
    next_torture = frames::allocations() + n;
}
void note_time() { ++timer_ticks; }
void set_victim_listener(void (*listener)(FrameNumber victim)) { victim_listener = listener; }
const Counters& counters() { return counts; }

} // namespace mm::reclaim
