// Operations on lab 01-frames: memory_map::sanitise() and the frame allocator. See harness.h for the script that drives them.
//
// The guest remembers which frames it holds in `frames_guest::owned`, on pages that are read-only while the piece runs. The
// host reads that bitmap from physical memory and compares it with its own idea of what is memory. Verbs that handle many
// frames stop at the first thing that cannot be right and report it as a trouble (kind and frame); the host says it in words.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "guest/frame_work.h"
#include "guest/harness.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/memory_map.h"

namespace frames_guest {

using harness::Call;
using mm::Contents;
using mm::Zone;

/// Books a frame that the piece handed out; whatever is wrong with it is the outcome's trouble.
void claim(FrameNumber frame, Zone zone, size_t frame_count, Outcome& outcome) {
    if (frame.value() >= frame_count) return outcome.fail(Trouble::NoSuchFrame, frame);
    if (is_owned(frame)) return outcome.fail(Trouble::HandedOutTwice, frame);
    if (frame >= mm::zone_frames(zone).end) return outcome.fail(Trouble::ZoneTooHigh, frame);
    set_owned(frame);
    ++outcome.done;
}

// One call each

/// frames.allocate ORDER ZONE CONTENTS -> frame
void allocate(Call& call) {
    const Order order(call.number(0));
    const Zone zone = call.zone(1);
    const Contents contents = contents_of(call, 2);
    call.enter_piece();
    const auto frame = mm::frame_allocator::allocate(order, zone, contents);
    call.leave_piece();
    if (frame.is_error()) return call.reply(frame.error());
    if (order == Order(0) && frame.value().value() < kMaxFrames) set_owned(frame.value());
    call.reply({frame.value().value()});
}

/// frames.free FRAME ORDER
void free(Call& call) {
    const FrameNumber frame(call.number(0));
    const Order order(call.number(1));
    call.enter_piece();
    const auto freed = mm::frame_allocator::free(frame, order);
    call.leave_piece();
    if (!freed.is_error() && order == Order(0) && frame.value() < kMaxFrames) clear_owned(frame);
    call.reply(freed);
}

/// frames.free_count ZONE -> free frames of exactly this zone
void free_count(Call& call) {
    const Zone zone = call.zone(0);
    call.enter_piece();
    const size_t count = mm::frame_allocator::free_frames(zone);
    call.leave_piece();
    call.reply({static_cast<uint32_t>(count)});
}

// Many frames. The guest's memory is opened once per batch, not once per frame: that is the slow part.

constexpr size_t kBatch = 64;

/// Allocates up to `count` frames until the piece returns an error or something is wrong.
Outcome take_frames(Call& call, uint32_t count, Zone zone) {
    Outcome outcome;
    const size_t frame_count = mm::frame_table::frame_count();
    while (outcome.done < count && outcome.error == Error::None && !outcome.failed()) {
        FrameNumber batch[kBatch];
        size_t got = 0;
        const size_t wanted = std::min<size_t>(kBatch, count - outcome.done);
        call.enter_piece();
        while (got < wanted) {
            const auto frame = mm::frame_allocator::allocate(Order(0), zone, Contents::Unspecified);
            outcome.error = frame.error();
            if (frame.is_error()) break;
            batch[got++] = frame.value();
        }
        call.leave_piece();
        for (size_t i = 0; i < got && !outcome.failed(); ++i) claim(batch[i], zone, frame_count, outcome);
    }
    return outcome;
}

/// frames.take COUNT ZONE -> done, trouble, its frame, error
void take(Call& call) {
    const Outcome outcome = take_frames(call, call.number(0), call.zone(1));
    outcome.reply(call);
}

/// frames.exhaust ZONE -> the same; the error is what ended it
void exhaust(Call& call) {
    const Outcome outcome = take_frames(call, UINT32_MAX, call.zone(0));
    outcome.reply(call);
}

/// frames.give_back COUNT ORDER -> done, trouble, its frame, error: frees up to COUNT of the frames that the guest holds
void give_back(Call& call) {
    const uint32_t count = call.number(0);
    Visit visit(owned, call.word(1));
    Outcome outcome;
    FrameNumber batch[kBatch];
    for (size_t size = 1; size > 0 && !outcome.failed();) {
        size = 0;
        while (size < kBatch && outcome.done + size < count && visit.next(batch[size])) ++size;
        size_t freed = 0;
        call.enter_piece();
        while (freed < size && outcome.error == Error::None) {
            outcome.error = mm::frame_allocator::free(batch[freed], Order(0)).error();
            if (outcome.error == Error::None) ++freed;
        }
        call.leave_piece();
        for (size_t i = 0; i < freed; ++i) clear_owned(batch[i]);
        outcome.done += freed;
        if (outcome.error != Error::None) outcome.fail(Trouble::ReleaseRefused, batch[freed]);
    }
    outcome.reply(call);
}

// What lies in the frames

/// frames.fill FRAME WORD
void fill(Call& call) { mm::fill_frame(FrameNumber(call.number(0)), call.number(1)); }

/// frames.compare FRAME WORD FROM -> words that differ, offset of the first, what it holds
void compare_one(Call& call) {
    const Damage damage = compare(FrameNumber(call.number(0)), call.number(1), call.number(2));
    call.reply({damage.words, damage.offset, damage.seen});
}

/// frames.mark SEED -> frames: fills every frame that the guest holds with a word of its own
void mark(Call& call) {
    const uint32_t seed = call.number(0);
    Visit visit(owned, "ascending");
    uint32_t marked = 0;
    for (FrameNumber frame; visit.next(frame); ++marked) mm::fill_frame(frame, mark_of(frame, seed));
    call.reply({marked});
}

/// frames.check SEED -> done, trouble, its frame, error: whether the frames that the guest holds still carry their marks
void check(Call& call) {
    const uint32_t seed = call.number(0);
    Visit visit(owned, "ascending");
    Outcome outcome;
    for (FrameNumber frame; !outcome.failed() && visit.next(frame); ++outcome.done) {
        if (compare(frame, mark_of(frame, seed), 0).words > 0) outcome.fail(Trouble::Overwritten, frame);
    }
    outcome.reply(call);
}

// At random

constexpr size_t kMaxChurn = 1024;

/// The frames that one churn holds. Protected as all the guest's state.
HARNESS_DATA uint32_t churned[kMaxChurn];
HARNESS_DATA size_t churned_count;

void churn_allocate(Call& call, Zone zone, uint32_t seed, Outcome& outcome) {
    call.enter_piece();
    const auto frame = mm::frame_allocator::allocate(Order(0), zone, Contents::Unspecified);
    call.leave_piece();
    if (frame.is_error()) return; // the host counts what is left
    claim(frame.value(), zone, mm::frame_table::frame_count(), outcome);
    if (outcome.failed()) return;
    mm::fill_frame(frame.value(), mark_of(frame.value(), seed));
    churned[churned_count++] = frame.value().value();
}

void churn_free(Call& call, size_t i, uint32_t seed, Outcome& outcome) {
    const FrameNumber frame(churned[i]);
    if (compare(frame, mark_of(frame, seed), 0).words > 0) return outcome.fail(Trouble::Overwritten, frame);
    call.enter_piece();
    outcome.error = mm::frame_allocator::free(frame, Order(0)).error();
    call.leave_piece();
    if (outcome.error != Error::None) return outcome.fail(Trouble::ReleaseRefused, frame);
    clear_owned(frame);
    churned[i] = churned[--churned_count];
    ++outcome.done;
}

/// frames.churn SEED COUNT -> done, trouble, its frame, error: allocates and frees at random, from all zones. What is still
/// held in the end is looked at once more, and stays with the guest.
void churn(Call& call) {
    const uint32_t seed = call.number(0);
    const uint32_t count = std::min<uint32_t>(call.number(1), kMaxChurn);
    Random random(seed);
    Outcome outcome;
    churned_count = 0;
    for (uint32_t i = 0; i < count && !outcome.failed(); ++i) {
        if (churned_count > 0 && random.below(100) < 45) churn_free(call, random.below(churned_count), seed, outcome);
        else churn_allocate(call, Zone(random.below(mm::kZoneCount)), seed, outcome);
    }
    for (size_t i = 0; i < churned_count && !outcome.failed(); ++i) {
        const FrameNumber frame(churned[i]);
        if (compare(frame, mark_of(frame, seed), 0).words > 0) outcome.fail(Trouble::Overwritten, frame);
    }
    outcome.reply(call);
}

// The memory map

HARNESS_DATA mm::MemoryMapEntry firmware[mm::memory_map::kMaxEntries];
HARNESS_DATA size_t firmware_count;

constexpr size_t kGuardRanges = 8;
constexpr FrameRange kGuard{FrameNumber(0xDEADBEEF), FrameNumber(0xFEEDFACE)};
FrameRange ranges[mm::memory_map::kMaxEntries + kGuardRanges];  // the piece writes here

uint64_t wide(Call& call, size_t i) { return uint64_t{call.number(i)} << 32 | call.number(i + 1); }

/// memory_map.clear
void clear_map(Call&) { firmware_count = 0; }

/// memory_map.entries, then for each: BASE_HIGH BASE_LOW LENGTH_HIGH LENGTH_LOW KIND
void add_entries(Call& call) {
    for (size_t i = 0; i < call.count(); i += 5) {
        if (firmware_count == mm::memory_map::kMaxEntries) harness::bad_script("too many entries", call.word(i));
        firmware[firmware_count++] = {wide(call, i), wide(call, i + 2), mm::MemoryKind(call.number(i + 4))};
    }
}

/// memory_map.sanitise ROOM -> ranges written, ranges behind the room that were overwritten
void sanitise(Call& call) {
    const size_t room = std::min<size_t>(call.number(0), mm::memory_map::kMaxEntries);
    std::fill(std::begin(ranges), std::end(ranges), kGuard);
    call.enter_piece();
    const auto count = mm::memory_map::sanitise({firmware, firmware_count}, {ranges, room});
    call.leave_piece();
    const auto spoilt = std::count_if(ranges + room, std::end(ranges), [](FrameRange range) { return range != kGuard; });
    if (count.is_error()) return call.reply(count.error());
    call.reply({static_cast<uint32_t>(count.value()), static_cast<uint32_t>(spoilt)});
}

/// memory_map.ranges FIRST -> begin and end of six ranges of the answer
void show_ranges(Call& call) {
    const FrameRange* at = &ranges[std::min<size_t>(call.number(0), mm::memory_map::kMaxEntries)];
    static_assert(kGuardRanges >= 6);
    call.reply({at[0].begin.value(), at[0].end.value(), at[1].begin.value(), at[1].end.value(),
                at[2].begin.value(), at[2].end.value(), at[3].begin.value(), at[3].end.value(),
                at[4].begin.value(), at[4].end.value(), at[5].begin.value(), at[5].end.value()});
}

HARNESS_VERB("frames.allocate", allocate);
HARNESS_VERB("frames.free", free);
HARNESS_VERB("frames.free_count", free_count);
HARNESS_VERB("frames.take", take);
HARNESS_VERB("frames.exhaust", exhaust);
HARNESS_VERB("frames.give_back", give_back);
HARNESS_VERB("frames.fill", fill);
HARNESS_VERB("frames.compare", compare_one);
HARNESS_VERB("frames.mark", mark);
HARNESS_VERB("frames.check", check);
HARNESS_VERB("frames.churn", churn);
HARNESS_VERB("memory_map.clear", clear_map);
HARNESS_VERB("memory_map.entries", add_entries);
HARNESS_VERB("memory_map.sanitise", sanitise);
HARNESS_VERB("memory_map.ranges", show_ranges);

} // namespace frames_guest
