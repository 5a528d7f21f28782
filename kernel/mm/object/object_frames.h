/// @file
/// Where the pages of an object are: one slot for each. In a frame, of which the object has a reference; in the swap area, where the
/// object has an entry; or nowhere yet.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/paging/pte.h"

namespace mm {

/// A table of frames, empty at first. create() comes first, destroy() last.
class ObjectFrames {
public:
    /// @return Error::OutOfMemory
    Result<void> create(size_t pages);
    /// Drops all references, and the table.
    void destroy();

    bool has(size_t index) const { return entries_[index].is_present(); }
    bool is_swapped(size_t index) const { return entries_[index].is_swapped(); }
    /// Where in the swap area the page lies; SwapSlot(0) when it does not.
    SwapSlot slot(size_t index) const { return is_swapped(index) ? entries_[index].slot() : SwapSlot(0); }
    /// Takes over the caller's reference. The slot must be empty.
    void put(size_t index, FrameNumber frame);
    /// The frame in a slot that has one, with one more reference.
    FrameNumber share(size_t index);
    /// Reads a page that is swapped back: then it has a frame.
    /// @return Error::OutOfMemory, DeviceError; it is swapped still then
    Result<void> swap_in(size_t index);
    /// The page lies in the swap area from now on: the object's reference of the frame goes, and it takes over the caller's entry.
    void swap_out(size_t index, SwapSlot slot);
    /// Forgets the page, whose contents can be had elsewhere: the object's reference goes.
    void drop(size_t index);

private:
    Pte* entries_;  ///< As in a page table: present with a frame, a swap entry, or empty.
    size_t pages_;
};

} // namespace mm
