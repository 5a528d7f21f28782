/// @file
/// What the tests of all labs have in common.
#pragma once

#include <gtest/gtest.h>

#include "host/machine.h"
#include "host/panic.h"
#include "host/source.h"
#include "host/text.h"

/// The call succeeds, or fails with just this error.
#define EXPECT_ERROR(expected, call) EXPECT_PRED_FORMAT2(host::answers, expected, call)
#define ASSERT_ERROR(expected, call) ASSERT_PRED_FORMAT2(host::answers, expected, call)
#define EXPECT_OK(call) EXPECT_ERROR(Error::None, call)
#define ASSERT_OK(call) ASSERT_ERROR(Error::None, call)

namespace host {

/// "frame_allocator::free(frame, Order(0)): expected NotAllocated, seen success"
template <typename T>
testing::AssertionResult answers(const char*, const char* call, Error expected, const Result<T>& seen) {
    if (seen.error() == expected) return testing::AssertionSuccess();
    return testing::AssertionFailure() << call << ": expected " << expected << ", seen " << seen.error() << " ";
}

/// Each test runs in a process of its own (runner.cpp), with a machine of its own: a piece starts once, as in the kernel.
/// Afterwards as many frames are free as before, and no temporary mapping is left.
class MachineTest : public testing::Test {
protected:
    /// At most so many frames are mapped temporarily at one time (frame_memory.h).
    static constexpr size_t kMappingsAllowed = 4;

    /// Free frames of all zones now. What counts them differs: the piece itself, or the tests' own allocator.
    virtual size_t free_frames() = 0;

    /// The end of SetUp(): what is free now must be free at the end.
    void remember_free_frames() { free_at_start_ = free_frames(); }

    void TearDown() override {
        if (HasFatalFailure()) return; // it explains enough
        EXPECT_EQ(free_frames(), free_at_start_) << "free frames after the test (first) and before it: they must be the same";
        EXPECT_EQ(temporary_mappings(), 0u) << "temporary mappings left: some FrameMemory still lives";
        EXPECT_LE(most_temporary_mappings(), kMappingsAllowed) << "temporary mappings at one time: frame_memory() objects are short-lived";
    }

private:
    size_t free_at_start_ = 0;
};

} // namespace host
