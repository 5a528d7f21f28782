/// @file
/// Lab 03-buddy: runs of 2^order frames.
///
/// The contract is kernel/mm/physical/frame_allocator.h; the handout beside this file leads the way (steps 2 to 9). Functions, types and
/// variables of your own go into the unnamed namespace.
#include "mm/physical/frame_allocator.h"

#include "config.h"
#include "lib/piece.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

// The state of your allocator. Decide first, then write:
//
//   - What does a frame's entry say, at any moment, when a run begins there, and when none does? FrameInfo::allocator_tag
//     (frame_table.h) is a byte per frame for that, yours in every state; it must hold an order, and whether the run is free.
//   - How do you find the smallest free run of a zone that is large enough, without looking at smaller ones?
//   - How do you take a free run out of its list when it is merged? It may be anywhere in there. FrameInfo::link are two words
//     that are yours while the run is free, and its owner's while it is not.
//
// Four small functions carry the whole lab: put a run into its list, take it out, split, merge. Draw each of them for one run of order 3
// before you write the first line.

} // namespace

Result<void> initialize(std::span<const FrameRange> /* usable */, std::span<const FrameRange> /* reserved */) {
    // Free is what lies in `usable` and in no reserved range. Cut each stretch of it into the largest runs that fit: how large may a run
    // be that begins at this frame?
    not_implemented("03-buddy", "initialize");
}

Result<FrameNumber> allocate(Order /* order */, Zone /* zone */, Contents /* contents */) {
    // The order first. Then this zone, and the lower ones; split what is too large. When no zone has such a run: an error, and nothing
    // has changed.
    not_implemented("03-buddy", "allocate");
}

Result<void> free(FrameNumber /* first */, Order /* order */) {
    // Refuse first, change afterwards: is this the first frame of a run in use, of exactly this order? Then merge for as long as the
    // buddy is free in one piece. `if constexpr (CONFIG_MEMORY_DEBUGGING)` guards the poison.
    not_implemented("03-buddy", "free");
}

size_t free_frames(Zone /* zone */) {
    // Frames, not runs, of exactly this zone. Keep a count: the kernel asks before every allocation.
    not_implemented("03-buddy", "free_frames");
}

Result<size_t> free_runs(Zone /* zone */, Order /* order */) {
    // How many free runs of exactly this order: what was merged counts as what it has become.
    not_implemented("03-buddy", "free_runs");
}

Result<uint32_t> fragmentation(Zone /* zone */, Order /* order */) {
    // Thousandths of the zone's free frames that lie in runs of lower orders. No frame free: 0.
    not_implemented("03-buddy", "fragmentation");
}

} // namespace mm::frame_allocator
