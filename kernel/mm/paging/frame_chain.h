/// @file
/// Frames that are on their way: taken but not yet mapped, or unmapped but not yet given back.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace mm {

/// A stack of any number of allocated frames. It needs no memory: each frame's entry in the frame table names the next one, in a
/// word that belongs to the frame's owner.
///
/// It exists so that work can be done in the order *take everything, then change page tables*: what fails, fails while there is
/// nothing to undo but this chain.
class FrameChain {
public:
    FrameChain() : entries_(&frame_table::info(FrameNumber(0))) {}
    FrameChain(const FrameChain&) = delete;
    FrameChain& operator=(const FrameChain&) = delete;

    /// Adds `count` frames from the frame allocator.
    /// @return Error::OutOfMemory when there are not so many; the chain is empty then, all its frames are given back
    Result<void> take(size_t count, Zone zone, Contents contents) {
        for (size_t i = 0; i < count; ++i) {
            const Result<FrameNumber> frame = frames::allocate(zone, contents);
            if (frame.is_error()) {
                release_all();
                return frame.error();
            }
            push(frame.value());
        }
        return {};
    }

    /// Adds a frame that its owner has done with.
    void push(FrameNumber frame) {
        entries_[frame.value()].link[0] = first_.value();
        first_ = frame;
        ++count_;
    }

    /// Takes the frame that came last. The chain must hold one.
    FrameNumber pop() {
        const FrameNumber frame = first_;
        first_ = FrameNumber(entries_[frame.value()].link[0]);
        --count_;
        return frame;
    }

    size_t count() const { return count_; }

    /// Gives all frames back. @return how many
    size_t release_all();

private:
    FrameInfo* entries_;   ///< The frame table.
    FrameNumber first_;
    size_t count_ = 0;
};

} // namespace mm
