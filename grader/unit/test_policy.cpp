/// @file
/// mm::policy, lab 10-replace: every victim, every question about a page and every cleaning are compared with a model.
#include <gtest/gtest.h>

#include <optional>

#include "host/fixture.h"
#include "host/frames.h"
#include "host/policy_driver.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace {

using host::PolicyDriver;
using mm::policy::Kind;
using mm::policy::kWorkingSetWindow;

constexpr Kind kAll[] = {Kind::Fifo, Kind::Clock, Kind::Aging, Kind::TwoLists, Kind::WorkingSet, Kind::Own};
using Victim = std::optional<uint32_t>;

class Policy : public testing::Test {
protected:
    void SetUp() override {
        host::boot(host::ordinary_machine());
        host::start_frames(host::Runs::Unsupported);
        driver_.emplace(source_, "in this order");
    }
    /// A policy with pages 0 to count - 1, which have come in this order.
    PolicyDriver& start(Kind kind, uint32_t count) {
        driver_->begin(kind);
        for (uint32_t i = 0; i < count; ++i) driver_->come(i);
        return *driver_;
    }
    void take_all() {
        while (driver_->take()) {}
    }

    host::Source source_{1};
    std::optional<PolicyDriver> driver_;
};

TEST_F(Policy, WithoutPagesThereIsNoVictim) {
    for (const Kind kind : kAll) EXPECT_EQ(start(kind, 0).choose(), Victim());
}

TEST_F(Policy, PagesComeAndGoUnderEveryKind) {
    for (const Kind kind : kAll) {
        start(kind, 8);
        take_all();
        EXPECT_EQ(mm::policy::count(), 0u);
    }
}

TEST_F(Policy, AVictimStaysUntilItGoes) {
    PolicyDriver& pages = start(Kind::Fifo, 3);
    EXPECT_EQ(pages.choose(), Victim(0));
    EXPECT_EQ(pages.choose(), Victim(0));
    pages.go(0);
    EXPECT_EQ(pages.choose(), Victim(1));
}

TEST_F(Policy, FramesInNoSetChangeNothing) {
    for (const Kind kind : kAll) {
        PolicyDriver& pages = start(kind, 3);
        pages.tell_of_stranger(0);
        pages.tell_of_stranger(static_cast<uint32_t>(mm::frame_table::frame_count() - 1));
        pages.tell_of_stranger(PolicyDriver::kFirstFrame + 5);
        take_all();
        pages.tell_of_stranger(PolicyDriver::kFirstFrame);
    }
}

TEST_F(Policy, MemoryIsTakenOnce) {
    driver_->begin(Kind::Fifo);
    const size_t taken = mm::frames::in_use();
    for (const Kind kind : kAll) {
        start(kind, 20);
        take_all();
        EXPECT_EQ(mm::frames::in_use(), taken) << "frames in use, with a later initialize()";
    }
}

TEST_F(Policy, ANewBeginForgetsEverything) {
    for (const Kind kind : kAll) {
        for (const Kind next : kAll) {
            start(kind, 6).choose();
            driver_->begin(next);
            EXPECT_EQ(driver_->choose(), Victim());
            driver_->come(10);
            for (uint32_t i = 0; i < 6; ++i) driver_->go(i); // they were in memory, and in no set
            EXPECT_EQ(driver_->choose(), Victim(10));
            driver_->go(10);
        }
    }
}

TEST_F(Policy, TheFirstAndTheLastFrameAreFrames) {
    start(Kind::Clock, 0);
    mm::policy::page_in(FrameNumber(static_cast<uint32_t>(mm::frame_table::frame_count() - 1)));
    EXPECT_EQ(mm::policy::count(), 1u);
    mm::policy::page_out(FrameNumber(static_cast<uint32_t>(mm::frame_table::frame_count() - 1)));
    EXPECT_EQ(mm::policy::count(), 0u);
}

