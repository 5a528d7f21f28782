/// @file
/// Runs of frames: what lab 03-buddy adds.
#include <algorithm>
#include <set>

#include "frames_test.h"
#include "host/frames_driver.h"
#include "mm/physical/frame_memory.h"

const Order kServed = mm::kMaxOrder;

namespace {

namespace fa = mm::frame_allocator;
using mm::Contents;
using mm::Zone;

/// Orders 0 to kMaxOrder.
std::vector<Order> all_orders() {
    std::vector<Order> orders;
    for (Order order(0); order <= mm::kMaxOrder; order = Order(order.value() + 1)) orders.push_back(order);
    return orders;
}

class Buddy : public Frames {
protected:
    /// All runs of an order that can be had.
    std::vector<FrameNumber> take_runs(Order order, Zone zone) {
        std::vector<FrameNumber> runs;
        for (;;) {
            const auto run = fa::allocate(order, zone, Contents::Unspecified);
            if (run.is_error()) {
                EXPECT_EQ(run.error(), Error::OutOfMemory) << "when no run of " << order << " is left";
                return runs;
            }
            runs.push_back(run.value());
            if (runs.size() > 100'000) {
                ADD_FAILURE() << "allocate(" << order << ") never ends";
                return runs;
            }
        }
    }

    void free_runs(const std::vector<FrameNumber>& runs, Order order) {
        for (const FrameNumber run : runs) EXPECT_OK(fa::free(run, order)) << run << ", " << order;
    }

