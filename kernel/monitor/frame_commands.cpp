// Frames: reports, and commands to take, give back and cache them by hand.
#include "lib/format.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frames.h"
#include "mm/report/reports.h"
#include "monitor/command.h"

namespace {

Result<void> show_memory(const Words&) {
    mm::report::memory();
    return {};
}

Result<void> show_zones(const Words&) {
    mm::report::zones();
    return {};
}

Result<void> show_free_runs(const Words&) {
    mm::report::free_runs();
    return {};
}

Result<void> show_frames(const Words&) {
    mm::report::frames();
    return {};
}

/// The zone that word `i` names; without a word, the highest.
Result<mm::Zone> zone_argument(const Words& words, size_t i) {
    if (words.count() <= i || words.is(i, "high")) return mm::Zone::High;
    if (words.is(i, "normal")) return mm::Zone::Normal;
    if (words.is(i, "dma")) return mm::Zone::Dma;
    return Error::InvalidArgument;
}

Result<void> allocate_frame(const Words& words) {
    const mm::Zone zone = TRY(zone_argument(words, 0));
    const FrameNumber frame = TRY(mm::frames::allocate(zone, mm::Contents::Zeroed));
    print("frame {x} at {x8}, zone {}; {} frames in use\n", frame, frame.address(), mm::zone_name(mm::zone_of(frame)),
          mm::frames::in_use());
    return {};
}

Result<void> free_frame(const Words& words) {
    const FrameNumber frame(TRY(words.number(0)));
    TRY(mm::frames::release(frame));
    print("frame {x} given back; {} frames in use\n", frame, mm::frames::in_use());
    return {};
}

Result<void> allocate_run(const Words& words) {
    const Order order(TRY(words.number(0)));
    const mm::Zone zone = TRY(zone_argument(words, 1));
    const FrameNumber first = TRY(mm::frames::allocate_run(order, zone, mm::Contents::Zeroed));
    print("run of {} frames from {x} on, at {x8}, zone {}; {} frames in use\n", order.frames(), first, first.address(),
          mm::zone_name(mm::zone_of(first)), mm::frames::in_use());
    return {};
}

Result<void> free_run(const Words& words) {
    const FrameNumber first(TRY(words.number(0)));
    const Order order(TRY(words.number(1)));
    TRY(mm::frames::release_run(first, order));
    print("run of {} frames from {x} on given back; {} frames in use\n", order.frames(), first, mm::frames::in_use());
    return {};
}

Result<void> zero_fill(const Words& words) {
    const size_t filled = mm::frame_cache::fill_zeroed(TRY(words.number(0)));
    print("{} frames cleared for later\n", filled);
    return {};
}

Result<void> drain(const Words&) {
    const size_t drained = mm::frame_cache::drain();
    print("{} frames given to the frame allocator\n", drained);
    return {};
}

constexpr Command kCommands[] = {
    {"meminfo", "", "where memory is", show_memory},
    {"zones", "", "each zone: free frames, cached ones, watermarks", show_zones},
    {"buddyinfo", "", "free runs by order, and fragmentation", show_free_runs},
    {"frames", "", "the frame table, summed up", show_frames},
    {"frame alloc", "[dma|normal|high]", "take a frame from a zone or one below", allocate_frame},
    {"frame free", "FRAME", "give a frame back", free_frame},
    {"frame zero-fill", "COUNT", "clear frames for later, as while idle", zero_fill},
    {"frame drain", "", "empty the frame cache", drain},
    {"run alloc", "ORDER [dma|normal|high]", "take 2^ORDER frames in a row", allocate_run},
    {"run free", "FRAME ORDER", "give them back", free_run},
};

} // namespace

std::span<const Command> frame_commands() { return kCommands; }
