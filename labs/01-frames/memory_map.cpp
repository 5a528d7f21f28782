/// @file
/// Lab 01-frames, part one: what the kernel may believe of the firmware's memory map.
///
/// The contract is kernel/mm/physical/memory_map.h; the handout beside this file leads the way (steps 1 and 2). Functions and
/// types of your own go into the unnamed namespace.
#include "mm/physical/memory_map.h"

#include "lib/piece.h"

namespace mm::memory_map {
namespace {

// Two small questions answer the whole task. You might begin by writing them down as functions:
//
//   - Where does an entry end? (Mind base + length past 2^64, and 4 GiB, above which nothing interests you.)
//   - Is the byte at this address memory? (Some usable entry has it, and no entry of any other kind.)
//
// The answer to the second can change only where some entry begins or ends.

} // namespace

Result<size_t> sanitise(std::span<const MemoryMapEntry> /* firmware */, std::span<FrameRange> /* usable */) {
    // For each run of bytes that are memory: the frames that lie in it *completely* make one range. Which end of the run is
    // rounded up to a whole frame, and which down? What if nothing is left then?
    not_implemented("01-frames", "sanitise");
}

} // namespace mm::memory_map
