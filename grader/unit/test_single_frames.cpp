/// @file
/// What lab 01-frames alone says: runs are not served.
#include "frames_test.h"

const Order kServed{0};

namespace {

namespace fa = mm::frame_allocator;

/// An allocator that knows runs already is welcome, too: then it must do it right.
TEST_F(Frames, RunsAreNotServed) {
    const auto frame = fa::allocate(Order(0), mm::Zone::Normal, mm::Contents::Unspecified);
    ASSERT_OK(frame);
    for (const uint32_t number : {1u, 2u, 10u, 11u, 31u, 32u, 0xFFFF'FFFFu}) {
        const Order order(number);
        const auto run = fa::allocate(order, mm::Zone::High, mm::Contents::Unspecified);
        const bool served = !run.is_error() && order <= mm::kMaxOrder;
        if (!served) {
            EXPECT_ERROR(Error::Unsupported, run) << order;
        }
        EXPECT_ERROR(served ? Error::NotAllocated : Error::Unsupported, fa::free(frame.value(), order)) << order;
        if (!served) continue;
        EXPECT_TRUE(is_aligned(run.value().value(), order.frames())) << run.value() << ", " << order;
        EXPECT_OK(fa::free(run.value(), order)) << run.value() << ", " << order;
    }
    EXPECT_OK(fa::free(frame.value(), Order(0)));
}

} // namespace
