/// @file
/// mm::slab, the first half of lab 04-heap.
#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "heap_test.h"
#include "lib/address.h"

namespace {

namespace slab = mm::slab;
using mm::FindingKind;

class Slab : public Heap {
protected:
    slab::Cache* make(size_t size, size_t alignment = mm::kHeapAlignment, void (*construct)(void*) = nullptr) {
        const auto made = slab::create({"test", size, alignment, construct});
        EXPECT_OK(made) << size << " bytes, alignment " << alignment;
        return made.value();
    }
    uint8_t* take(slab::Cache* cache) {
        const auto got = slab::allocate(cache);
        EXPECT_OK(got);
        return static_cast<uint8_t*>(got.value());
    }
};

TEST_P(Slab, SizesAndAlignmentsThatCannotBe) {
    for (const size_t size : {size_t{0}, mm::kMaxObjectSize + 1, size_t{0xFFFF'FFFF}})
        EXPECT_ERROR(Error::InvalidArgument, slab::create({"test", size})) << size << " bytes";
    for (const size_t alignment : {size_t{0}, size_t{3}, size_t{24}, size_t{4095}, size_t{8192}, size_t{0x8000'0000}})
        EXPECT_ERROR(Error::InvalidArgument, slab::create({"test", 16, alignment})) << "alignment " << alignment;
}

TEST_P(Slab, EverySizeAtEveryAlignment) {
    for (const size_t size : {1u, 7u, 8u, 9u, 64u, 100u, 500u, 1365u, 2048u, 4000u, 4080u, 4081u, 4095u, 4096u}) {
        for (size_t alignment = 1; alignment <= mm::kMaxObjectSize; alignment *= size < 1000 ? 2 : 8) {
            slab::Cache* const cache = make(size, alignment);
            std::vector<uint8_t*> objects;
            for (int i = 0; i < 5; ++i) objects.push_back(take(cache));
            for (uint8_t* object : objects) {
                ASSERT_NE(object, nullptr);
                ASSERT_TRUE(is_aligned(address_of(object).value(), static_cast<uint32_t>(std::max(alignment, mm::kHeapAlignment))))
                    << size << " bytes, alignment " << alignment << ": " << address_of(object);
                std::fill_n(object, size, 0xEE);
            }
            std::ranges::sort(objects);
            for (size_t i = 1; i < objects.size(); ++i) ASSERT_GE(objects[i] - objects[i - 1], static_cast<std::ptrdiff_t>(size)) << "they overlap";
            for (uint8_t* object : objects) ASSERT_OK(slab::free(cache, object));
            ASSERT_OK(slab::destroy(cache));
        }
    }
    expect_no_finding();
}

TEST_P(Slab, ANewCacheHoldsNoFrameForObjects) {
    slab::Cache* const cache = make(64);
    size_t shown = 0;
    slab::for_each_cache([](void* context, const slab::Statistics& figures) {
        if (std::string_view(figures.name) != "test") return;
        ++*static_cast<size_t*>(context);
        EXPECT_EQ(figures.frames, 0u);
        EXPECT_EQ(figures.in_use, 0u);
        EXPECT_EQ(figures.object_size, 64u);
    }, &shown);
    EXPECT_EQ(shown, 1u) << "caches of this name";
    EXPECT_OK(slab::destroy(cache));
}

TEST_P(Slab, ACacheIsNotDestroyedWhileObjectsAreInUse) {
    slab::Cache* const cache = make(48);
    uint8_t* const object = take(cache);
    EXPECT_ERROR(Error::Busy, slab::destroy(cache));
    std::fill_n(object, 48, 1);
    EXPECT_OK(slab::free(cache, object));
    EXPECT_OK(slab::destroy(cache));
}

TEST_P(Slab, NullIsFine) {
    slab::Cache* const cache = make(48);
    EXPECT_OK(slab::free(cache, nullptr));
    EXPECT_OK(slab::destroy(cache));
    expect_no_finding();
}

TEST_P(Slab, DoubleFreeIsRefusedAndNamed) {
    slab::Cache* const cache = make(48);
    uint8_t* const first = take(cache);
    uint8_t* const second = take(cache);
    uint8_t* const third = take(cache);
    ASSERT_OK(slab::free(cache, second));
    EXPECT_ERROR(Error::NotAllocated, slab::free(cache, second));
    if (!host::is_free_now(FrameNumber(address_of(second).value() / kPageSize))) expect_finding(FindingKind::DoubleFree, second, nullptr);
    EXPECT_OK(slab::free(cache, first));
    EXPECT_OK(slab::free(cache, third));
    host::new_findings();
    EXPECT_OK(slab::destroy(cache));
}

TEST_P(Slab, StrangeAddressesAreRefused) {
    slab::Cache* const cache = make(48);
    slab::Cache* const other = make(48);
    uint8_t* const object = take(cache);
    std::vector<void*> strange = host::strange_addresses();
    for (const int offset : {1, 8, 47, 48, -1, -8}) strange.push_back(object + offset);
    strange.push_back(take(other));
    for (void* address : strange) {
        EXPECT_ERROR(Error::NotAllocated, slab::free(cache, address)) << address_of(address);
        expect_finding(FindingKind::ForeignFree, address, nullptr);
    }
    EXPECT_OK(slab::free(cache, object));
    EXPECT_OK(slab::free(other, strange.back()));
    EXPECT_OK(slab::destroy(cache));
    EXPECT_OK(slab::destroy(other));
}

TEST_P(Slab, OverflowAndUnderflowByOneByteAreFoundAtFree) {
    for (const size_t size : {1u, 13u, 16u, 100u, 1000u, 4096u}) {
        slab::Cache* const cache = make(size);
        uint8_t* const before = take(cache);
        uint8_t* const object = take(cache);
        if (kDebugging) object[size] ^= 1;
        EXPECT_OK(slab::free(cache, object)) << "an object whose red zone is damaged is taken back all the same";
        expect_finding(FindingKind::Overflow, object, object + size);
        if (kDebugging) before[-1] ^= 1;
        EXPECT_OK(slab::free(cache, before));
        expect_finding(FindingKind::Underflow, before, before - 1);
        EXPECT_OK(slab::destroy(cache));
    }
}

TEST_P(Slab, CheckFindsDamageOnceAndRepairsIt) {
    if (!kDebugging) GTEST_SKIP();
    slab::Cache* const cache = make(40);
    std::vector<uint8_t*> objects;
    for (int i = 0; i < 6; ++i) objects.push_back(take(cache));
    objects[2][40] = 0x11;
    EXPECT_EQ(slab::check(), 1u) << "findings of check()";
    expect_finding(FindingKind::Overflow, objects[2], objects[2] + 40);
    EXPECT_EQ(slab::check(), 0u) << "the same damage is found once";
    for (uint8_t* object : objects) EXPECT_OK(slab::free(cache, object));
    expect_no_finding();
    EXPECT_OK(slab::destroy(cache));
}

TEST_P(Slab, AFreeObjectIsPoisonedAndAWriteToItIsFound) {
    if (!kDebugging) GTEST_SKIP();
    slab::Cache* const cache = make(40);
    std::vector<uint8_t*> objects;
    for (int i = 0; i < 6; ++i) objects.push_back(take(cache));
    uint8_t* const victim = objects[3];
    objects.erase(objects.begin() + 3);
    ASSERT_OK(slab::free(cache, victim));
    if (!host::is_free_now(FrameNumber(address_of(victim).value() / kPageSize))) { // else nobody can write there
        EXPECT_EQ(std::count(victim, victim + 40, mm::kFreedByte), 40) << "bytes of a free object that hold kFreedByte";
        victim[20] = 0x42;
        EXPECT_EQ(slab::check(), 1u) << "findings of check()";
        expect_finding(FindingKind::UseAfterFree, victim, victim + 20);
        EXPECT_EQ(slab::check(), 0u) << "the same damage is found once";
    }
    for (uint8_t* object : objects) EXPECT_OK(slab::free(cache, object));
    EXPECT_OK(slab::destroy(cache));
}

TEST_P(Slab, AWriteToAFreeObjectIsFoundWhenItIsHandedOutAgain) {
    if (!kDebugging) GTEST_SKIP();
    slab::Cache* const cache = make(40);
    std::vector<uint8_t*> objects;
    for (int i = 0; i < 6; ++i) objects.push_back(take(cache));
    uint8_t* const victim = objects[3];
    ASSERT_OK(slab::free(cache, victim));
    objects.erase(objects.begin() + 3);
    if (!host::is_free_now(FrameNumber(address_of(victim).value() / kPageSize))) {
        victim[20] = 0x42;
        while (std::ranges::find(objects, victim) == objects.end() && objects.size() < 500) objects.push_back(take(cache));
        EXPECT_EQ(objects.back(), victim) << "a free object is handed out again before 500 others";
        expect_finding(FindingKind::UseAfterFree, victim, victim + 20);
    }
    for (uint8_t* object : objects) EXPECT_OK(slab::free(cache, object));
    EXPECT_OK(slab::destroy(cache));
}

size_t constructor_calls = 0;

TEST_P(Slab, ObjectsStayConstructed) {
    constructor_calls = 0;
    slab::Cache* const cache = make(24, 8, [](void* object) {
        ++constructor_calls;
        std::fill_n(static_cast<uint8_t*>(object), 24, 0xC7);
    });
    std::vector<uint8_t*> objects;
    for (int i = 0; i < 300; ++i) objects.push_back(take(cache));
    for (int round = 0; round < 3; ++round) {
        for (uint8_t* object : objects) ASSERT_EQ(std::count(object, object + 24, 0xC7), 24) << "bytes in their constructed state";
        for (uint8_t* object : objects) ASSERT_OK(slab::free(cache, object));
        for (uint8_t*& object : objects) object = take(cache);
    }
    EXPECT_GE(constructor_calls, 300u);
    for (uint8_t* object : objects) ASSERT_OK(slab::free(cache, object));
    EXPECT_OK(slab::destroy(cache));
}

TEST_P(Slab, ShrinkGivesEmptySlabsBackAndNoOthers) {
    slab::Cache* const cache = make(200);
    std::vector<uint8_t*> objects;
    for (int i = 0; i < 400; ++i) objects.push_back(take(cache));
    const size_t full = mm::frames::in_use();
    for (size_t i = 1; i < objects.size(); ++i) ASSERT_OK(slab::free(cache, objects[i]));
    std::fill_n(objects[0], 200, 0xAB);
    slab::shrink();
    EXPECT_LT(mm::frames::in_use(), full) << "frames in use when 399 of 400 objects are free";
    EXPECT_EQ(std::count(objects[0], objects[0] + 200, 0xAB), 200) << "the object in use";
    EXPECT_OK(slab::free(cache, objects[0]));
    EXPECT_OK(slab::destroy(cache));
}

TEST_P(Slab, OutOfMemoryIsAValueAndPasses) {
    slab::Cache* const cache = make(1000);
    std::vector<uint8_t*> objects;
    for (;;) {
        const auto got = slab::allocate(cache);
        if (got.is_error()) {
            EXPECT_ERROR(Error::OutOfMemory, got);
            break;
        }
        objects.push_back(static_cast<uint8_t*>(got.value()));
        ASSERT_LT(objects.size(), 100'000u);
    }
    EXPECT_EQ(std::set(objects.begin(), objects.end()).size(), objects.size()) << "an object was handed out twice";
    for (uint8_t* object : objects) ASSERT_OK(slab::free(cache, object));
    EXPECT_OK(slab::destroy(cache));
    expect_no_finding();
}

TEST_P(Slab, NoMemoryAtAnyFrame) {
    const auto made = fail_at_every_allocation([] { return slab::create({"test", 3000}); });
    ASSERT_OK(made);
    std::vector<void*> objects;
    for (int i = 0; i < 6; ++i) objects.push_back(fail_at_every_allocation([&] { return slab::allocate(made.value()); }).value());
    for (void* object : objects) EXPECT_OK(slab::free(made.value(), object));
    EXPECT_OK(slab::destroy(made.value()));
}

TEST_P(Slab, RandomCallsAgreeWithTheModel) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        host::Source source(seed);
        host::HeapDriver driver(source, host::text("seed ", seed));
        for (int i = 0; i < 1200; ++i) driver.step();
        driver.finish();
    }
}

HEAP_WITH_AND_WITHOUT_RUNS(Slab);

} // namespace
