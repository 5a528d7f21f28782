#include "mm/reclaim/oom.h"

#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/swap_area.h"

namespace mm::oom {

Size size_of(const AddressSpace* space) {
    return {.resident = spaces::resident_pages(space), .swapped = spaces::swapped_pages(space), .page_tables = spaces::page_tables(space)};
}

Remains remains() {
    Remains left{};
    for (const Zone zone : kAllZones)
        left.free_frames += frame_allocator::free_frames(zone) + frame_cache::hot_count(zone) + frame_cache::zeroed_count(zone);
    if (reclaim::is_initialized() && swap_area::is_open()) {
        const swap::Statistics swap = swap::statistics();
        left.slots = swap.slots;
        left.free_slots = swap.free;
    }
    return left;
}

} // namespace mm::oom
