/// @file
/// mm::demand, lab 06-faults: answers, pages, contents and references of every fault are compared with what the contract says.
#include <optional>

#include "host/faults_driver.h"
#include "host/fixture.h"
#include "host/frames.h"
#include "mm/fault/demand.h"
#include "mm/physical/frames.h"

namespace {

using host::Touch;
using host::Who;
using mm::Area;
using mm::AreaKind;
using mm::Protection;
using mm::Sharing;
using mm::fault::How;
using mm::fault::Outcome;
using mm::fault::Reason;

constexpr uint32_t kAt = 0x4000'0000;  // begins a page table, and a block of neighbours
constexpr Protection kRead{true, false, false}, kReadWrite{true, true, false}, kCode{true, false, true}, kNone{};
constexpr Touch kTouches[] = {Touch::Read, Touch::Write, Touch::Fetch};

/// With memory for large pages, however the small ones are scattered.
host::Machine roomy_machine() {
    host::Machine machine = host::ordinary_machine();
    machine.memory[3].end = host::bytes(0, 0x400'0000).end;
    return machine;
}

class Faults : public host::MachineTest {
protected:
    void SetUp() override {
        host::boot(roomy_machine());
        host::start_frames(host::Runs::Served);
        host::make_zero_frame();
        remember_free_frames();
        driver_.emplace(source_, "in this order");
    }
    void TearDown() override {
        if (!HasFatalFailure()) driver_->finish();
        MachineTest::TearDown();
    }
    size_t free_frames() override { return host::free_frame_count(); }

    /// Pages counted from kAt. Areas come from the lowest to the highest.
    void area(uint32_t begin, uint32_t end, Protection protection = kReadWrite, AreaKind kind = AreaKind::Mapping) {
        driver_->space().areas.list.push_back({.range = {VirtAddr(kAt + begin * kPageSize), VirtAddr(kAt + end * kPageSize)}, .protection = protection, .kind = kind});
    }
    host::TestObject& object_area(uint32_t begin, uint32_t end, uint32_t pages, uint32_t first_page, Sharing sharing = Sharing::Private, Protection protection = kReadWrite) {
        area(begin, end, protection);
        host::TestObject& object = driver_->object(pages, 0x600D'0000);
        Area& made = driver_->space().areas.list.back();
        made.object = &object.object;
        made.first_page = first_page;
        made.sharing = sharing;
        return object;
    }
    /// A fault in a page, compared; its outcome alone for the reader.
    mm::fault::Decision fault(uint32_t page, Touch touch, Who who = Who::User, uint32_t offset = 0x123) {
        return driver_->fault(kAt + page * kPageSize + offset, touch, who);
    }
    mm::fault::Decision near_stack(int32_t offset, int32_t stack_pointer) {
        return driver_->fault(kAt + static_cast<uint32_t>(offset), Touch::Write, Who::User, kAt + static_cast<uint32_t>(stack_pointer));
    }

    host::Source source_{1};
    std::optional<host::FaultsDriver> driver_;
};

TEST_F(Faults, AWriteBringsZerosOfItsOwn) {
    area(0, 20);
    EXPECT_EQ(fault(0, Touch::Write).how, How::Zeroed);
    EXPECT_EQ(fault(19, Touch::Write, Who::Kernel).how, How::Zeroed);
    EXPECT_EQ(driver_->space().pages.size(), 2u);
}

TEST_F(Faults, AReadShowsTheZeroFrame) {
    area(0, 20);
    for (const uint32_t page : {0u, 7u, 19u}) EXPECT_EQ(fault(page, Touch::Read).how, How::ZeroFrame);
    EXPECT_EQ(fault(7, Touch::Write).how, How::Copied);
}

TEST_F(Faults, WhatAnAreaForbidsIsRefused) {
    const Protection protections[] = {kRead, kReadWrite, kCode, kNone, {false, false, true}};
    for (uint32_t i = 0; i < std::size(protections); ++i) area(10 * i, 10 * i + 4, protections[i]);
    for (uint32_t i = 0; i < std::size(protections); ++i)
        for (const Touch touch : kTouches)
            for (const Who who : {Who::User, Who::Kernel}) fault(10 * i + static_cast<uint32_t>(touch), touch, who);
}

TEST_F(Faults, WhatLiesInNoAreaIsRefused) {
    area(10, 12);
    area(14, 16, kRead);
    for (const uint32_t page : {0u, 8u, 9u, 12u, 13u, 16u, 500u})
        for (const uint32_t offset : {0u, 0xFFFu}) fault(page, Touch::Read, Who::User, offset);
}

TEST_F(Faults, TheFirstReasonCounts) {
    area(0, 8);
    for (const uint32_t page : {0u, 1u, 2u}) fault(page, Touch::Write);
    driver_->space().areas.list.back().protection = kNone;
    EXPECT_EQ(fault(0, Touch::Write).reason, Reason::NotReadable);
    host::TestObject& object = object_area(20, 30, 4, 0, Sharing::Private, kNone);
    EXPECT_EQ(fault(29, Touch::Read).reason, Reason::NotReadable);
    EXPECT_EQ(fault(20, Touch::Write).reason, Reason::NotReadable);
    EXPECT_EQ(object.reads, 0u);
}

TEST_F(Faults, AFaultThatIsHistoryIsTriedAgain) {
    area(0, 8);
    object_area(20, 30, 10, 0, Sharing::Shared);
    for (const uint32_t page : {1u, 21u}) {
        for (const Touch touch : {Touch::Write, Touch::Write, Touch::Read}) fault(page, touch);
        EXPECT_EQ(fault(page, Touch::Read).outcome, Outcome::Retry);
    }
}

TEST_F(Faults, CopyOnWriteDecidesAboutReadOnlyPages) {
    area(0, 8);
    fault(1, Touch::Write);
    driver_->share_with_others(kAt + kPageSize);
    EXPECT_EQ(fault(1, Touch::Read).outcome, Outcome::Retry);
    EXPECT_EQ(fault(1, Touch::Write).how, How::Copied);
    EXPECT_EQ(fault(1, Touch::Write).outcome, Outcome::Retry);
}

TEST_F(Faults, ASharedAreaShowsTheObjectsFrames) {
    host::TestObject& object = object_area(0, 10, 10, 0, Sharing::Shared);
    EXPECT_EQ(fault(3, Touch::Read).how, How::ObjectPage);
    EXPECT_EQ(fault(3, Touch::Write).outcome, Outcome::Retry);
    EXPECT_EQ(fault(4, Touch::Write).how, How::ObjectPage);
    EXPECT_EQ(object.reads, 2u);
}

TEST_F(Faults, APrivateAreaCopiesForAWrite) {
    host::TestObject& object = object_area(0, 10, 40, 7);
    EXPECT_EQ(fault(3, Touch::Write).how, How::ObjectCopy);
    EXPECT_EQ(fault(4, Touch::Read).how, How::ObjectPage);
    EXPECT_EQ(fault(4, Touch::Write).how, How::Copied);
    EXPECT_TRUE(host::is_filled(object.frames.at(10), 0x600D'000A));
    EXPECT_TRUE(host::is_filled(object.frames.at(11), 0x600D'000B));
}

TEST_F(Faults, AnObjectEnds) {
    host::TestObject& object = object_area(0, 10, 4, 1);
    object.broken = 2;
    for (const Touch touch : {Touch::Read, Touch::Write}) {
        EXPECT_EQ(fault(1, touch).reason, Reason::Device);
        EXPECT_EQ(fault(3, touch).reason, Reason::PastEnd);
        EXPECT_EQ(fault(9, touch).reason, Reason::PastEnd);
    }
    EXPECT_EQ(fault(2, Touch::Read).how, How::ObjectPage);
}

TEST_F(Faults, AReadBringsWhatIsAtHand) {
    host::TestObject& object = object_area(3, 30, 60, 5);
    for (const uint32_t index : {4u, 5u, 6u, 8u, 9u, 10u, 11u, 20u, 31u, 32u, 33u}) (void)mm::frames::release(object.object.operations->page(object.object, index).value());
    const size_t reads = object.reads;
    EXPECT_EQ(fault(5, Touch::Read).neighbours, 4u);  // pages 3, 4, 6 and 7 of the block; the area begins in it
    EXPECT_EQ(object.reads, reads + 1);
    EXPECT_EQ(fault(28, Touch::Read).neighbours, 1u);  // page 29; the area ends behind it
    EXPECT_EQ(fault(18, Touch::Write).neighbours, 0u);
}

TEST_F(Faults, ALimitEndsTheSearch) {
    host::TestObject& object = object_area(0, 30, 60, 0);
    for (uint32_t index = 0; index < 8; ++index) (void)mm::frames::release(object.object.operations->page(object.object, index).value());
    driver_->space().limits.resident = 4;
    const auto decision = fault(5, Touch::Read);
    EXPECT_EQ(decision.outcome, Outcome::Resolved);
    EXPECT_EQ(decision.neighbours, 3u);
    EXPECT_EQ(fault(6, Touch::Read).outcome, Outcome::OutOfMemory);
}

TEST_F(Faults, AStackGrowsNearItsPointer) {
    area(100, 102, kReadWrite, AreaKind::Stack);
    constexpr int32_t kBegin = 100 * kPageSize;
    EXPECT_EQ(near_stack(kBegin - 33, kBegin).reason, Reason::GuardPage);
    EXPECT_TRUE(near_stack(kBegin - 32, kBegin).stack_grew);
    EXPECT_TRUE(near_stack(kBegin - 0x1'0000, kBegin - 0x1'0000).stack_grew);
    EXPECT_EQ(near_stack(kBegin - 0x1'2000, kBegin - 0x1'0000).reason, Reason::NotMapped);
    EXPECT_TRUE(driver_->fault(kAt + 60 * kPageSize, Touch::Read, Who::Kernel, 8).stack_grew);
    EXPECT_EQ(driver_->fault(kAt + 50 * kPageSize, Touch::Read, Who::User, 0xFFFF'FFFF).reason, Reason::NotMapped);
}

TEST_F(Faults, AStackHasALimitAndAGuardPage) {
    area(40, 42, kRead);
    area(100, 102, kReadWrite, AreaKind::Stack);
    driver_->space().limits.stack = 50;
    EXPECT_EQ(fault(51, Touch::Write).reason, Reason::StackLimit);
    EXPECT_TRUE(fault(52, Touch::Write).stack_grew);
    driver_->space().limits.stack = 100;
    EXPECT_EQ(fault(42, Touch::Write).reason, Reason::GuardPage);
    driver_->space().limits.address_space = driver_->space().mapped() + 8;
    EXPECT_EQ(fault(43, Touch::Write).outcome, Outcome::OutOfMemory);
    EXPECT_TRUE(fault(44, Touch::Write).stack_grew);
}

TEST_F(Faults, TheUserRangeEndsAStack) {
    driver_->space().areas.list.push_back({.range = {VirtAddr(mm::kUserBegin + 0x4000), VirtAddr(mm::kUserBegin + 0x5000)}, .protection = kRead, .kind = AreaKind::Stack});
    EXPECT_EQ(driver_->fault(mm::kUserBegin + 0xFFF, Touch::Read).reason, Reason::GuardPage);
    EXPECT_TRUE(driver_->fault(mm::kUserBegin + 0x1000, Touch::Read).stack_grew);
}

TEST_F(Faults, OnlyStacksGrowAndTheRulesGoOn) {
    area(100, 102);
    area(110, 112, kReadWrite, AreaKind::Stack);
    area(200, 202, kRead, AreaKind::Stack);
    EXPECT_EQ(fault(99, Touch::Write).reason, Reason::GuardPage);
    EXPECT_EQ(fault(98, Touch::Write).reason, Reason::NotMapped);
    const auto decision = fault(190, Touch::Write);
    EXPECT_TRUE(decision.stack_grew);
    EXPECT_EQ(decision.reason, Reason::NotWritable);
}

TEST_F(Faults, FourMegabytesAtOnce) {
    area(0, 1024);
    area(1025, 3 * 1024);
    area(3 * 1024, 4 * 1024 - 1, kReadWrite, AreaKind::Heap);
    EXPECT_EQ(fault(700, Touch::Write).how, How::LargePage);
    EXPECT_EQ(fault(5, Touch::Write).outcome, Outcome::Retry);
    EXPECT_EQ(fault(1500, Touch::Write).how, How::Zeroed);
    EXPECT_EQ(fault(2048, Touch::Read).how, How::ZeroFrame);
    EXPECT_EQ(fault(3000, Touch::Write).how, How::Zeroed);
    EXPECT_EQ(fault(3100, Touch::Write).how, How::Zeroed);
}

TEST_F(Faults, ASmallPageWhereALargeOneFindsNoRoom) {
    area(0, 2048);
    driver_->space().limits.resident = 1023;
    EXPECT_EQ(fault(0, Touch::Write).how, How::Zeroed);
    driver_->space().limits.resident = 1025;
    EXPECT_EQ(fault(1024, Touch::Write).how, How::LargePage);
}

TEST_F(Faults, WithoutMemoryNothingChanges) {
    area(0, 8);
    object_area(1024, 1040, 30, 0);
    object_area(2048, 2060, 30, 0, Sharing::Shared);
    area(3172, 3174, kReadWrite, AreaKind::Stack);
    for (const uint32_t page : {1u, 1025u, 2049u, 3170u})
        for (const Touch touch : {Touch::Read, Touch::Write})
            for (size_t frames = 0; frames < 4; ++frames) {
                driver_->limit_memory(frames);
                fault(page + 2 * static_cast<uint32_t>(touch), touch);
            }
    area(4096, 5120);
    driver_->limit_memory(0);
    EXPECT_EQ(fault(4100, Touch::Write).outcome, Outcome::OutOfMemory);
}

TEST_F(Faults, AFullSpaceGetsNoMore) {
    area(0, 20);
    object_area(30, 40, 10, 0);
    driver_->space().limits.resident = 2;
    fault(0, Touch::Read);
    fault(1, Touch::Write);
    for (const uint32_t page : {2u, 30u})
        for (const Touch touch : {Touch::Read, Touch::Write}) EXPECT_EQ(fault(page, touch).outcome, Outcome::OutOfMemory);
    EXPECT_EQ(fault(0, Touch::Write).how, How::Copied);
}

class RandomFaults : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomFaults, DoWhatTheContractSays) {
    host::boot(host::ordinary_machine());
    host::start_frames(host::Runs::Served, GetParam());
    host::make_zero_frame();
    host::Source source(GetParam());
    host::FaultsDriver driver(source, "seed " + std::to_string(GetParam()));
    for (int i = 0; i < 1500; ++i) driver.step();
    driver.finish();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomFaults, testing::Range<uint64_t>(1, 5));

} // namespace
