/// @file
/// One record per frame of physical memory: what it is used for and by how many.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"

namespace mm {

/// What a frame is, as the kernel (not the allocator) sees it.
enum class FrameUse : uint8_t {
    NotMemory = 0,  ///< A hole, or a device: never allocated.
    Reserved,       ///< Memory that is taken for good: BIOS, kernel image, frame table, modules.
    Free,           ///< In the hands of the frame allocator.
    Allocated,      ///< Handed out; `references` says to how many.
    Cached,         ///< Handed out to the frame cache (frame_cache.h), which keeps it at hand. Nobody's memory.
    Pageable,       ///< Allocated, and a page of user memory that may be reclaimed: `link` says where it is shown (mm/space/reverse_map.h).
};

/// One entry of the frame table. 16 bytes, so that an index is a shift.
struct FrameInfo {
    uint32_t references;    ///< Owners of an Allocated or Pageable frame, 0 in the frames of a run behind its first. A Cached frame has 1 already.
    FrameUse use;
    uint8_t allocator_tag;  ///< The frame allocator's own byte, in every state. 0 at first.
    uint8_t order;          ///< Of the run that begins with this Allocated frame.
    uint8_t owner_tag;      ///< The owner's own byte while the frame is Allocated; unspecified when it is handed out.
    uint32_t link[2];       ///< The frame allocator's own words while the frame is not Allocated, 0 at first; the owner's own words
                            ///< while it is (the heap finds a page's slab here), unspecified when it is handed out.
};
static_assert(sizeof(FrameInfo) == 16);

/// The table, indexed by frame number from 0 up to (not including) `frame_count()`.
namespace frame_table {

/// Takes frames for the table, one entry per frame up to the end of memory, and clears it. Before paging is on.
void build();

/// Sets each entry's `use` from the usable and the reserved ranges. Once, when all reservations are made.
void classify();

/// Frames that the table covers: one past the last frame of memory.
size_t frame_count();

/// The entry of `frame`, which must be below frame_count().
FrameInfo& info(FrameNumber frame);

} // namespace frame_table
} // namespace mm
