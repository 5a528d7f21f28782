/// @file
/// What lab 01-frames alone says: runs are not served.
#include "frames_test.h"

const Order kServed{0};

namespace {

namespace fa = mm::frame_allocator;

TEST_F(Frames, RunsAreNotServed) {
    const auto frame = fa::allocate(Order(0), mm::Zone::Normal, mm::Contents::Unspecified);
    ASSERT_OK(frame);
    for (const uint32_t order : {1u, 2u, 10u, 11u, 31u, 32u, 0xFFFF'FFFFu}) {
        EXPECT_ERROR(Error::Unsupported, fa::allocate(Order(order), mm::Zone::High, mm::Contents::Zeroed)) << Order(order);
        EXPECT_ERROR(Error::Unsupported, fa::free(frame.value(), Order(order))) << Order(order);
    }
    EXPECT_OK(fa::free(frame.value(), Order(0)));
}

} // namespace
