/// @file
/// Uses a frame allocator at random, and knows at each step what it must answer: labs 01 and 03, tests and fuzzer.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "host/journal.h"
#include "host/source.h"
#include "lib/address.h"
#include "mm/physical/frame_allocator.h"

namespace host {

/// Which frames are free, as the contract of frame_allocator.h counts them: a byte per frame, and how many aligned blocks of each
/// order are free altogether. Slow and plain; nothing of it is to be found in a good allocator.
class FramesModel {
public:
    static constexpr uint32_t kOrders = mm::kMaxOrder.value() + 1;

    /// Knows the frames that boot() left free.
    FramesModel();

    bool is_memory(FrameNumber frame) const { return frame.value() < state_.size() && state_[frame.value()] != State::Never; }
    bool is_free(FrameNumber frame) const { return frame.value() < state_.size() && state_[frame.value()] == State::Free; }
    size_t free_frames(mm::Zone zone) const { return full_[index(zone)][0]; }
    /// The zone that must serve the request, or false when none can.
    bool zone_for(Order order, mm::Zone wanted, mm::Zone& found) const;
    size_t free_runs(mm::Zone zone, Order order) const;
    uint32_t fragmentation(mm::Zone zone, Order order) const;

    void take(FrameNumber first, Order order);
    void give_back(FrameNumber first, Order order);

private:
    enum class State : uint8_t { Never, Free, Used };
    static size_t index(mm::Zone zone) { return static_cast<size_t>(zone); }
    void set_free(FrameNumber frame);
    void set_used(FrameNumber frame);

    std::vector<State> state_;                             ///< By frame number.
    std::array<std::vector<uint16_t>, kOrders> free_in_;   ///< Free frames of each aligned block, by order and block.
    std::array<std::array<size_t, kOrders>, mm::kZoneCount> full_{};  ///< Blocks that are free altogether, by zone and order.
};

/// One run that the allocator has handed out.
struct Run {
    FrameNumber first;
    Order order;
    uint32_t stamp;  ///< Stands in the first and last word of each of its frames.
};

class FramesDriver {
public:
    /// @param served  the largest order that the allocator serves: 0 in lab 01
    FramesDriver(Source& source, Order served, std::string what);

    /// One call, chosen at random: an allocation, a free, or a free that must be refused.
    void step();
    /// Compares all counts.
    void check_counts();
    /// Gives everything back, in random order, and compares the counts.
    void finish();

private:
    void allocate();
    void free_one(size_t index);
    void free_badly();
    void refuse(FrameNumber first, Order order, const char* why);
    void check_new(const Run& run, mm::Contents contents);
    void stamp(const Run& run);
    void check_stamps(const Run& run, const char* when);
    void check_poison(const Run& run);
    Order random_order();

    Source& source_;
    Order served_;
    Journal journal_;
    FramesModel model_;
    std::vector<Run> runs_;
    uint32_t next_stamp_ = 0x5741'0001;
    size_t steps_ = 0;
    bool filling_ = true;  ///< More allocations than frees for a while, then the other way round.
};

} // namespace host
