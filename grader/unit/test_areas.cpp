/// @file
/// mm::areas, lab 05-spaces: every answer and the whole list are compared with a model after each call.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "host/areas_driver.h"
#include "host/fixture.h"
#include "host/heap.h"
#include "mm/paging/page_table.h"

namespace {

using mm::AddressRange;
using mm::Area;
using mm::Protection;

constexpr uint32_t kBase = 0x3000'0000;
constexpr Protection kRead{true, false, false}, kReadWrite{true, true, false}, kNone{};

/// Pages counted from kBase.
constexpr AddressRange pages(uint32_t begin, uint32_t end) { return {VirtAddr(kBase + begin * kPageSize), VirtAddr(kBase + end * kPageSize)}; }

Area area(uint32_t begin, uint32_t end, Protection protection = kReadWrite) { return {.range = pages(begin, end), .protection = protection}; }

mm::MemoryObject* object(uint32_t number) { return pointer_to<mm::MemoryObject>(VirtAddr(0xE100'0000 + 64 * number)); }

Area object_area(uint32_t begin, uint32_t end, uint32_t first_page, uint32_t number = 1) {
    Area made = area(begin, end);
    made.object = object(number);
    made.first_page = first_page;
    return made;
}

class Areas : public testing::Test {
protected:
    void SetUp() override { driver_.emplace(source_, "in this order"); }
    void TearDown() override {
        if (!HasFatalFailure()) driver_->finish();
    }
    host::AreasDriver& set() { return *driver_; }

    host::Source source_{1};
    std::optional<host::AreasDriver> driver_;
};

TEST_F(Areas, AnEmptySetHasNothing) {
    for (const uint32_t address : {0u, 0xFFFu, mm::kUserBegin, kBase, mm::kUserEnd, 0xFFFF'FFFFu}) set().find(VirtAddr(address));
    set().remove(pages(0, 5));
    set().protect(pages(0, 5), kRead);
    set().check_list();
}

TEST_F(Areas, AreasComeInAnyOrder) {
    for (const uint32_t page : {50u, 10u, 90u, 30u, 70u, 0u, 20u, 60u}) set().insert(area(page, page + 5));
}

TEST_F(Areas, TheEndIsNotPartOfAnArea) {
    set().insert(area(4, 9));
    for (const uint32_t page : {3u, 4u, 8u, 9u, 10u})
        for (const uint32_t offset : {0u, 1u, 0xFFFu}) set().find(pages(page, page).begin + offset);
}

TEST_F(Areas, TwoAreasShareNoPage) {
    set().insert(area(10, 20));
    set().insert(area(30, 40));
    for (const auto& [begin, end] : {std::pair{10u, 20u}, {12u, 13u}, {5u, 11u}, {19u, 25u}, {5u, 50u}, {19u, 31u}, {25u, 31u}, {39u, 40u}})
        set().insert(area(begin, end, kRead));
    set().insert(area(20, 30, kRead));
}

TEST_F(Areas, RangesThatAreNone) {
    set().insert(area(10, 20));
    const uint32_t in = kBase + 12 * kPageSize;
    for (const auto& [begin, end] : {std::pair{in, in}, {0u, 0u}, {in, in + 1}, {in + 1, in + 0x1000}, {0u, 0x1000u}, {0u, in}, {mm::kUserBegin - 0x1000, mm::kUserBegin},
                                    {mm::kUserEnd - 0x1000, mm::kUserEnd + 0x1000}, {in + 0x1000, in}, {in, 0u}, {0xFFFF'F000u, 0u}, {0xFFFF'F000u, in}}) {
        const AddressRange range{VirtAddr(begin), VirtAddr(end)};
        set().insert({.range = range, .protection = kRead});
        set().remove(range);
        set().protect(range, kRead);
    }
}

TEST_F(Areas, AllOfTheUserRange) {
    set().insert({.range = {VirtAddr(mm::kUserBegin), VirtAddr(mm::kUserBegin + 0x3000)}, .protection = kRead});
    set().insert({.range = {VirtAddr(mm::kUserEnd - 0x3000), VirtAddr(mm::kUserEnd)}, .protection = kRead});
    set().find(VirtAddr(mm::kUserEnd - 1));
    set().find(VirtAddr(mm::kUserEnd));
    set().remove({VirtAddr(mm::kUserBegin), VirtAddr(mm::kUserEnd)});
}

TEST_F(Areas, NeighboursBecomeOneInEveryOrder) {
    const uint32_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (uint32_t i = 0; i < std::size(orders); ++i)
        for (const uint32_t part : orders[i]) set().insert(object_area(20 * i + 4 * part, 20 * i + 4 * part + 4, 100 + 4 * part));
}

TEST_F(Areas, NeighboursThatDifferStayApart) {
    const Area first = area(0, 4);
    std::vector<Area> others(6, area(4, 8));
    others[0].protection = kRead;
    others[1].protection.execute = true;
    others[2].kind = mm::AreaKind::Heap;
    others[3].sharing = mm::Sharing::Shared;
    others[4].object = object(1);
    others[5].protection = kNone;
    for (const Area& other : others) {
        set().insert(first);
        set().insert(other);
        set().remove(pages(0, 8));
        set().insert(other);
        set().insert(first);
        set().remove(pages(0, 8));
    }
}

TEST_F(Areas, PagesOfAnObjectMustFollow) {
    for (const uint32_t page : {0u, 9u, 10u, 13u, 15u}) { // 14 would follow
        set().insert(object_area(0, 4, 10));
        set().insert(object_area(4, 8, page));
        set().insert(object_area(8, 9, 14, 2));
        set().remove(pages(0, 20));
    }
}

TEST_F(Areas, HeadTailAndAll) {
    set().insert(object_area(0, 20, 1000));
    set().remove(pages(0, 3));
    set().remove(pages(18, 25));
    set().remove(pages(17, 18));
    set().remove(pages(3, 17));
}

TEST_F(Areas, AHoleMakesTwo) {
    set().insert(object_area(0, 40, 1000));
    set().remove(pages(10, 12));
    set().remove(pages(30, 31));
    set().remove(pages(20, 25));
    set().insert(object_area(20, 25, 1020));
}

TEST_F(Areas, RemoveGoesOverAreasAndHoles) {
    for (uint32_t page = 0; page < 60; page += 6) set().insert(object_area(page, page + 3 + page % 4, page * 10));
    set().remove(pages(8, 50));
    set().remove(pages(8, 50));
    set().remove(pages(0, 100));
}

TEST_F(Areas, ProtectSplitsAndMerges) {
    set().insert(object_area(0, 20, 7));
    set().protect(pages(5, 10), kRead);
    set().protect(pages(5, 10), kRead);
    set().protect(pages(0, 5), kRead);
    set().protect(pages(15, 20), kRead);
    set().protect(pages(10, 15), kRead);
    set().protect(pages(0, 20), kNone);
}

TEST_F(Areas, ProtectMovesABorder) {
    set().insert(area(0, 10));
    set().insert(area(10, 20, kRead));
    set().protect(pages(8, 10), kRead);
    set().protect(pages(8, 12), kReadWrite);
    set().protect(pages(4, 14), kReadWrite);
}

TEST_F(Areas, ProtectAcrossDifferentAreas) {
    for (uint32_t i = 0; i < 8; ++i) {
        Area one = area(5 * i, 5 * i + 5, i % 2 ? kRead : kReadWrite);
        one.kind = i % 3 ? mm::AreaKind::Mapping : mm::AreaKind::Heap;
        set().insert(one);
    }
    set().protect(pages(3, 37), kRead);
    set().protect(pages(0, 40), kReadWrite);
}

TEST_F(Areas, ProtectWithAHoleChangesNothing) {
    set().insert(area(0, 10));
    set().insert(area(11, 20));
    for (const auto& [begin, end] : {std::pair{0u, 20u}, {5u, 11u}, {9u, 12u}, {10u, 11u}, {15u, 21u}, {20u, 22u}}) set().protect(pages(begin, end), kRead);
}

TEST_F(Areas, EveryPlaceOfTheContractsExample) {
    set().insert(area(4, 5));
    for (uint32_t random = 0; random < 8; ++random) set().place({.pages = 3, .window = pages(0, 10), .random = random});
}

TEST_F(Areas, PlacesWithGuardsAndAlignment) {
    set().insert(area(0, 2));
    set().insert(area(20, 30));
    set().insert(area(33, 34));
    set().insert(area(60, 61));
    for (const size_t guard : {0u, 1u, 2u, 7u, 100u, 0xFFFF'FFFFu})
        for (const size_t alignment : {1u, 2u, 8u})
            for (const size_t count : {1u, 2u, 3u, 5u, 20u, 60u, 0xFFFF'FFFFu})
                for (const uint32_t random : {0u, 1u, 5u, 100u, 0xFFFF'FFFFu})
                    set().place({.pages = count, .alignment = alignment * kPageSize, .window = pages(2, 60), .random = random, .guard_pages = guard});
}

TEST_F(Areas, HintsThatArePossibleAndOthers) {
    set().insert(area(20, 30));
    for (uint32_t page = 0; page < 45; ++page)
        for (const size_t guard : {0u, 2u})
            set().place({.pages = 4, .window = pages(5, 40), .hint = pages(page, page).begin, .random = 3, .guard_pages = guard});
    set().place({.pages = 4, .window = pages(5, 40), .hint = pages(10, 10).begin + 1});
    set().place({.pages = 4, .window = pages(5, 40), .hint = VirtAddr(0xFFFF'F000)});
    set().place({.pages = 0xFFFF'FFFF, .window = pages(5, 40), .hint = pages(10, 10).begin});
}

TEST_F(Areas, PlacementsThatCannotBeAsked) {
    set().place({.pages = 0, .window = pages(5, 40)});
    for (const size_t alignment : {0u, 1u, 2048u, 4097u, 0x3000u, 0xFFFF'FFFFu}) set().place({.pages = 1, .alignment = alignment, .window = pages(5, 40)});
    set().place({.pages = 1, .window = pages(5, 5)});
    set().place({.pages = 1, .window = {VirtAddr(kBase + 1), VirtAddr(kBase + 0x3000)}});
    set().place({.pages = 1, .window = {VirtAddr(0), VirtAddr(0x3000)}});
    set().place({.pages = 1, .window = {VirtAddr(kBase), VirtAddr(kBase - 0x1000)}});
    set().place({.pages = 1, .window = {VirtAddr(mm::kUserEnd), VirtAddr(mm::kUserEnd + 0x1000)}});
}

TEST_F(Areas, NoMemoryAtAnyRequest) {
    for (size_t allowed = 0; allowed < 8; ++allowed) {
        for (uint32_t i = 0; i < 6; ++i) set().insert(area(20 * i, 20 * i + 15));
        set().limit_memory(allowed);
        set().insert(area(130, 132));
        set().limit_memory(allowed);
        set().protect(pages(5, 10), kRead);
        set().limit_memory(allowed);
        set().protect(pages(20, 25), kRead);
        set().limit_memory(allowed);
        set().protect(pages(40, 55), kRead);
        set().limit_memory(allowed);
        set().remove(pages(65, 70));
        set().remove(pages(0, 200));
    }
    set().has_failed();
    uint32_t count = 0;
    for (; count < 500 && !set().has_failed(); ++count) {
        set().limit_memory(0);
        set().insert(area(3 * count, 3 * count + 2));
    }
    EXPECT_LT(count, 500u) << "areas that fit into no memory at all";
    set().remove(pages(0, 1500));
}

TEST_F(Areas, RemoveWithoutAHoleNeedsNoMemory) {
    for (uint32_t i = 0; i < 6; ++i) set().insert(area(20 * i, 20 * i + 15));
    for (const auto& [begin, end] : {std::pair{0u, 3u}, {32u, 35u}, {40u, 55u}, {62u, 90u}, {0u, 200u}}) {
        set().limit_memory(0);
        set().remove(pages(begin, end));
        EXPECT_FALSE(set().has_failed()) << "remove() of pages " << begin << " to " << end;
    }
}

TEST(AreaSets, KnowNothingOfEachOther) {
    host::Source source(3);
    host::AreasDriver first(source, "the first set");
    host::AreasDriver second(source, "the second set");
    for (uint32_t i = 0; i < 10; ++i) {
        first.insert(area(10 * i, 10 * i + 5));
        second.insert(area(10 * i + 5, 10 * i + 10, kRead));
    }
    first.remove(pages(0, 50));
    second.check_list();
    second.remove(pages(0, 200));
    first.check_list();
    first.remove(pages(0, 200));
}

TEST(AreaSets, CreateFailsWithoutMemory) {
    host::heap::fail_after(0);
    const auto made = mm::areas::create();
    host::heap::fail_never();
    EXPECT_ERROR(Error::OutOfMemory, made);
    const size_t before = host::heap::in_use();
    const auto again = mm::areas::create();
    ASSERT_OK(again);
    mm::areas::destroy(again.value());
    EXPECT_EQ(host::heap::in_use(), before);
}

TEST(AreaSets, ThousandsOfAreasInEveryOrder) {
    constexpr uint32_t kCount = 4000;
    for (const uint32_t step : {1u, kCount - 1, 1237u}) {
        const auto made = mm::areas::create();
        ASSERT_OK(made);
        mm::areas::Set* const set = made.value();
        for (uint32_t i = 0; i < kCount; ++i) {
            const uint32_t page = static_cast<uint32_t>(uint64_t{i} * step % kCount * 3);
            ASSERT_OK(mm::areas::insert(set, area(page, page + 2)));
        }
        EXPECT_EQ(mm::areas::count(set), kCount);
        for (uint32_t i = 0; i < kCount; i += 7) {
            const Area* const found = mm::areas::find(set, pages(3 * i + 1, 0).begin);
            ASSERT_NE(found, nullptr);
            EXPECT_EQ(found->range, pages(3 * i, 3 * i + 2));
            EXPECT_EQ(mm::areas::find(set, pages(3 * i + 2, 0).begin), nullptr);
        }
        for (uint32_t i = 0; i < kCount; ++i) {
            const uint32_t page = static_cast<uint32_t>(uint64_t{i} * 2411 % kCount * 3);
            ASSERT_OK(mm::areas::remove(set, pages(page, page + 2), nullptr, nullptr));
        }
        EXPECT_EQ(mm::areas::count(set), 0u);
        mm::areas::destroy(set);
    }
}

class RandomAreas : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomAreas, DoWhatTheModelSays) {
    host::Source source(GetParam());
    host::AreasDriver driver(source, "seed " + std::to_string(GetParam()));
    for (int i = 0; i < 1500; ++i) driver.step();
    driver.finish();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomAreas, testing::Range<uint64_t>(1, 7));

} // namespace
