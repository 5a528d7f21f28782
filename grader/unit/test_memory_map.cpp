/// @file
/// memory_map::sanitise() against a model that asks about each byte that matters.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "host/fixture.h"
#include "host/map_model.h"
#include "mm/physical/memory_map.h"

namespace {

using mm::MemoryKind;
using mm::MemoryMapEntry;
using Entries = std::vector<MemoryMapEntry>;

constexpr uint64_t kMib = uint64_t{1} << 20;

/// What sanitise() must say, and what it says.
void expect_as_model(const Entries& entries) {
    const std::string problem = host::compare_with_model(entries);
    if (!problem.empty()) ADD_FAILURE() << "frames that are usable: " << problem;
}

TEST(MemoryMap, AnEmptyMapHasNoMemory) { expect_as_model({}); }

TEST(MemoryMap, OneEntryIsOneRange) { expect_as_model({{kMib, 31 * kMib, MemoryKind::Usable}}); }

TEST(MemoryMap, EntriesComeInAnyOrder) {
    Entries entries = {{0, 0x9'F000, MemoryKind::Usable},     {0x9'F000, 0x1000, MemoryKind::Reserved},
                       {kMib, 15 * kMib, MemoryKind::Usable}, {17 * kMib, kMib, MemoryKind::Usable},
                       {64 * kMib, kMib, MemoryKind::Usable}};
    const auto by_base = [](const MemoryMapEntry& a, const MemoryMapEntry& b) { return a.base < b.base; };
    do expect_as_model(entries);
    while (std::next_permutation(entries.begin(), entries.end(), by_base));
}

TEST(MemoryMap, AFrameThatIsOnlyPartlyUsableIsNotUsable) {
    for (const uint64_t cut : {1, 15, 2048, 4095}) {
        expect_as_model({{kMib + cut, 4 * kMib, MemoryKind::Usable}});
        expect_as_model({{kMib, 4 * kMib - cut, MemoryKind::Usable}});
        expect_as_model({{kMib + cut, 4096 - cut, MemoryKind::Usable}});
    }
}

TEST(MemoryMap, TwoEntriesCoverASharedFrameTogether) {
    expect_as_model({{kMib, 0x1800, MemoryKind::Usable}, {kMib + 0x1800, 0x1800, MemoryKind::Usable}});
    expect_as_model({{kMib, 0x1801, MemoryKind::Usable}, {kMib + 0x1800, 0x1800, MemoryKind::Usable}});
    expect_as_model({{kMib, 0x17FF, MemoryKind::Usable}, {kMib + 0x1800, 0x1800, MemoryKind::Usable}});
}

TEST(MemoryMap, TheMoreCarefulEntryWins) {
    for (const uint32_t kind : {0u, 2u, 3u, 4u, 5u, 6u, 12u, 0xFFFF'FFFFu}) {
        const Entries entries = {{kMib, 16 * kMib, MemoryKind::Usable}, {4 * kMib + 1, 1, MemoryKind{kind}}};
        expect_as_model(entries);
        expect_as_model({entries[1], entries[0]});
    }
}

TEST(MemoryMap, RangesThatTouchAreOne) {
    expect_as_model({{kMib, kMib, MemoryKind::Usable}, {2 * kMib, kMib, MemoryKind::Usable}});
    expect_as_model({{2 * kMib, kMib, MemoryKind::Usable}, {kMib, kMib, MemoryKind::Usable}, {kMib, 2 * kMib, MemoryKind::Usable}});
}

TEST(MemoryMap, MemoryEndsAt4Gib) {
    constexpr uint64_t kEnd = uint64_t{1} << 32;
    expect_as_model({{kEnd - kMib, 2 * kMib, MemoryKind::Usable}});
    expect_as_model({{kEnd, kMib, MemoryKind::Usable}, {kEnd - 1, 1, MemoryKind::Usable}});
    expect_as_model({{0, ~uint64_t{0}, MemoryKind::Usable}, {kEnd, kMib, MemoryKind::Reserved}});
}

TEST(MemoryMap, AnEntryThatWrapsIsCutOff) {
    expect_as_model({{kMib, ~uint64_t{0}, MemoryKind::Usable}});
    expect_as_model({{0, 64 * kMib, MemoryKind::Usable}, {32 * kMib, ~uint64_t{0} - kMib, MemoryKind::Reserved}});
    expect_as_model({{0, 64 * kMib, MemoryKind::Usable}, {~uint64_t{0} - 5, 32 * kMib, MemoryKind::Reserved}});
}

TEST(MemoryMap, EntriesWithoutLengthSayNothing) {
    expect_as_model({{kMib, 4 * kMib, MemoryKind::Usable}, {2 * kMib + 7, 0, MemoryKind::Reserved}, {9 * kMib, 0, MemoryKind::Usable}});
}

TEST(MemoryMap, TooLittleRoomIsAnErrorAndNothingIsWrittenPastIt) {
    Entries entries;
    for (uint64_t i = 0; i < 5; ++i) entries.push_back({i * 2 * kMib, kMib, MemoryKind::Usable});
    for (size_t room = 0; room < entries.size(); ++room) {
        std::vector<FrameRange> ranges(room); // exactly so long: AddressSanitizer sees what is written behind it
        EXPECT_ERROR(Error::OutOfMemory, mm::memory_map::sanitise(entries, ranges)) << "5 ranges, room for " << room;
    }
    std::vector<FrameRange> ranges(entries.size());
    EXPECT_OK(mm::memory_map::sanitise(entries, ranges));
}

TEST(MemoryMap, HostileMapsOf64Entries) {
    for (uint64_t seed = 1; seed <= 300; ++seed) {
        host::Source source(seed);
        const Entries entries = host::random_map(source);
        const std::string problem = host::compare_with_model(entries);
        if (!problem.empty()) FAIL() << "seed " << seed << ", " << entries.size() << " entries: " << problem;
    }
}

} // namespace
