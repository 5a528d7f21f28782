/// @file
/// A machine with a heap: lab 04-heap.
#pragma once

#include "config.h"
#include "host/fixture.h"
#include "host/frames.h"
#include "host/heap_driver.h"
#include "mm/physical/frames.h"

/// With runs of frames and without: the heap must do in both cases.
class Heap : public host::MachineTest, public testing::WithParamInterface<host::Runs> {
protected:
    static constexpr bool kDebugging = CONFIG_MEMORY_DEBUGGING;

    void SetUp() override {
        host::boot({.memory = {host::bytes(0x10'0000, 0x2F'3000), host::bytes(0x100'0000, 0x160'1000), host::bytes(0x1000'0000, 0x1020'0000)},
                    .reserved = {host::bytes(0, 0x11'1000), host::bytes(0x123'0000, 0x123'8000)}});
        host::start_frames(GetParam());
        ASSERT_OK(mm::slab::initialize());
        mm::slab::shrink();
        remember_free_frames();
    }

    /// What is not in use goes back first.
    size_t free_frames() override {
        mm::slab::shrink();
        return host::free_frame_count();
    }

    /// Calls `attempt` with memory for no frame, one frame, and so on, until it succeeds. Each failure is OutOfMemory and leaves the
    /// frames as they were.
    template <typename Attempt>
    auto fail_at_every_allocation(Attempt attempt) {
        const size_t before = free_frames();
        for (size_t allowed = 0;; ++allowed) {
            mm::frames::fail_after(allowed);
            const auto result = attempt();
            mm::frames::fail_never();
            if (!result.is_error() || allowed == 200) {
                EXPECT_OK(result) << "with memory for " << allowed << " requests of frames";
                return result;
            }
            EXPECT_ERROR(Error::OutOfMemory, result) << "with memory for " << allowed << " requests of frames";
            EXPECT_EQ(free_frames(), before) << "free frames after a failure and before it, with memory for " << allowed << " requests of frames";
        }
    }

    /// The findings since the last look are just this one; `damage` is nullptr for bad frees.
    void expect_finding(mm::FindingKind kind, const void* object, const void* damage) {
        const auto found = host::new_findings();
        ASSERT_EQ(found.size(), kDebugging ? 1u : 0u) << "findings";
        if (!kDebugging) return;
        EXPECT_STREQ(mm::finding_name(found[0].kind), mm::finding_name(kind));
        EXPECT_EQ(found[0].object, object) << "object of the finding";
        EXPECT_EQ(found[0].damage, damage) << "first damaged byte";
    }
    void expect_no_finding() { EXPECT_EQ(host::new_findings().size(), 0u) << "findings without a cause"; }
};

#define HEAP_WITH_AND_WITHOUT_RUNS(Fixture)                                                                              \
    INSTANTIATE_TEST_SUITE_P(Frames, Fixture, testing::Values(host::Runs::Served, host::Runs::Unsupported),              \
                             [](const auto& info) { return info.param == host::Runs::Served ? "WithRuns" : "SingleOnly"; })
