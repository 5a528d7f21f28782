/// @file
/// mm::swap, lab 09-swap: pages, slots, entries, copies, counts and the TLB are compared after each call.
#include <gtest/gtest.h>

#include <optional>

#include "host/fixture.h"
#include "host/frames.h"
#include "host/swap_driver.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/swap_area.h"

namespace {

using host::SwapDriver;
using mm::SwapSlot;

class Swap : public host::MachineTest {
protected:
    void SetUp() override {
        host::boot(host::ordinary_machine());
        host::start_frames(host::Runs::Unsupported);
    }
    size_t free_frames() override { return host::free_frame_count(); }
    void TearDown() override {
        if (driver_ && !HasFatalFailure()) driver_->finish();
        MachineTest::TearDown();
    }

    /// A swap area, and space 0 with some pages.
    SwapDriver& start(uint32_t slots = 100, std::set<uint32_t> bad = {}, size_t pages = 24) {
        driver_.emplace(source_, "in this order", slots, std::move(bad));
        remember_free_frames();
        driver_->create();
        driver_->activate(0);
        driver_->store(0, 0, pages);
        return *driver_;
    }
    static mm::swap_area::Statistics disk() { return mm::swap_area::statistics(); }
    static mm::swap::Statistics figures() { return mm::swap::statistics(); }

