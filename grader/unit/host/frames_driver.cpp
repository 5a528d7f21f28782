#include "host/frames_driver.h"

#include <algorithm>

#include "config.h"
#include "host/machine.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace host {

namespace fa = mm::frame_allocator;
using mm::Contents;
using mm::Zone;

// --- The model ---------------------------------------------------------------------------------------------------------------

FramesModel::FramesModel() {
    const uint32_t end = usable().back().end.value();
    state_.assign(align_up(end, 1u << mm::kMaxOrder.value()), State::Never);
    for (uint32_t order = 0; order < kOrders; ++order) free_in_[order].assign(state_.size() >> order, 0);
    for (const Zone zone : mm::kAllZones)
        for (const FrameNumber frame : free_at_boot(zone)) set_free(frame);
}

void FramesModel::set_free(FrameNumber frame) {
    state_[frame.value()] = State::Free;
    for (uint32_t order = 0; order < kOrders; ++order)
        if (++free_in_[order][frame.value() >> order] == 1u << order) ++full_[index(mm::zone_of(frame))][order];
}

void FramesModel::set_used(FrameNumber frame) {
    state_[frame.value()] = State::Used;
    for (uint32_t order = 0; order < kOrders; ++order)
        if (free_in_[order][frame.value() >> order]-- == 1u << order) --full_[index(mm::zone_of(frame))][order];
}

bool FramesModel::zone_for(Order order, Zone wanted, Zone& found) const {
    for (size_t i = index(wanted) + 1; i-- > 0;) {
        if (full_[i][order.value()] == 0) continue;
        found = static_cast<Zone>(i);
        return true;
    }
    return false;
}

size_t FramesModel::free_runs(Zone zone, Order order) const {
    const auto& full = full_[index(zone)];
    return full[order.value()] - (order < mm::kMaxOrder ? 2 * full[order.value() + 1] : 0);
}

uint32_t FramesModel::fragmentation(Zone zone, Order order) const {
    const size_t free = free_frames(zone);
    if (free == 0) return 0;
    size_t useless = 0;
    for (Order smaller(0); smaller < order; smaller = Order(smaller.value() + 1)) useless += free_runs(zone, smaller) * smaller.frames();
    return static_cast<uint32_t>(useless * 1000 / free);
}

void FramesModel::take(FrameNumber first, Order order) {
    for (uint32_t i = 0; i < order.frames(); ++i) set_used(first + i);
}

void FramesModel::give_back(FrameNumber first, Order order) {
    for (uint32_t i = 0; i < order.frames(); ++i) set_free(first + i);
}

// --- The driver --------------------------------------------------------------------------------------------------------------

/// Made once in a process: a fuzzer starts a driver for each input.
static const FramesModel& model_at_boot() {
    static const FramesModel model;
    return model;
}

FramesDriver::FramesDriver(Source& source, Order served, std::string what)
    : source_(source), served_(served), journal_(std::move(what)), model_(model_at_boot()) {}

void FramesDriver::step() {
    if (++steps_ % 256 == 0) filling_ = !filling_;
    const uint64_t choice = source_.below(16);
    if (choice == 0) free_badly();
    else if (runs_.empty() || choice < (filling_ ? 11 : 5)) allocate();
    else free_one(source_.below(runs_.size()));
    if (steps_ % 32 == 0) check_counts();
}

/// Mostly small ones.
Order FramesDriver::random_order() {
    const uint64_t limit = source_.between(0, served_.value());
    return Order(static_cast<uint32_t>(source_.between(0, limit)));
}

void FramesDriver::allocate() {
    const Order order = random_order();
    const Zone zone = mm::kAllZones[source_.below(mm::kZoneCount)];
    const Contents contents = source_.one_in(3) ? Contents::Zeroed : Contents::Unspecified;
    journal_.call("allocate(", order, ", ", zone, ", ", contents == Contents::Zeroed ? "Zeroed" : "Unspecified", ")");
    const auto got = fa::allocate(order, zone, contents);
    Zone expected{};
    if (!model_.zone_for(order, zone, expected)) {
        journal_.answer(got.error());
        journal_.require(got.is_error(), "allocate() hands out a run although no zone that is allowed has one");
        journal_.require(got.error() == Error::OutOfMemory, "allocate() without memory: expected OutOfMemory, seen ", got.error());
        return check_counts();
    }
    journal_.require(!got.is_error(), "allocate() fails with ", got.error(), " although zone ", expected, " has a free run of ", order);
    const Run run{got.value(), order, next_stamp_++};
    journal_.answer(run.first);
    for (uint32_t i = 0; i < order.frames(); ++i) {
        const FrameNumber frame = run.first + i;
        journal_.require(is_free_at_boot(frame), "allocate() hands out ", frame, ", which is reserved or no memory");
        journal_.require(model_.is_free(frame), "allocate() hands out ", frame, ", which is in use");
    }
    journal_.require(is_aligned(run.first.value(), order.frames()), run.first, " is no multiple of ", order.frames(), " frames");
    journal_.require(mm::zone_of(run.first) == expected, run.first, " lies in zone ", mm::zone_of(run.first), "; the highest allowed ",
                     "zone that has such a run is ", expected);
    model_.take(run.first, order);
    check_new(run, contents);
    stamp(run);
    runs_.push_back(run);
}

