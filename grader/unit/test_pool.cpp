/// @file
/// mm::Pool, the kernel's own, over the heap of lab 04.
#include <vector>

#include "heap_test.h"
#include "host/panic.h"
#include "mm/heap/pool.h"

namespace {

class Pools : public Heap {};

TEST_P(Pools, TheReserveCannotFail) {
    mm::Pool pool;
    ASSERT_OK(pool.initialize("test", 300, 20));
    EXPECT_EQ(pool.set_aside(), 20u);
    std::vector<void*> objects;
    mm::frames::fail_after(0);
    for (;;) {
        const auto object = pool.allocate();
        if (object.is_error()) break;
        objects.push_back(object.value());
        ASSERT_LT(objects.size(), 10'000u);
    }
    mm::frames::fail_never();
    EXPECT_GE(objects.size(), 20u) << "objects without a single frame";
    EXPECT_EQ(pool.in_use(), objects.size());
    EXPECT_ERROR(Error::Busy, pool.destroy());
    for (void* object : objects) EXPECT_OK(pool.free(object));
    EXPECT_EQ(pool.set_aside(), 20u) << "the reserve is filled first";
    EXPECT_OK(pool.destroy());
    expect_no_finding();
}

TEST_P(Pools, NoMemoryAtAnyFrameOfInitialize) {
    for (const size_t reserve : {0u, 1u, 40u}) {
        mm::Pool pool;
        EXPECT_OK(fail_at_every_allocation([&] { return pool.initialize("test", 500, reserve); }));
        EXPECT_OK(pool.destroy());
    }
}

TEST_P(Pools, APoolIsInitializedOnce) {
    mm::Pool pool;
    ASSERT_OK(pool.initialize("test", 64, 1));
    {
        const host::PanicExpected expected;
        EXPECT_THROW(static_cast<void>(pool.initialize("test", 64, 1)), host::KernelPanic);
    }
    EXPECT_OK(pool.destroy());
}

HEAP_WITH_AND_WITHOUT_RUNS(Pools);

} // namespace
