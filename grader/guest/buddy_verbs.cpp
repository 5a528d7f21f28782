// Operations on lab 03-buddy: runs of 2^order frames. See harness.h for the script that drives them.
//
// Two bitmaps say what the guest holds: `frames_guest::owned` has a bit for every frame, and `heads` for the first frame of every
// run. A run ends where the next begins or where the guest holds nothing, so its order needs no place of its own.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "guest/frame_work.h"
#include "guest/harness.h"
#include "lib/text.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace buddy_guest {

using namespace frames_guest;
using harness::Call;
using mm::Contents;
using mm::Zone;
using mm::kMaxOrder;

constexpr uint32_t kMostFrames = kMaxFrames / 2; // 2 GiB is the largest machine
constexpr uint32_t kAnyOrder = UINT32_MAX;

/// Bit N % 32 of word N / 32: a run that the guest holds begins at frame N.
HARNESS_DATA uint32_t heads[kMostFrames / 32];

bool is_head(uint32_t frame) { return heads[frame / 32] >> (frame % 32) & 1; }
bool has_place(FrameNumber first, Order order) {
    return order <= kMaxOrder && first.value() < kMostFrames && first.value() + order.frames() <= kMostFrames;
}

/// Books a run as the guest's, whether or not that can be right.
void book(FrameNumber first, Order order) {
    heads[first.value() / 32] |= 1u << (first.value() % 32);
    for (uint32_t i = 0; i < order.frames(); ++i) set_owned(first + i);
}

void unbook(FrameNumber first, Order order) {
    heads[first.value() / 32] &= ~(1u << (first.value() % 32));
    for (uint32_t i = 0; i < order.frames(); ++i) clear_owned(first + i);
}

/// The order of a run that the guest holds.
Order order_of(FrameNumber first) {
    uint32_t count = 1;
    while (count < kMaxOrder.frames() && is_owned(first + count) && !is_head(first.value() + count)) ++count;
    return Order(std::bit_width(count) - 1);
}

/// Books a run that the piece handed out; whatever is wrong with it is the outcome's trouble.
void claim(FrameNumber first, Order order, Zone zone, Outcome& outcome) {
    const uint32_t frame_count = mm::frame_table::frame_count();
    if (!is_aligned(first.value(), order.frames())) return outcome.fail(Trouble::Misaligned, first);
    for (uint32_t i = 0; i < order.frames(); ++i) {
        const FrameNumber frame = first + i;
        if (frame.value() >= frame_count) return outcome.fail(Trouble::NoSuchFrame, frame);
        if (is_owned(frame)) return outcome.fail(Trouble::HandedOutTwice, frame);
        if (frame >= mm::zone_frames(zone).end) return outcome.fail(Trouble::ZoneTooHigh, frame);
    }
    book(first, order);
    ++outcome.done;
}

// One call each. The host knows every one of them and judges for itself.

/// buddy.allocate ORDER ZONE CONTENTS -> first frame
void allocate(Call& call) {
    const Order order(call.number(0));
    const Zone zone = call.zone(1);
    const Contents contents = contents_of(call, 2);
    call.enter_piece();
    const auto first = mm::frame_allocator::allocate(order, zone, contents);
    call.leave_piece();
    if (first.is_error()) return call.reply(first.error());
    if (has_place(first.value(), order)) book(first.value(), order);
    call.reply({first.value().value()});
}

/// buddy.free FIRST ORDER
void free(Call& call) {
    const FrameNumber first(call.number(0));
    const Order order(call.number(1));
    call.enter_piece();
    const auto freed = mm::frame_allocator::free(first, order);
    call.leave_piece();
    if (!freed.is_error() && has_place(first, order)) unbook(first, order);
    call.reply(freed);
}

/// buddy.free_runs ZONE ORDER -> free runs of exactly this order
void free_runs(Call& call) {
    const Zone zone = call.zone(0);
    const Order order(call.number(1));
    call.enter_piece();
    const auto count = mm::frame_allocator::free_runs(zone, order);
    call.leave_piece();
    if (count.is_error()) return call.reply(count.error());
    call.reply({static_cast<uint32_t>(count.value())});
}

/// buddy.fragmentation ZONE ORDER -> thousandths
void fragmentation(Call& call) {
    const Zone zone = call.zone(0);
    const Order order(call.number(1));
    call.enter_piece();
    const auto index = mm::frame_allocator::fragmentation(zone, order);
    call.leave_piece();
    if (index.is_error()) return call.reply(index.error());
    call.reply({index.value()});
}

