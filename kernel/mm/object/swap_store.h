/// @file
/// What memory objects and address spaces ask of the swap area, which lies floors above them: it registers here at boot. Both keep swap
/// slots where they kept frames, and each of these places counts as one *entry* of the slot (mm/reclaim/swap.h).
#pragma once

#include "lib/address.h"
#include "lib/result.h"
#include "mm/paging/pte.h"

namespace mm {

struct SwapStore {
    /// The frame with the slot's contents and a reference for the caller, in exchange for one entry.
    /// @return Error::OutOfMemory, DeviceError; the entry is the caller's still then
    Result<FrameNumber> (*load)(SwapSlot slot);
    /// One more entry.
    void (*share)(SwapSlot slot);
    /// One entry less: nobody will load it.
    void (*release)(SwapSlot slot);
    /// The last reference of a frame that load() has given, and that was never shown, is about to go.
    void (*forget)(FrameNumber frame);
};

namespace swap_store {

/// Once, at boot. Without it there are no swap slots, and nobody may ask.
void set(const SwapStore& store);
bool is_set();
const SwapStore& get();

} // namespace swap_store
} // namespace mm
