/// @file
/// Which frames an object has: one slot for each of its pages. The object has a reference of each.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"

namespace mm {

/// A table of frames, empty at first. create() comes first, destroy() last.
class ObjectFrames {
public:
    /// @return Error::OutOfMemory
    Result<void> create(size_t pages);
    /// Drops all references, and the table.
    void destroy();

    bool has(size_t index) const { return frames_[index] != FrameNumber(0); }
    /// Takes over the caller's reference. The slot must be empty.
    void put(size_t index, FrameNumber frame);
    /// The frame in a slot that is not empty, with one more reference.
    FrameNumber share(size_t index);

private:
    FrameNumber* frames_;  ///< Frame 0 is reserved for ever: it means none.
    size_t pages_;
};

} // namespace mm
