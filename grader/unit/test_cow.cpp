/// @file
/// mm::copy_on_write, lab 07-cow: all spaces, counts, contents and the TLB are compared with a model after each call.
#include <gtest/gtest.h>

#include <optional>

#include "host/cow_driver.h"
#include "host/fixture.h"
#include "host/frames.h"
#include "host/paging.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"

namespace {

using host::CowDriver;
using host::Shows;
using mm::Area;
using mm::Protection;
using mm::Sharing;

constexpr uint32_t kSlot = 0x4000'0000;  // the begin of some directory entry
constexpr Protection kReadWrite{true, true, false}, kRead{true, false, false}, kCode{true, false, true}, kNothing{};

/// Page i of the test's memory: 100 pages before the begin of a page table is page 0.
VirtAddr page(uint32_t i) { return VirtAddr(kSlot - 100 * kPageSize + i * kPageSize); }

Area area(uint32_t begin, uint32_t end, Protection protection = kReadWrite, Sharing sharing = Sharing::Private) {
    return {.range = {page(begin), page(end)}, .protection = protection, .sharing = sharing};
}

class CopyOnWrite : public host::MachineTest {
protected:
    void SetUp() override {
        host::boot(host::ordinary_machine());
        host::start_frames(host::Runs::Unsupported);
        host::make_zero_frame();
        remember_free_frames();
    }
    size_t free_frames() override { return host::free_frame_count(); }
    void TearDown() override {
        if (driver_ && !HasFatalFailure()) driver_->finish();
        MachineTest::TearDown();
    }

    /// A space with these areas; it is active, and the CPU remembers its pages once touch_all() was called.
    CowDriver& start(std::vector<Area> areas) {
        driver_.emplace(source_, "in this order", std::move(areas));
        parent_ = driver_->create();
        driver_->activate(parent_);
        return *driver_;
    }
    void show(uint32_t begin, uint32_t end, Shows what = Shows::Own) {
        for (uint32_t i = begin; i < end; ++i) driver_->show(parent_, page(i), what);
    }