TEST_F(Policy, FifoDoesNotCareForUses) {
    PolicyDriver& pages = start(Kind::Fifo, 5);
    pages.use(0);
    pages.go(2);
    pages.come(2);
    for (const uint32_t wanted : {0u, 1u, 3u, 4u, 2u}) EXPECT_EQ(pages.take(), Victim(wanted));
}

TEST_F(Policy, ClockGoesRoundOnceWhenAllWereUsed) {
    PolicyDriver& pages = start(Kind::Clock, 4);
    EXPECT_EQ(pages.choose(), Victim(0));
    pages.use(0);
    EXPECT_EQ(pages.take(), Victim(1));
    EXPECT_EQ(pages.take(), Victim(2));
    EXPECT_EQ(pages.take(), Victim(3));
    EXPECT_EQ(pages.take(), Victim(0));
}

TEST_F(Policy, WhoComesStandsBehindTheHand) {
    PolicyDriver& pages = start(Kind::Clock, 4);
    pages.take();
    pages.come(9);
    pages.choose();
    pages.use(1);
    pages.come(10);
    for (const uint32_t wanted : {2u, 3u}) EXPECT_EQ(pages.take(), Victim(wanted));
    take_all();
}

TEST_F(Policy, TheHandMovesWhenItsPageGoes) {
    PolicyDriver& pages = start(Kind::Clock, 5);
    pages.choose();
    pages.go(0);
    EXPECT_EQ(pages.choose(), Victim(1));
    for (const uint32_t gone : {4u, 1u, 3u}) pages.go(gone);
    EXPECT_EQ(pages.choose(), Victim(2));
    pages.go(2);
    pages.come(7);
    EXPECT_EQ(pages.choose(), Victim(7));
}

TEST_F(Policy, TheHandGoesFromTheLastToTheFirst) {
    PolicyDriver& pages = start(Kind::Clock, 3);
    pages.choose();
    pages.use(0);
    pages.use(1);
    EXPECT_EQ(pages.choose(), Victim(2));
    pages.go(2);
    EXPECT_EQ(pages.choose(), Victim(0));
}

TEST_F(Policy, AgingRemembersEightTicks) {
    PolicyDriver& pages = start(Kind::Aging, 4);
    for (const uint32_t used : {0u, 1u, 2u, 3u, 0u, 2u}) {
        pages.tick();
        pages.use(used);
        pages.choose();
    }
    for (int i = 0; i < 9; ++i) pages.tick();
    EXPECT_EQ(pages.choose(), Victim(0)) << "all counters are 0";
}

TEST_F(Policy, AgingDoesNotCountUsesSinceTheLastTick) {
    PolicyDriver& pages = start(Kind::Aging, 3);
    pages.tick();
    pages.tick();
    pages.use(0);
    EXPECT_EQ(pages.choose(), Victim(0));
    pages.tick();
    EXPECT_EQ(pages.choose(), Victim(1));
}

TEST_F(Policy, EqualCountersGoByWhoCameFirst) {
    PolicyDriver& pages = start(Kind::Aging, 0);
    for (const uint32_t number : {7u, 3u, 9u, 1u}) pages.come(number);
    for (const uint32_t wanted : {7u, 3u, 9u, 1u}) EXPECT_EQ(pages.take(), Victim(wanted));
}

TEST_F(Policy, ANewPageInAnOldFrameIsNew) {
    for (const Kind kind : {Kind::Aging, Kind::TwoLists, Kind::WorkingSet}) {
        PolicyDriver& pages = start(kind, 6);
        for (int i = 0; i < 3; ++i) pages.tick();
        pages.choose();
        pages.use(0);
        pages.choose();
        pages.pass_time(0, 70);
        pages.pass_time(1, 70);
        for (const uint32_t number : {0u, 3u}) {
            pages.go(number);
            pages.come(number);
        }
        take_all();
    }
}

