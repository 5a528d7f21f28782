#include "lib/format.h"
#include "mm/physical/boot_memory.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/watermarks.h"
#include "mm/physical/zone.h"
#include "mm/report/reports.h"

namespace mm::report {

namespace {

const char* kind_name(MemoryKind kind) {
    switch (kind) {
    case MemoryKind::Usable: return "usable";
    case MemoryKind::Reserved: return "reserved";
    case MemoryKind::AcpiReclaimable: return "ACPI tables";
    case MemoryKind::AcpiNonVolatile: return "ACPI storage";
    case MemoryKind::Bad: return "bad memory";
    }
    return "unknown kind";
}

const char* use_name(FrameUse use) {
    switch (use) {
    case FrameUse::NotMemory: return "not memory";
    case FrameUse::Reserved: return "reserved";
    case FrameUse::Free: return "free";
    case FrameUse::Allocated: return "allocated";
    case FrameUse::Cached: return "cached";
    case FrameUse::Pageable: return "pageable";
    }
    return "?";
}

void print_range(FrameRange range, const char* what) {
    // The last byte, not the end: the end of memory at 4 GiB would print as 0.
    const uint32_t last = range.end.value() * uint32_t{kPageSize} - 1;
    print("  {x8}-{x8} {8} KiB  {}\n", range.begin.address(), last, range.count() * 4, what);
}

} // namespace

void memory_map() {
    print("firmware's memory map\n");
    for (const MemoryMapEntry& entry : boot_memory::firmware())
        print("  {x16} + {x16}  {}\n", entry.base, entry.length, kind_name(entry.kind));
    print("usable memory\n");
    for (const FrameRange range : boot_memory::usable()) print_range(range, "usable");
    print("reserved memory\n");
    for (size_t i = 0; i < boot_memory::reserved().size(); ++i)
        print_range(boot_memory::reserved()[i], boot_memory::reserved_name(i));
}

void zones() {
    print("zone      frames of memory     free   cached     min     low    high\n"); // cached ones are free, too
    for (const Zone zone : kAllZones) {
        const size_t cached = frame_cache::count(zone);
        const Watermarks marks = watermarks::of(zone);
        print("  {-7} {16} {8} {8} {7} {7} {7}\n", zone_name(zone), watermarks::frames_of_memory(zone),
              frame_allocator::free_frames(zone) + cached, cached, marks.min, marks.low, marks.high);
    }
}

void frames() {
    print("frame table\n");
    const size_t count = frame_table::frame_count();
    for (size_t begin = 0, end; begin < count; begin = end) {
        const FrameUse use = frame_table::info(FrameNumber(begin)).use;
        for (end = begin + 1; end < count && frame_table::info(FrameNumber(end)).use == use;) ++end;
        print_range({FrameNumber(begin), FrameNumber(end)}, use_name(use));
    }
}

} // namespace mm::report