    host::Source source_{1};
    std::optional<CowDriver> driver_;
    size_t parent_ = 0;
};

TEST_F(CopyOnWrite, NothingPresentNothingShared) {
    CowDriver& spaces = start({area(0, 2000), area(3000, 3001, kRead)});
    const size_t before = mm::frames::in_use();
    spaces.fork(parent_);
    EXPECT_EQ(mm::frames::in_use(), before + 1) << "the child's directory, and nothing else";
}

TEST_F(CopyOnWrite, BothShowTheSameFramesReadOnly) {
    CowDriver& spaces = start({area(0, 10)});
    show(2, 7);
    const size_t child = spaces.fork(parent_);
    EXPECT_EQ(spaces.pages(child).size(), 5u);
}

TEST_F(CopyOnWrite, AreasBeginAndEndAnywhere) {
    CowDriver& spaces = start({area(90, 97), area(97, 103, kRead), area(103, 1130), area(1130, 1140, kCode), area(1140, 1141)});
    for (const uint32_t i : {90u, 96u, 97u, 99u, 100u, 102u, 103u, 104u, 600u, 1123u, 1124u, 1129u, 1130u, 1139u, 1140u}) show(i, i + 1);
    spaces.fork(spaces.fork(parent_));
}

TEST_F(CopyOnWrite, SharedAreasAreLeftAlone) {
    CowDriver& spaces = start({area(0, 10, kReadWrite, Sharing::Shared), area(10, 20)});
    show(2, 7, Shows::Object);
    show(10, 14);
    spaces.touch_all();
    const size_t child = spaces.fork(parent_);
    spaces.store(parent_, page(3), 0x1234);
    spaces.store(child, page(11), 0x1234);
}

TEST_F(CopyOnWrite, PagesOutOfReachStayOutOfReach) {
    CowDriver& spaces = start({area(0, 10, kNothing), area(10, 20)});
    show(2, 7);
    show(11, 12);
    spaces.fork(spaces.fork(parent_));
}

TEST_F(CopyOnWrite, NoPageTableForAnotherAreasPages) {
    CowDriver& spaces = start({area(0, 10, kReadWrite, Sharing::Shared), area(10, 90), area(100, 200)});
    show(2, 7, Shows::Object);
    show(150, 151);
    spaces.fork(parent_); // the driver looks for empty page tables
}

TEST_F(CopyOnWrite, TheActiveParentForgetsItsTranslations) {
    for (const uint32_t count : {1u, 5u, 90u}) {
        CowDriver& spaces = start({area(0, 100)});
        show(3, 3 + count);
        spaces.touch_all();
        const size_t child = spaces.fork(parent_);
        spaces.store(parent_, page(3), 0x5555);
        spaces.store(child, page(3), 0x6666);
        spaces.finish();
    }
    driver_.reset();
}

TEST_F(CopyOnWrite, AnotherSpaceIsActive) {
    CowDriver& spaces = start({area(0, 20)});
    show(0, 9);
    const size_t other = spaces.create();
    for (uint32_t i = 0; i < 9; ++i) spaces.show(other, page(i), Shows::Own);
    spaces.activate(other);
    spaces.touch_all();
    const size_t child = spaces.fork(parent_);
    spaces.write(child, page(4));
    spaces.write(parent_, page(4));
    spaces.activate(CowDriver::kNone);
    spaces.write(parent_, page(5));
}

TEST_F(CopyOnWrite, FirstACopyThenTheLastOwner) {
    CowDriver& spaces = start({area(0, 20)});
    show(0, 9);
    spaces.touch_all();
    const size_t child = spaces.fork(parent_);
    spaces.touch_all();
    for (const uint32_t i : {1u, 4u, 8u}) {
        spaces.store(i == 4 ? child : parent_, page(i), 0x100 + i);
        spaces.store(i == 4 ? parent_ : child, page(i), 0x200 + i);
    }
}

TEST_F(CopyOnWrite, ManyOwners) {
    CowDriver& spaces = start({area(0, 20)});
    show(0, 3);
    std::vector<size_t> family{parent_};
    for (int i = 0; i < 5; ++i) family.push_back(spaces.fork(family[family.size() / 2]));
    for (const size_t one : family) spaces.store(one, page(1), 0x4000 + static_cast<uint32_t>(one));
    for (const size_t one : {family[3], family[0], family[5]}) spaces.destroy(one);
    spaces.store(family[2], page(0), 7);
    spaces.destroy(family[1]);
    spaces.destroy(family[4]);
    spaces.store(family[2], page(2), 8);
}

TEST_F(CopyOnWrite, ZerosAndObjectsAreCopiedHoweverFewShowThem) {
    CowDriver& spaces = start({area(0, 20)});
    show(0, 1, Shows::Zeros);
    show(1, 2, Shows::Object);
    spaces.touch_all();
    spaces.store(parent_, page(0), 0x77);
    spaces.store(parent_, page(1), 0x88);
    show(2, 6, Shows::Zeros);
    show(6, 9, Shows::Object);
    const size_t child = spaces.fork(parent_);
    for (const uint32_t i : {0u, 1u, 3u, 7u}) spaces.store(child, page(i), i);
    for (const uint32_t i : {0u, 1u, 3u, 8u}) spaces.store(parent_, page(i), 0x100 + i);
}

TEST_F(CopyOnWrite, NoFrameForTheCopy) {
    CowDriver& spaces = start({area(0, 20)});
    show(0, 4);
    show(4, 6, Shows::Zeros);
    show(6, 8, Shows::Object);
    spaces.touch_all();
    const size_t child = spaces.fork(parent_);
    for (const size_t one : {parent_, child})
        for (const uint32_t i : {1u, 5u, 7u}) EXPECT_FALSE(spaces.write(one, page(i), 0));
    EXPECT_TRUE(spaces.write(child, page(1), 1));
    EXPECT_TRUE(spaces.write(parent_, page(1), 0)) << "the last owner needs no frame";
}

TEST_F(CopyOnWrite, NoFrameForAnyPageTable) {
    CowDriver& spaces = start({area(0, 150), area(150, 1200, kRead), area(1200, 3500)});
    for (const uint32_t i : {0u, 99u, 100u, 149u, 151u, 1122u, 1124u, 1199u, 1200u, 2300u, 3499u}) show(i, i + 1);
    spaces.touch_all();
    size_t failures = 0;
    while (spaces.fork(parent_, failures) == CowDriver::kNone) {
        ASSERT_LT(++failures, 20u);
        spaces.store(parent_, page(0), static_cast<uint32_t>(failures));
        spaces.touch_all();
    }
    EXPECT_GE(failures, 4u);
}

TEST_F(CopyOnWrite, ForkAfterCopying) {
    CowDriver& spaces = start({area(0, 20)});
    show(0, 10);
    const size_t child = spaces.fork(parent_);
    spaces.touch_all();
    spaces.store(parent_, page(2), 2);
    spaces.store(child, page(2), 3);
    spaces.store(child, page(5), 5);
    const size_t grandchild = spaces.fork(child);
    spaces.store(child, page(2), 4);
    spaces.store(grandchild, page(5), 6);
    spaces.destroy(child);
    spaces.store(grandchild, page(2), 9);
    spaces.store(spaces.fork(parent_), page(5), 10);
}

class RandomFamilies : public CopyOnWrite, public testing::WithParamInterface<uint64_t> {};

TEST_P(RandomFamilies, DoWhatTheModelSays) {
    host::Source source(GetParam());
    driver_.emplace(source, "seed " + std::to_string(GetParam()),
                    std::vector<Area>{area(90, 96), area(96, 99, kRead), area(99, 106), area(106, 110, kReadWrite, Sharing::Shared), area(1120, 1130), area(1130, 1134, kNothing)});
    for (int i = 0; i < 400; ++i) driver_->step();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomFamilies, testing::Range<uint64_t>(1, 7));

} // namespace
