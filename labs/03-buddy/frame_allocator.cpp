/// @file
/// Lab 03-buddy: runs of 2^order frames. The contract is kernel/mm/physical/frame_allocator.h; the handout beside this file
/// leads the way. Functions, types and variables of your own go into the unnamed namespace.
#include "mm/physical/frame_allocator.h"

#include "config.h"
#include "lib/piece.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {

Result<void> initialize(std::span<const FrameRange> /* usable */, std::span<const FrameRange> /* reserved */) {
    not_implemented("03-buddy", "initialize");
}

Result<FrameNumber> allocate(Order /* order */, Zone /* zone */, Contents /* contents */) { not_implemented("03-buddy", "allocate"); }

Result<void> free(FrameNumber /* first */, Order /* order */) { not_implemented("03-buddy", "free"); }

size_t free_frames(Zone /* zone */) { not_implemented("03-buddy", "free_frames"); }

Result<size_t> free_runs(Zone /* zone */, Order /* order */) { not_implemented("03-buddy", "free_runs"); }

Result<uint32_t> fragmentation(Zone /* zone */, Order /* order */) { not_implemented("03-buddy", "fragmentation"); }

} // namespace mm::frame_allocator