TEST_F(Policy, TwoUsesMakeAPageActive) {
    PolicyDriver& pages = start(Kind::TwoLists, 6);
    EXPECT_EQ(pages.choose(), Victim(0));
    pages.use(0);
    pages.use(1);
    EXPECT_EQ(pages.take(), Victim(2));
    EXPECT_EQ(pages.take(), Victim(3));
    take_all();
}

TEST_F(Policy, AThirdIsInactive) {
    PolicyDriver& pages = start(Kind::TwoLists, 12);
    for (int round = 0; round < 6; ++round) {
        pages.choose();
        for (uint32_t i = 0; i < 12; ++i) {
            if ((i + round) % 3 != 0) pages.use(i);
        }
    }
    take_all();
}

TEST_F(Policy, PagesGoFromBothLists) {
    PolicyDriver& pages = start(Kind::TwoLists, 9);
    pages.choose();
    for (uint32_t i = 0; i < 6; ++i) pages.use(i);
    pages.choose();
    for (const uint32_t number : {0u, 7u, 2u, 8u}) pages.go(number);
    take_all();
}

TEST_F(Policy, TheWindowIsExact) {
    for (const uint32_t time : {kWorkingSetWindow, kWorkingSetWindow + 1}) {
        PolicyDriver& pages = start(Kind::WorkingSet, 4);
        for (uint32_t i = 0; i < 4; ++i) pages.make_clean(i);
        pages.choose();
        pages.pass_time(0, time); // pages 0 and 2
        pages.use(0);
        EXPECT_EQ(pages.choose(), Victim(2));
        for (uint32_t i = 0; i < 4; ++i) pages.go(i);
    }
}

TEST_F(Policy, OldDirtyPagesAreCleanedSomeAtATime) {
    PolicyDriver& pages = start(Kind::WorkingSet, 20);
    pages.choose();
    pages.pass_time(0, kWorkingSetWindow + 1);
    pages.pass_time(1, kWorkingSetWindow + 1);
    EXPECT_EQ(pages.choose(), Victim(0));
    EXPECT_EQ(pages.cleanings(), mm::policy::kCleaningsPerSearch);
    take_all();
}

TEST_F(Policy, ADiskThatFailsCostsAttempts) {
    PolicyDriver& pages = start(Kind::WorkingSet, 12);
    pages.break_disk();
    pages.choose();
    pages.pass_time(0, kWorkingSetWindow + 1);
    pages.pass_time(1, kWorkingSetWindow + 9);
    EXPECT_EQ(pages.choose(), Victim(1)) << "the greatest age, as none is clean";
    EXPECT_EQ(pages.cleanings(), mm::policy::kCleaningsPerSearch);
}

TEST_F(Policy, CleanPagesComeFirstWhenNobodyIsOld) {
    PolicyDriver& pages = start(Kind::WorkingSet, 6);
    pages.choose();
    pages.make_clean(3);
    pages.make_clean(4);
    pages.pass_time(0, 5);
    EXPECT_EQ(pages.take(), Victim(4));
    EXPECT_EQ(pages.take(), Victim(3));
    EXPECT_EQ(pages.take(), Victim(0));
    take_all();
}

TEST_F(Policy, AnAgeIsNeverNegative) {
    PolicyDriver& pages = start(Kind::WorkingSet, 4);
    pages.set_time(0, 1000);
    pages.choose();
    for (uint32_t i = 0; i < 4; ++i) pages.make_clean(i);
    pages.set_time(0, 10); // the owner that had run for longer is gone
    pages.pass_time(1, 20);
    EXPECT_EQ(pages.choose(), Victim(1));
}

TEST_F(Policy, ThousandsOfThingsAtRandom) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
        host::Source source(seed);
        driver_.emplace(source, "seed " + std::to_string(seed));
        driver_->begin(static_cast<Kind>(seed % mm::policy::kKinds));
        for (int i = 0; i < 6'000; ++i) driver_->step();
    }
}

} // namespace