    /// The counts of all zones and orders are those of the model.
    void expect_counts(const host::FramesModel& model, const char* when) {
        for (const Zone zone : mm::kAllZones) {
            EXPECT_EQ(fa::free_frames(zone), model.free_frames(zone)) << "free_frames(" << zone << ") " << when;
            for (const Order order : all_orders()) {
                const auto runs = fa::free_runs(zone, order);
                ASSERT_OK(runs);
                EXPECT_EQ(runs.value(), model.free_runs(zone, order)) << "free_runs(" << zone << ", " << order << ") " << when;
                const auto index = fa::fragmentation(zone, order);
                ASSERT_OK(index);
                EXPECT_EQ(index.value(), model.fragmentation(zone, order)) << "fragmentation(" << zone << ", " << order << ") " << when;
            }
        }
    }
};

class BuddyOf : public Buddy {
protected:
    void SetUp() override {}
};

TEST_F(Buddy, FreeMemoryIsSortedIntoTheLargestRunsAtBoot) { expect_counts(host::FramesModel(), "after initialize()"); }

TEST_F(Buddy, EveryOrderServesAllRunsThatThereAre) {
    const host::FramesModel model;
    for (const Order order : all_orders()) {
        size_t there = 0;
        for (const Zone zone : mm::kAllZones)
            for (Order larger = order; larger <= mm::kMaxOrder; larger = Order(larger.value() + 1))
                there += model.free_runs(zone, larger) << (larger.value() - order.value());
        const std::vector<FrameNumber> runs = take_runs(order, Zone::High);
        EXPECT_EQ(runs.size(), there) << "runs of " << order;
        for (const FrameNumber run : runs) EXPECT_TRUE(is_aligned(run.value(), order.frames())) << run << ", " << order;
        EXPECT_EQ(std::set(runs.begin(), runs.end()).size(), runs.size()) << "a run was handed out twice";
        free_runs(runs, order);
        expect_counts(model, "after all runs of an order were taken and freed");
    }
}

TEST_F(Buddy, SingleFramesMergeInWhateverOrderTheyAreFreed) {
    const host::FramesModel model;
    host::Source source(5);
    std::vector<FrameNumber> frames = take_all(Zone::High);
    for (size_t i = frames.size(); i > 1; --i) std::swap(frames[i - 1], frames[source.below(i)]);
    free_all(frames);
    expect_counts(model, "after all single frames were taken and freed");
}

TEST_F(Buddy, ARunMayNotBeFreedInPartsNorAsMore) {
    const auto run = fa::allocate(Order(4), Zone::Normal, Contents::Unspecified);
    ASSERT_OK(run);
    for (const Order order : all_orders()) {
        if (order != Order(4)) {
            EXPECT_ERROR(Error::NotAllocated, fa::free(run.value(), order)) << "a run of order 4, freed as " << order;
        }
        EXPECT_ERROR(Error::NotAllocated, fa::free(run.value() + 8, order)) << "the middle of a run of order 4, freed as " << order;
        EXPECT_ERROR(Error::NotAllocated, fa::free(run.value() + 1, order)) << "the middle of a run of order 4, freed as " << order;
    }
    EXPECT_OK(fa::free(run.value(), Order(4)));
    for (const Order order : all_orders()) EXPECT_ERROR(Error::NotAllocated, fa::free(run.value(), order)) << "freed before, as " << order;
}

TEST_F(Buddy, ARunThatWouldReachPastMemoryCannotBeFreed) {
    const FrameNumber last(host::usable().back().end.value() - 1);
    for (const Order order : all_orders()) {
        EXPECT_ERROR(Error::NotAllocated, fa::free(last, order)) << last << ", " << order;
        EXPECT_ERROR(Error::NotAllocated, fa::free(FrameNumber(0xFFFF'FFFF), order)) << order;
        EXPECT_ERROR(Error::NotAllocated, fa::free(FrameNumber(0xFFFF'FC00), order)) << order;
    }
}

TEST_F(Buddy, OrdersThatDoNotExistAreUnsupported) {
    const auto frame = fa::allocate(Order(0), Zone::Normal, Contents::Unspecified);
    ASSERT_OK(frame);
    for (const uint32_t number : {mm::kMaxOrder.value() + 1, 20u, 31u, 32u, 33u, 0xFFFF'FFFFu}) {
        const Order order(number);
        EXPECT_ERROR(Error::Unsupported, fa::allocate(order, Zone::High, Contents::Zeroed)) << order;
        EXPECT_ERROR(Error::Unsupported, fa::free(frame.value(), order)) << order;
        EXPECT_ERROR(Error::Unsupported, fa::free_runs(Zone::Normal, order)) << order;
        EXPECT_ERROR(Error::Unsupported, fa::fragmentation(Zone::Normal, order)) << order;
    }
    EXPECT_OK(fa::free(frame.value(), Order(0)));
}

TEST_F(Buddy, ARunFallsBackToLowerZones) {
    const std::vector<FrameNumber> high = take_runs(mm::kMaxOrder, Zone::High);
    const bool falls = std::ranges::is_sorted(high, std::ranges::greater{}, [](FrameNumber run) { return mm::zone_of(run); });
    EXPECT_TRUE(falls) << "High first, then Normal, then DMA";
    EXPECT_ERROR(Error::OutOfMemory, fa::allocate(mm::kMaxOrder, Zone::High, Contents::Unspecified));
    const auto small = fa::allocate(Order(0), Zone::High, Contents::Unspecified);
    ASSERT_OK(small) << "single frames are left when no large run is";
    EXPECT_OK(fa::free(small.value(), Order(0)));
    free_runs(high, mm::kMaxOrder);
}

TEST_F(Buddy, AZeroedRunIsZeroToItsEnd) {
    for (const Zone zone : mm::kAllZones) {
        const auto dirty = fa::allocate(Order(5), zone, Contents::Unspecified);
        ASSERT_OK(dirty);
        for (uint32_t i = 0; i < 32; ++i) mm::fill_frame(dirty.value() + i, 0xDEAD'BEEF);
        ASSERT_OK(fa::free(dirty.value(), Order(5)));
        const auto run = fa::allocate(Order(5), zone, Contents::Zeroed);
        ASSERT_OK(run);
        for (uint32_t i = 0; i < 32; ++i) {
            const mm::FrameMemory memory = mm::frame_memory(run.value() + i);
            const auto* const words = memory.as<uint32_t>();
            EXPECT_EQ(std::count(words, words + 1024, 0u), 1024) << "zero words in frame " << i << " of a zeroed run, zone " << zone;
        }
        EXPECT_OK(fa::free(run.value(), Order(5)));
    }
}

TEST_F(Buddy, FragmentationRisesWhenEverySecondFrameIsTaken) {
    const std::vector<FrameNumber> all = take_all(Zone::High);
    std::vector<FrameNumber> even, odd;
    for (const FrameNumber frame : all) (frame.value() % 2 == 0 ? even : odd).push_back(frame);
    free_all(even);
    for (const Zone zone : mm::kAllZones) {
        EXPECT_EQ(fa::fragmentation(zone, Order(0)).value(), 0u) << zone;
        EXPECT_EQ(fa::fragmentation(zone, Order(1)).value(), 1000u) << zone;
        EXPECT_EQ(fa::free_runs(zone, Order(0)).value(), fa::free_frames(zone)) << zone;
    }
    free_all(odd);
    expect_counts(host::FramesModel(), "after every second frame, then the others were freed");
}

TEST_F(BuddyOf, ZonesThatEndInTheMiddleOfARun) {
    start({.memory = {host::bytes(0x10'0000, 0x10'1000), host::bytes(0x10'3000, 0x11'D000), host::bytes(0x3F'F000, 0x100'0000),
                      host::bytes(0x100'0000, 0x17F'F000), host::bytes(0x1000'0000, 0x1000'1000)},
           .reserved = {host::bytes(0x60'1000, 0x60'2000), host::bytes(0xFF'F000, 0x100'0000)}});
    expect_counts(host::FramesModel(), "after initialize()");
    host::Source source(11);
    host::FramesDriver driver(source, kServed, "seed 11");
    for (int i = 0; i < 1000; ++i) driver.step();
    driver.finish();
}

} // namespace