/// buddy.picture ZONE -> free_runs() of every order; buddy.indices ZONE -> fragmentation() of every order
template <typename T>
void ask_every_order(Call& call, Result<T> (*question)(Zone, Order)) {
    const Zone zone = call.zone(0);
    uint32_t answers[kMaxOrder.value() + 1] = {};
    for (uint32_t i = 0; i <= kMaxOrder.value(); ++i) {
        call.enter_piece();
        const auto answer = question(zone, Order(i));
        call.leave_piece();
        if (answer.is_error()) return call.reply(answer.error());
        answers[i] = static_cast<uint32_t>(answer.value());
    }
    static_assert(kMaxOrder.value() == 10);
    call.reply({answers[0], answers[1], answers[2], answers[3], answers[4], answers[5], answers[6], answers[7], answers[8],
                answers[9], answers[10]});
}
void picture(Call& call) { ask_every_order(call, mm::frame_allocator::free_runs); }
void indices(Call& call) { ask_every_order(call, mm::frame_allocator::fragmentation); }

// Many runs. The guest's memory is opened once per batch, not once per run: that is the slow part.

constexpr size_t kBatch = 64;

/// buddy.take COUNT ORDER ZONE -> done, trouble, its frame, error: allocates up to COUNT runs, until the piece returns an error
/// or something is wrong
void take(Call& call) {
    const uint32_t count = call.number(0);
    const Order order(call.number(1));
    const Zone zone = call.zone(2);
    Outcome outcome;
    while (outcome.done < count && outcome.error == Error::None && !outcome.failed()) {
        FrameNumber batch[kBatch];
        size_t got = 0;
        const size_t wanted = std::min<size_t>(kBatch, count - outcome.done);
        call.enter_piece();
        while (got < wanted) {
            const auto first = mm::frame_allocator::allocate(order, zone, Contents::Unspecified);
            outcome.error = first.error();
            if (first.is_error()) break;
            batch[got++] = first.value();
        }
        call.leave_piece();
        for (size_t i = 0; i < got && !outcome.failed(); ++i) claim(batch[i], order, zone, outcome);
    }
    outcome.reply(call);
}

/// The next runs that the guest holds, of one order or of any, at most `wanted`.
size_t next_runs(Visit& visit, uint32_t order, FrameNumber* batch, size_t wanted) {
    size_t size = 0;
    for (FrameNumber first; size < wanted && visit.next(first);) {
        if (order == kAnyOrder || order_of(first).value() == order) batch[size++] = first;
    }
    return size;
}

/// buddy.give_back COUNT ORDER WAY -> done, trouble, its frame, error: frees up to COUNT of the guest's runs of this order, or of
/// any (0xffffffff), in the order that Visit knows by this name
void give_back(Call& call) {
    const uint32_t count = call.number(0);
    const uint32_t only = call.number(1);
    Visit visit(heads, call.word(2));
    Outcome outcome;
    FrameNumber batch[kBatch];
    Order orders[kBatch];
    for (size_t size = 1; size > 0 && !outcome.failed();) {
        size = next_runs(visit, only, batch, std::min<size_t>(kBatch, count - outcome.done));
        for (size_t i = 0; i < size; ++i) orders[i] = order_of(batch[i]);
        size_t freed = 0;
        call.enter_piece();
        while (freed < size && outcome.error == Error::None) {
            outcome.error = mm::frame_allocator::free(batch[freed], orders[freed]).error();
            if (outcome.error == Error::None) ++freed;
        }
        call.leave_piece();
        for (size_t i = 0; i < freed; ++i) unbook(batch[i], orders[i]);
        outcome.done += freed;
        if (outcome.error != Error::None) outcome.fail(Trouble::ReleaseRefused, batch[freed]);
    }
    outcome.reply(call);
}

// What lies in the runs

/// buddy.fill FIRST ORDER WORD
void fill(Call& call) {
    for (uint32_t i = 0; i < Order(call.number(1)).frames(); ++i) mm::fill_frame(FrameNumber(call.number(0)) + i, call.number(2));
}

