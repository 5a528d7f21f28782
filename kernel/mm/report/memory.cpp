// Where memory is: meminfo and buddyinfo.
#include "lib/format.h"
#include "mm/physical/boot_memory.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/physical/watermarks.h"
#include "mm/physical/zone.h"
#include "mm/report/reports.h"

namespace mm::report {

namespace {

/// One figure per zone, summed up.
size_t in_all_zones(size_t (*of_zone)(Zone)) {
    size_t sum = 0;
    for (const Zone zone : kAllZones) sum += of_zone(zone);
    return sum;
}

/// Frames of memory that the boot took for good. Some reserved ranges lie where there is no memory; these do not count.
size_t reserved_frames() {
    size_t count = 0;
    for (const FrameRange range : boot_memory::usable()) {
        for (FrameNumber frame = range.begin; frame < range.end; ++frame)
            count += frame_table::info(frame).use == FrameUse::Reserved;
    }
    return count;
}

void print_line(const char* what, size_t frames) {
    print("  {-16} {9} KiB {9} frames\n", what, frames * (kPageSize / 1024), frames);
}

void print_orders() {
    print("  {-8}", "order");
    for (uint32_t order = 0; order <= kMaxOrder.value(); ++order) print(" {6}", order);
    print("\n");
}

/// One line of figures, one for each order. Zones without free memory have none.
void print_by_order(const char* name, Zone zone, Result<size_t> (*figure)(Zone, Order)) {
    print("  {-8}", name);
    for (uint32_t order = 0; order <= kMaxOrder.value(); ++order) print(" {6}", figure(zone, Order(order)).value());
    print("\n");
}

Result<size_t> fragmentation(Zone zone, Order order) { return TRY(frame_allocator::fragmentation(zone, order)); }

} // namespace

void memory() {
    print_line("memory", in_all_zones(watermarks::frames_of_memory));
    print_line("reserved", reserved_frames());
    print_line("free", in_all_zones(frame_allocator::free_frames));
    print_line("cached, hot", in_all_zones(frame_cache::hot_count));
    print_line("cached, zeroed", in_all_zones(frame_cache::zeroed_count));
    print_line("in use", frames::in_use());
    vmalloc_summary();
    heap_summary();
}

void free_runs() {
    if (frame_allocator::free_runs(Zone::Dma, Order(0)).is_error()) {
        print("this frame allocator does not know runs: it hands out single frames\n");
        return;
    }
    print("free runs of 2^order frames\n");
    print_orders();
    for (const Zone zone : kAllZones) print_by_order(zone_name(zone), zone, frame_allocator::free_runs);
    print("free memory that is of no use for a request of this order, per mille\n");
    print_orders();
    for (const Zone zone : kAllZones) print_by_order(zone_name(zone), zone, fragmentation);
}

} // namespace mm::report
