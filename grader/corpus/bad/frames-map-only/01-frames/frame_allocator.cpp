/// @file
/// Lab 01-frames, part two: who owns which frame.
///
/// The contract is kernel/mm/physical/frame_allocator.h; the handout beside this file leads the way (steps 3 to 7). This lab
/// serves order 0, single frames, only. Functions, types and variables of your own go into the unnamed namespace.
#include "mm/physical/frame_allocator.h"

#include "config.h"
#include "lib/piece.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

// The state of your allocator. Decide first, then write:
//
//   - How do you find a free frame of a zone without searching? (A list, a bitmap with a summary above it, ...)
//   - How do you tell a frame that is handed out from one that is free, reserved, or not there at all? free() must know.
//     FrameInfo::allocator_tag (frame_table.h) is a byte per frame for such a purpose. Leave FrameInfo::use and
//     FrameInfo::references alone: they belong to the kernel.
//
// Draw up the states a frame can be in, and which function takes it from which to which, before you write the first line.

} // namespace

Result<void> initialize(std::span<const FrameRange> /* usable */, std::span<const FrameRange> /* reserved */) {
    // Free is what lies in `usable` and in no reserved range. Reserved ranges overlap each other, reach outside `usable`,
    // and past frame_table::frame_count().
    return {};
}

Result<FrameNumber> allocate(Order /* order */, Zone /* zone */, Contents /* contents */) {
    // This zone first, then the lower ones. When all of them are empty: an error, and nothing has changed.
    not_implemented("01-frames", "allocate");
}

Result<void> free(FrameNumber /* first */, Order /* order */) {
    // Refuse first, change afterwards. `if constexpr (CONFIG_MEMORY_DEBUGGING)` guards the poison.
    not_implemented("01-frames", "free");
}

size_t free_frames(Zone /* zone */) {
    // Of exactly this zone. Keep a count: the kernel's reports ask often.
    not_implemented("01-frames", "free_frames");
}

} // namespace mm::frame_allocator
