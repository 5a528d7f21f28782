/// @file
/// Memory for the records of virtual ranges. The heap lies a floor above and takes memory from vmalloc, so vmalloc's own records
/// cannot come from it: they are cut from frames.
#pragma once

#include <cstddef>

#include "lib/result.h"

namespace mm {
struct VirtualRange;
}

namespace mm::range_records {

/// A new record. @return Error::OutOfMemory when there is no frame for it
Result<VirtualRange*> take();

/// Takes a record back. A frame without records goes back to the frame allocator.
void give_back(VirtualRange* record);

/// Frames that hold records now.
size_t frames();

} // namespace mm::range_records
