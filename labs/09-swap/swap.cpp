/// @file
/// Lab 09-swap: the slots of the swap area, and the way of a page out of memory and back. The contract is mm/reclaim/swap.h.
#include "mm/reclaim/swap.h"

#include "lib/piece.h"

namespace mm::swap {

Result<void> initialize() { not_implemented("09-swap", "initialize"); }

size_t swap_out(std::span<const FrameNumber>) { not_implemented("09-swap", "swap_out"); }

Result<void> swap_in(AddressSpace*, const Area&, VirtAddr) { not_implemented("09-swap", "swap_in"); }

Result<SwapSlot> store(FrameNumber, bool) { not_implemented("09-swap", "store"); }

Result<FrameNumber> load(SwapSlot) { not_implemented("09-swap", "load"); }

void share(SwapSlot) { not_implemented("09-swap", "share"); }

void release(SwapSlot) { not_implemented("09-swap", "release"); }

Result<void> clean(FrameNumber) { not_implemented("09-swap", "clean"); }

void forget(FrameNumber) { not_implemented("09-swap", "forget"); }

size_t shrink(size_t) { not_implemented("09-swap", "shrink"); }

SwapSlot slot_of(FrameNumber) { not_implemented("09-swap", "slot_of"); }

uint32_t entries(SwapSlot) { not_implemented("09-swap", "entries"); }

bool holds(FrameNumber) { not_implemented("09-swap", "holds"); }

Statistics statistics() { not_implemented("09-swap", "statistics"); }

} // namespace mm::swap
