/// @file
/// A machine whose frame allocator is the piece: labs 01-frames and 03-buddy.
#pragma once

#include <vector>

#include "host/fixture.h"
#include "mm/physical/frame_allocator.h"

/// The largest order that the lab serves: test_single_frames.cpp and test_buddy.cpp say it.
extern const Order kServed;

class Frames : public host::MachineTest {
protected:
    void SetUp() override { start(host::ordinary_machine()); }

    void start(const host::Machine& machine) {
        host::boot(machine);
        ASSERT_OK(mm::frame_allocator::initialize(host::usable(), host::reserved()));
        remember_free_frames();
    }

    size_t free_frames() override {
        size_t sum = 0;
        for (const mm::Zone zone : mm::kAllZones) sum += mm::frame_allocator::free_frames(zone);
        return sum;
    }

    /// One frame after the other, until there is none.
    std::vector<FrameNumber> take_all(mm::Zone zone, mm::Contents contents = mm::Contents::Unspecified) {
        std::vector<FrameNumber> taken;
        for (;;) {
            const auto frame = mm::frame_allocator::allocate(Order(0), zone, contents);
            if (frame.is_error()) {
                EXPECT_EQ(frame.error(), Error::OutOfMemory) << "when no frame is left";
                return taken;
            }
            taken.push_back(frame.value());
            if (taken.size() > 1'000'000) {
                ADD_FAILURE() << "allocate() has handed out a million frames of a machine that has " << host::usable().size();
                return taken;
            }
        }
    }

    void free_all(const std::vector<FrameNumber>& frames) {
        for (const FrameNumber frame : frames) EXPECT_OK(mm::frame_allocator::free(frame, Order(0))) << frame;
    }
};

/// Its tests boot a machine of their own.
class FramesOf : public Frames {
protected:
    void SetUp() override {}
};
