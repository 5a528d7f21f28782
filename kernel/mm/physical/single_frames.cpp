/// @file
/// What an allocator of single frames (lab 01) leaves out of the contract. Weak: the definitions of an allocator that knows runs
/// (lab 03) take their place when the kernel is linked.
#include "mm/physical/frame_allocator.h"

namespace mm::frame_allocator {

[[gnu::weak]] Result<size_t> free_runs(Zone, Order) { return Error::Unsupported; }
[[gnu::weak]] Result<uint32_t> fragmentation(Zone, Order) { return Error::Unsupported; }

} // namespace mm::frame_allocator
