/// @file
/// Single frames: what labs 01-frames and 03-buddy have in common.
#include <algorithm>
#include <set>

#include "config.h"
#include "frames_test.h"
#include "host/frames_driver.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace {

namespace fa = mm::frame_allocator;
using mm::Contents;
using mm::Zone;

/// What is in the first list, and not in the second; both are sorted.
std::vector<FrameNumber> only_in(const std::vector<FrameNumber>& first, const std::vector<FrameNumber>& second) {
    std::vector<FrameNumber> found;
    std::ranges::set_difference(first, second, std::back_inserter(found));
    return found;
}

TEST_F(Frames, ExactlyTheUsableAndUnreservedFramesAreFree) {
    for (const Zone zone : mm::kAllZones) EXPECT_EQ(fa::free_frames(zone), host::free_at_boot(zone).size()) << "zone " << zone;
    std::vector<FrameNumber> taken = take_all(Zone::High);
    std::vector<FrameNumber> expected;
    for (const Zone zone : mm::kAllZones) std::ranges::copy(host::free_at_boot(zone), std::back_inserter(expected));
    std::ranges::sort(taken);
    EXPECT_TRUE(std::ranges::adjacent_find(taken) == taken.end()) << "a frame was handed out twice";
    if (const auto more = only_in(taken, expected); !more.empty())
        ADD_FAILURE() << more[0] << " is reserved or no memory, and was handed out (and " << more.size() - 1 << " more such frames)";
    if (const auto less = only_in(expected, taken); !less.empty())
        ADD_FAILURE() << less[0] << " is free at boot, and was not handed out (and " << less.size() - 1 << " more such frames)";
    free_all(taken);
}

TEST_F(Frames, AFrameComesFromTheZoneThatWasAskedFor) {
    for (const Zone zone : mm::kAllZones) {
        const auto frame = fa::allocate(Order(0), zone, Contents::Unspecified);
        ASSERT_OK(frame) << "zone " << zone;
        EXPECT_EQ(mm::zone_of(frame.value()), zone) << frame.value();
        EXPECT_OK(fa::free(frame.value(), Order(0)));
    }
}

TEST_F(Frames, AnEmptyZoneFallsBackToLowerOnesNeverToHigherOnes) {
    const std::vector<FrameNumber> low = take_all(Zone::Dma);
    EXPECT_EQ(low.size(), host::free_at_boot(Zone::Dma).size());
    EXPECT_EQ(fa::free_frames(Zone::Normal), host::free_at_boot(Zone::Normal).size()) << "a DMA request touched the Normal zone";
    free_all(low);
    size_t free = 0;
    for (const Zone zone : mm::kAllZones) free += fa::free_frames(zone);
    const std::vector<FrameNumber> all = take_all(Zone::High);
    EXPECT_EQ(all.size(), free) << "requests for the High zone that were served before OutOfMemory, and free frames of all zones";
    const auto zone_falls = std::ranges::is_sorted(all, std::ranges::greater{}, [](FrameNumber frame) { return mm::zone_of(frame); });
    EXPECT_TRUE(zone_falls) << "High first, then Normal, then DMA";
    free_all(all);
}

TEST_F(Frames, WhatWasFreedCanBeAllocatedAgain) {
    const std::vector<FrameNumber> all = take_all(Zone::High);
    ASSERT_FALSE(all.empty());
    for (const size_t i : {size_t{0}, all.size() / 2, all.size() - 1}) {
        ASSERT_OK(fa::free(all[i], Order(0)));
        const auto again = fa::allocate(Order(0), Zone::High, Contents::Unspecified);
        ASSERT_OK(again) << "after one frame was freed";
        EXPECT_EQ(again.value(), all[i]) << "the only free frame";
    }
    free_all(all);
}