/// buddy.compare FIRST ORDER WORD FROM -> frames that hold another word behind byte FROM, the first of them, the offset there, what
/// it holds
void compare_run(Call& call) {
    uint32_t spoilt = 0;
    FrameNumber where;
    Damage first;
    for (uint32_t i = 0; i < Order(call.number(1)).frames(); ++i) {
        const FrameNumber frame = FrameNumber(call.number(0)) + i;
        const Damage damage = compare(frame, call.number(2), call.number(3));
        if (damage.words > 0 && spoilt++ == 0) where = frame, first = damage;
    }
    call.reply({spoilt, where.value(), first.offset, first.seen});
}

// At random

constexpr size_t kMaxChurn = 512;

/// The runs that one churn holds. Protected as all the guest's state.
HARNESS_DATA uint32_t churned[kMaxChurn];
HARNESS_DATA uint32_t churned_count;

/// Marks its first frame, its last, and one in between: all 1024 frames of a run would take long.
uint32_t marked_frame(Order order, uint32_t i) { return i == 0 ? 0 : i == 1 ? order.frames() - 1 : order.frames() / 2; }
constexpr uint32_t kMarkedFrames = 3;

void check_run(FrameNumber first, Order order, uint32_t seed, Outcome& outcome) {
    for (uint32_t i = 0; i < kMarkedFrames && !outcome.failed(); ++i) {
        const FrameNumber frame = first + marked_frame(order, i);
        if (compare(frame, mark_of(frame, seed), 0).words > 0) outcome.fail(Trouble::Overwritten, frame);
    }
}

void churn_allocate(Call& call, Order order, Zone zone, uint32_t seed, Outcome& outcome) {
    call.enter_piece();
    const auto first = mm::frame_allocator::allocate(order, zone, Contents::Unspecified);
    call.leave_piece();
    if (first.is_error()) return; // the host counts what is left
    claim(first.value(), order, zone, outcome);
    if (outcome.failed()) return;
    for (uint32_t i = 0; i < kMarkedFrames; ++i) {
        const FrameNumber frame = first.value() + marked_frame(order, i);
        mm::fill_frame(frame, mark_of(frame, seed));
    }
    churned[churned_count++] = first.value().value();
}

void churn_free(Call& call, size_t i, uint32_t seed, Outcome& outcome) {
    const FrameNumber first(churned[i]);
    const Order order = order_of(first);
    check_run(first, order, seed, outcome);
    if (outcome.failed()) return;
    call.enter_piece();
    outcome.error = mm::frame_allocator::free(first, order).error();
    call.leave_piece();
    if (outcome.error != Error::None) return outcome.fail(Trouble::ReleaseRefused, first);
    unbook(first, order);
    churned[i] = churned[--churned_count];
    ++outcome.done;
}

/// buddy.churn SEED COUNT ORDERS -> done, trouble, its frame, error: allocates and frees runs of orders below ORDERS at random, small
/// ones more often, from all zones. What is still held in the end is looked at once more, and stays with the guest.
void churn(Call& call) {
    const uint32_t seed = call.number(0);
    const uint32_t count = std::min<uint32_t>(call.number(1), kMaxChurn);
    const uint32_t orders = call.number(2);
    Random random(seed);
    Outcome outcome;
    churned_count = 0;
    for (uint32_t i = 0; i < count && !outcome.failed(); ++i) {
        if (churned_count > 0 && random.below(100) < 45) {
            churn_free(call, random.below(churned_count), seed, outcome);
        } else {
            const uint32_t order = std::min(random.below(orders), random.below(orders));
            churn_allocate(call, Order(order), Zone(random.below(mm::kZoneCount)), seed, outcome);
        }
    }
    for (size_t i = 0; i < churned_count && !outcome.failed(); ++i) {
        check_run(FrameNumber(churned[i]), order_of(FrameNumber(churned[i])), seed, outcome);
    }
    outcome.reply(call);
}

HARNESS_VERB("buddy.allocate", allocate);
HARNESS_VERB("buddy.free", free);
HARNESS_VERB("buddy.free_runs", free_runs);
HARNESS_VERB("buddy.fragmentation", fragmentation);
HARNESS_VERB("buddy.picture", picture);
HARNESS_VERB("buddy.indices", indices);
HARNESS_VERB("buddy.take", take);
HARNESS_VERB("buddy.give_back", give_back);
HARNESS_VERB("buddy.fill", fill);
HARNESS_VERB("buddy.compare", compare_run);
HARNESS_VERB("buddy.churn", churn);

} // namespace buddy_guest
