/// @file
/// What the kernel says about the swap area, in one place where the host reads it while the machine stands still
/// (grader/labs/swap_audit.py), to be compared with page tables and disk.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/harness.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/swap_area.h"

namespace programs_guest {

inline constexpr size_t kMaxSlots = 16384;       ///< 64 MiB.
inline constexpr size_t kMaxCopies = 4096;
inline constexpr size_t kMaxObjectPages = 4096;

/// A slot, and the frame that is its copy.
struct CopyWords {
    uint32_t slot, frame;
};

/// A page of a shared memory that lies in the swap area.
struct ObjectPageWords {
    uint32_t object, index, slot;
};

/// The swap area at one moment. The host reads the words in this order.
struct SwapView {
    uint32_t slots;                               ///< Of the area, header and bad ones included; 0 without an area.
    uint32_t usable, free, copies, pages_out, clean_out, pages_in, cache_hits, read_ahead;  ///< swap::Statistics.
    uint32_t reads, writes, pages_read, pages_written, read_errors, write_errors;           ///< swap_area::Statistics.
    uint32_t copy_count;                          ///< All there are; the first kMaxCopies are shown.
    uint32_t object_page_count;                   ///< So for pages of shared memories that any process maps.
    uint16_t entries[kMaxSlots];                  ///< swap::entries(), as far as 16 bits go.
    CopyWords copy[kMaxCopies];                   ///< Every frame that swap::slot_of() has a slot for.
    ObjectPageWords object_pages[kMaxObjectPages];
};

/// The latest one.
extern SwapView swap_view;

/// Fills in `swap_view`. The piece is called, in the name of `call`, whose clock must stand still.
void look_at_swap(harness::Call& call);

} // namespace programs_guest