TEST_F(Frames, AFrameCannotBeFreedTwice) {
    std::vector<FrameNumber> some;
    for (int i = 0; i < 8; ++i) some.push_back(fa::allocate(Order(0), Zone::Normal, Contents::Unspecified).value());
    free_all(some);
    for (const FrameNumber frame : some) EXPECT_ERROR(Error::NotAllocated, fa::free(frame, Order(0))) << frame << ", freed before";
    const std::vector<FrameNumber> all = take_all(Zone::High);
    EXPECT_EQ(std::set(all.begin(), all.end()).size(), all.size()) << "a frame was handed out twice";
    free_all(all);
}

TEST_F(Frames, FramesThatWereNeverHandedOutCannotBeFreed) {
    const size_t count = mm::frame_table::frame_count();
    for (size_t i = 0; i < count; i += i < 1024 ? 1 : 61)
        ASSERT_ERROR(Error::NotAllocated, fa::free(FrameNumber(static_cast<uint32_t>(i)), Order(0)))
            << FrameNumber(static_cast<uint32_t>(i));
    for (const size_t i : {count, count + 1, kMaxFrames - 1, kMaxFrames, size_t{0xFFFF'FFFF}})
        EXPECT_ERROR(Error::NotAllocated, fa::free(FrameNumber(static_cast<uint32_t>(i)), Order(0))) << "past the end of memory";
}

TEST_F(Frames, AZeroedFrameIsZero) {
    std::vector<FrameNumber> frames = take_all(Zone::High);
    for (const FrameNumber frame : frames) mm::fill_frame(frame, 0x1234'5678);
    free_all(frames);
    frames = take_all(Zone::High, Contents::Zeroed);
    for (const FrameNumber frame : frames) {
        const mm::FrameMemory memory = mm::frame_memory(frame);
        const auto* const words = memory.as<uint32_t>();
        const bool zero = std::all_of(words, words + 1024, [](uint32_t word) { return word == 0; });
        ASSERT_TRUE(zero) << "a frame that was allocated zeroed is not: " << frame;
    }
    free_all(frames);
}

TEST_F(Frames, RandomCallsAgreeWithTheModel) {
    const uint64_t seed = 20;
    host::Source source(seed);
    host::FramesDriver driver(source, kServed, host::text("seed ", seed));
    for (int i = 0; i < 3000; ++i) driver.step();
    driver.finish();
}

TEST_F(FramesOf, AMachineWithoutHighMemory) {
    start({.memory = {host::bytes(0x1'0000, 0x9'F000), host::bytes(0x10'0000, 0x3A'1000)}, .reserved = {host::bytes(0, 0x12'0000)}});
    EXPECT_EQ(fa::free_frames(Zone::Normal), 0u);
    EXPECT_EQ(fa::free_frames(Zone::High), 0u);
    const std::vector<FrameNumber> all = take_all(Zone::High);
    EXPECT_EQ(all.size(), host::free_at_boot(Zone::Dma).size());
    free_all(all);
}

TEST_F(FramesOf, AMachineOfManySmallPieces) {
    host::Machine machine;
    host::Source source(7);
    for (uint32_t at = 0x10'0000; at < 0x120'0000 && machine.memory.size() < 60; at += static_cast<uint32_t>(source.between(1, 90)) * kPageSize) {
        const uint32_t begin = at;
        at += static_cast<uint32_t>(source.between(1, 40)) * kPageSize;
        machine.memory.push_back(host::bytes(begin, at));
    }
    machine.memory.push_back(host::bytes(0x140'0000, 0x160'0000)); // room for the kernel's tables
    for (int i = 0; i < 20; ++i) {
        const auto begin = static_cast<uint32_t>(source.below(0x1700));
        machine.reserved.push_back({FrameNumber(begin), FrameNumber(begin + static_cast<uint32_t>(source.below(50)))});
    }
    start(machine);
    host::FramesDriver driver(source, kServed, "seed 7");
    for (int i = 0; i < 1500; ++i) driver.step();
    driver.finish();
}

} // namespace