    host::Source source_{1};
    std::optional<SwapDriver> driver_;
};

TEST_F(Swap, AllSlotsAreFreeAtFirst) {
    start(64, {3, 63});
    EXPECT_EQ(figures().slots, 61u) << "64 less the header and two bad ones";
    EXPECT_EQ(figures().free, 61u);
    EXPECT_EQ(figures().copies, 0u);
}

TEST_F(Swap, APageGoesOutAndComesBack) {
    SwapDriver& swap = start();
    EXPECT_EQ(swap.out(0, 3), 1u);
    EXPECT_TRUE(swap.entry(0, 3).is_swapped());
    swap.load(0, 3);
    EXPECT_EQ(figures().pages_in, 1u);
}

TEST_F(Swap, AnyNumberAtOnce) {
    SwapDriver& swap = start();
    for (const size_t count : {1u, 7u, 8u, 9u, 24u}) {
        swap.store(0, 0, 24);
        EXPECT_EQ(swap.out(0, 0, count), count);
        swap.load(0, 0, 24);
    }
    EXPECT_EQ(swap.out(std::vector<FrameNumber>{}), 0u);
}

TEST_F(Swap, BadSlotsStayEmpty) {
    SwapDriver& swap = start(20, {1, 2, 9, 19});
    EXPECT_EQ(swap.out(0, 0, 24), 15u);
}

TEST_F(Swap, AFullAreaIsFull) {
    SwapDriver& swap = start(17);
    EXPECT_EQ(swap.out(0, 0, 12), 12u);
    EXPECT_EQ(swap.out(0, 12, 12), 4u);
    EXPECT_EQ(swap.out(0, 12, 12), 0u);
    swap.unmap(0, 2);
    swap.unmap(0, 5);
    EXPECT_EQ(swap.out(0, 0, 24), 2u);
}

TEST_F(Swap, NeighboursAreWrittenTogether) {
    SwapDriver& swap = start();
    swap.out(0, 0, 8);
    EXPECT_EQ(disk().writes, 1u);
    swap.out(0, 8, 16);
    EXPECT_LE(disk().writes, 3u);
    EXPECT_EQ(disk().pages_written, 24u);
}

TEST_F(Swap, ACleanPageIsNotWritten) {
    SwapDriver& swap = start();
    swap.out(0, 0, 10);
    swap.load(0, 0, 10);
    EXPECT_EQ(swap.out(0, 0, 10), 10u);
    EXPECT_EQ(disk().pages_written, 10u);
    EXPECT_EQ(figures().clean_out, 10u);
}

TEST_F(Swap, AChangedPageIsWrittenToItsSlot) {
    SwapDriver& swap = start();
    swap.out(0, 0, 10);
    const SwapSlot slot = swap.entry(0, 4).slot();
    swap.store(0, 4);
    swap.out(0, 4);
    EXPECT_EQ(swap.entry(0, 4).slot(), slot);
    EXPECT_EQ(disk().pages_written, 11u);
}

TEST_F(Swap, WrittenThroughAnEntryThatHasGone) {
    SwapDriver& swap = start();
    swap.out(0, 0, 4);
    swap.store(0, 0, 4);
    const size_t child = swap.fork(0);
    swap.destroy(0);
    swap.out(child, 0, 4);
    swap.load(child, 0, 4);
    EXPECT_EQ(disk().pages_written, 8u);
}

TEST_F(Swap, SlotsOfCopiesAreTakenWhenThereIsNoOther) {
    SwapDriver& swap = start(13);
    swap.out(0, 0, 12);
    swap.load(0, 0, 5);
    EXPECT_EQ(swap.out(0, 12, 3), 3u);
    EXPECT_EQ(swap.out(0, 0, 5), 2u);
    swap.load(0, 0, 24);
}

TEST_F(Swap, ASlotIsFreeWhenItsCopyGoes) {
    SwapDriver& swap = start();
    swap.out(0, 0, 4);
    swap.load(0, 0, 4);
    swap.unmap(0, 1);
    EXPECT_EQ(figures().copies, 3u);
    EXPECT_EQ(figures().slots - figures().free, 3u);
}

TEST_F(Swap, ASharedPageIsWrittenOnce) {
    SwapDriver& swap = start();
    const size_t child = swap.fork(0), grandchild = swap.fork(child);
    swap.activate(grandchild);
    swap.load(grandchild, 0, 24);
    EXPECT_EQ(swap.out(child, 0, 24), 24u);
    EXPECT_EQ(disk().pages_written, 24u);
    EXPECT_EQ(swap.entry(0, 7).word(), swap.entry(grandchild, 7).word());
    EXPECT_EQ(mm::swap::entries(swap.entry(0, 7).slot()), 3u);
}

TEST_F(Swap, WhatWasSharedComesBackShared) {
    SwapDriver& swap = start();
    const size_t child = swap.fork(0);
    swap.out(0, 5);
    swap.load(0, 5);
    const uint32_t reads = disk().reads;
    swap.load(child, 5);
    EXPECT_EQ(swap.frame(0, 5), swap.frame(child, 5));
    EXPECT_EQ(disk().reads, reads);
}

TEST_F(Swap, WhoWritesFirstGetsACopy) {
    SwapDriver& swap = start();
    const size_t child = swap.fork(0);
    swap.out(0, 0, 4);
    swap.store(0, 1, 2);
    swap.store(child, 1, 2);
    swap.out(0, 0, 4);
    swap.out(child, 0, 4);
    swap.load(child, 0, 4);
}

TEST_F(Swap, TheLastEntryTakesTheCopyWithIt) {
    SwapDriver& swap = start();
    const size_t child = swap.fork(0);
    swap.out(0, 0, 4);
    swap.load(0, 0, 4);
    swap.unmap(0, 1);
    swap.unmap(child, 1);
    swap.unmap(child, 2);
    swap.unmap(0, 2);
}

TEST_F(Swap, ACopyThatNobodyShowsGoesOut) {
    SwapDriver& swap = start();
    swap.fork(0);
    swap.out(0, 0, 3);
    swap.load(0, 0, 3);
    const FrameNumber frame = swap.frame(0, 1);
    swap.unmap(0, 1);
    EXPECT_EQ(swap.out({frame}), 1u);
    EXPECT_EQ(disk().pages_written, 3u);
}

TEST_F(Swap, ThingsAreStoredSharedLoaded) {
    SwapDriver& swap = start();
    const size_t thing = swap.make_thing();
    swap.store_thing(thing, false);
    const size_t other = swap.share_thing(thing);
    swap.load_thing(thing);
    swap.load_thing(other);
    swap.release_thing(other);
    swap.store_thing(thing, false);
    EXPECT_EQ(disk().pages_written, 1u) << "it was equal";
    swap.release_thing(thing);
}

TEST_F(Swap, PagesAreWrittenAhead) {
    SwapDriver& swap = start(12);
    EXPECT_EQ(swap.clean(0, 3), Error::None);
    EXPECT_EQ(swap.out(0, 3), 1u);
    EXPECT_EQ(disk().pages_written, 1u);
    swap.out(0, 4, 10);
    EXPECT_EQ(swap.clean(0, 20), Error::NoSpace);
}

TEST_F(Swap, OnlyCopiesOfEntriesAreGivenBack) {
    SwapDriver& swap = start();
    const size_t child = swap.fork(0);
    swap.out(0, 0, 24);
    swap.load(0, 9, 2);
    const size_t copies = figures().copies;
    EXPECT_EQ(swap.shrink(1), 1u);
    EXPECT_EQ(swap.shrink(100), copies - 3);
    swap.load(child, 0, 24);
}

TEST_F(Swap, NeighboursComeWithTheSameCommand) {
    SwapDriver& swap = start();
    swap.out(0, 0, 24);
    swap.load(0, 0, 24);
    EXPECT_LE(disk().reads, 4u) << "24 slots in a row lie in four blocks of eight at most";
    EXPECT_EQ(figures().cache_hits, 24 - disk().reads);
}

TEST_F(Swap, ASlotThatCannotBeWrittenIsNeverUsedAgain) {
    SwapDriver& swap = start(26);
    host::disk_faults().writes = {5};
    EXPECT_EQ(swap.out(0, 0, 24), 23u);
    EXPECT_EQ(figures().slots, 24u);
    host::disk_faults().writes.clear();
    swap.store(0, 0, 24);
    EXPECT_EQ(swap.out(0, 0, 24), 24u);
}

TEST_F(Swap, AnOwnSlotThatCannotBeWrittenIsGivenUp) {
    SwapDriver& swap = start();
    swap.out(0, 0, 6);
    const SwapSlot slot = swap.entry(0, 2).slot();
    swap.store(0, 0, 6);
    host::disk_faults().writes = {slot.value()};
    EXPECT_EQ(swap.out(0, 0, 6), 5u);
    EXPECT_EQ(swap.clean(0, 2), Error::None);
    EXPECT_EQ(swap.out(0, 2), 1u);
    EXPECT_NE(swap.entry(0, 2).slot(), slot);
}

TEST_F(Swap, ASlotThatCannotBeRead) {
    SwapDriver& swap = start();
    swap.out(0, 0, 24);
    const uint32_t slot = swap.entry(0, 12).slot().value();
    host::disk_faults().reads = {slot};
    EXPECT_EQ(swap.in(0, 12), Error::DeviceError);
    EXPECT_EQ(swap.in(0, 13), Error::None);
    EXPECT_EQ(swap.in(0, 11), Error::None);
    host::disk_faults().reads.clear();
    EXPECT_EQ(swap.in(0, 12), Error::None);
}

TEST_F(Swap, AsManyNeighboursAsThereAreFrames) {
    SwapDriver& swap = start();
    swap.out(0, 0, 24);
    EXPECT_EQ(swap.in(0, 12, 0), Error::OutOfMemory);
    EXPECT_EQ(swap.in(0, 12, 1), Error::None);
    EXPECT_EQ(figures().read_ahead, 0u);
    EXPECT_EQ(swap.in(0, 2, 2), Error::None);
    EXPECT_LE(figures().read_ahead, 1u);
}

TEST_F(Swap, NoMorePagesMayBePresent) {
    SwapDriver& swap = start();
    const size_t child = swap.fork(0);
    swap.out(0, 0, 24);
    swap.space(0).limits.resident = 0;
    EXPECT_EQ(swap.in(0, 3), Error::LimitReached);
    swap.load(child, 3);
    EXPECT_EQ(swap.in(0, 3), Error::LimitReached);
    swap.destroy(child);
    EXPECT_EQ(swap.in(0, 3), Error::LimitReached);
    swap.space(0).limits.resident = 100;
    EXPECT_EQ(swap.in(0, 3), Error::None);
}

class SwapHistories : public Swap, public testing::WithParamInterface<uint64_t> {};

TEST_P(SwapHistories, AreAsTheyShouldBe) {
    source_ = host::Source(GetParam());
    driver_.emplace(source_, "seed " + std::to_string(GetParam()), static_cast<uint32_t>(40 + 30 * (GetParam() % 3)), std::set<uint32_t>{7, 20});
    remember_free_frames();
    for (int i = 0; i < 400; ++i) driver_->step();
}

INSTANTIATE_TEST_SUITE_P(Seeds, SwapHistories, testing::Range<uint64_t>(1, 5));

} // namespace