void FramesDriver::check_new(const Run& run, Contents contents) {
    if (contents != Contents::Zeroed) return;
    for (uint32_t i = 0; i < run.order.frames(); ++i) {
        const mm::FrameMemory memory = mm::frame_memory(run.first + i);
        const auto* const words = memory.as<uint32_t>();
        const auto* const bad = std::find_if(words, words + 1024, [](uint32_t word) { return word != 0; });
        journal_.require(bad == words + 1024, "a zeroed frame is not zero: ", run.first + i, ", byte ", (bad - words) * 4);
    }
}

void FramesDriver::stamp(const Run& run) {
    for (uint32_t i = 0; i < run.order.frames(); ++i) {
        const mm::FrameMemory memory = mm::frame_memory(run.first + i);
        memory.as<uint32_t>()[0] = memory.as<uint32_t>()[512] = memory.as<uint32_t>()[1023] = run.stamp;
    }
}

void FramesDriver::check_stamps(const Run& run, const char* when) {
    for (uint32_t i = 0; i < run.order.frames(); ++i) {
        const mm::FrameMemory memory = mm::frame_memory(run.first + i);
        const auto* const words = memory.as<uint32_t>();
        journal_.require(words[0] == run.stamp && words[512] == run.stamp && words[1023] == run.stamp, "somebody wrote to ",
                         run.first + i, ", which is in use: seen ", when);
    }
}

void FramesDriver::free_one(size_t index) {
    const Run run = runs_[index];
    check_stamps(run, "when it is freed");
    journal_.call("free(", run.first, ", ", run.order, ")");
    const auto freed = fa::free(run.first, run.order);
    journal_.answer(freed.error());
    journal_.require(!freed.is_error(), "free() of a run in use: expected success, seen ", freed.error());
    runs_[index] = runs_.back();
    runs_.pop_back();
    model_.give_back(run.first, run.order);
    check_poison(run);
}

void FramesDriver::check_poison(const Run& run) {
    if (!CONFIG_MEMORY_DEBUGGING) return;
    for (uint32_t i = 0; i < run.order.frames(); ++i) {
        const mm::FrameMemory memory = mm::frame_memory(run.first + i);
        const auto* const words = memory.as<uint32_t>();
        const auto* const begin = words + mm::kFreeFrameHeader / sizeof(uint32_t);
        const auto* const bad = std::find_if(begin, words + 1024, [](uint32_t word) { return word != mm::kFreedFramePoison; });
        journal_.require(bad == words + 1024, "a freed frame is not poisoned: ", run.first + i, ", byte ", (bad - words) * 4);
    }
}

/// A free that must be refused: twice, with another order, in the middle, reserved, past the end.
void FramesDriver::free_badly() {
    const FrameNumber frame(static_cast<uint32_t>(source_.below(mm::frame_table::frame_count() + 64)));
    const Order order = random_order();
    if (runs_.empty() || source_.one_in(2)) {
        const auto is_it = [&](const Run& run) { return run.first == frame && run.order == order; };
        if (std::ranges::none_of(runs_, is_it)) refuse(frame, order, "which is no run in use of this order");
        return;
    }
    const Run run = runs_[source_.below(runs_.size())];
    if (run.order > Order(0) && source_.one_in(2)) {
        const auto inside = static_cast<uint32_t>(source_.between(1, run.order.frames() - 1));
        refuse(run.first + inside, random_order(), "which is the middle of a run");
    } else if (order != run.order) {
        refuse(run.first, order, "which was handed out with another order");
    }
    check_stamps(run, "after a free() that was refused");
}

void FramesDriver::refuse(FrameNumber first, Order order, const char* why) {
    journal_.call("free(", first, ", ", order, ")");
    const auto freed = fa::free(first, order);
    journal_.answer(freed.error());
    journal_.require(freed.error() == Error::NotAllocated, "free() of ", first, " with ", order, ", ", why, ": expected NotAllocated, seen ",
                     freed.error());
    check_counts();
}

void FramesDriver::check_counts() {
    for (const Zone zone : mm::kAllZones) {
        const size_t free = fa::free_frames(zone);
        journal_.require(free == model_.free_frames(zone), "free_frames(", zone, "): expected ", model_.free_frames(zone), ", seen ", free);
        for (Order order(0); order <= served_ && served_ > Order(0); order = Order(order.value() + 1)) {
            const auto runs = fa::free_runs(zone, order);
            journal_.require(!runs.is_error() && runs.value() == model_.free_runs(zone, order), "free_runs(", zone, ", ", order,
                             "): expected ", model_.free_runs(zone, order), ", seen ", runs.value(), " (", runs.error(), ")");
            const auto index = fa::fragmentation(zone, order);
            journal_.require(!index.is_error() && index.value() == model_.fragmentation(zone, order), "fragmentation(", zone, ", ", order,
                             "): expected ", model_.fragmentation(zone, order), ", seen ", index.value(), " (", index.error(), ")");
        }
    }
}

void FramesDriver::finish() {
    while (!runs_.empty()) free_one(source_.below(runs_.size()));
    check_counts();
}

} // namespace host
