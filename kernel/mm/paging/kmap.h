/// @file
/// Temporary mappings of frames that the identity mapping does not reach. Used by frame_memory() only.
#pragma once

#include "lib/address.h"

namespace mm::kmap {

/// Takes over the page table of the window at kKmapBegin.
void initialize(FrameNumber page_table);

/// Maps `frame` in a free slot and returns its address. Panics when all kKmapSlots are taken: somebody holds too many.
void* map(FrameNumber frame);

/// Gives the slot of an address from map() back, and forgets its translation. Other addresses are passed over.
void unmap(void* address);

} // namespace mm::kmap
