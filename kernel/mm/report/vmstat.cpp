// What page faults did, and the rest that is counted: vmstat. The program of that name has the same words.
#include "lib/format.h"
#include "mm/fault/page_fault.h"
#include "mm/object/memory_object.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap.h"
#include "mm/report/reports.h"

namespace mm::report {

namespace {

using fault::Counters, fault::How, fault::Outcome;

void line(const char* what, size_t figure) { print("{-32} {9}\n", what, figure); }

/// A part of the figure above it.
void part(const char* what, size_t figure) { print("  {-30} {9}\n", what, figure); }

void print_ways(const Counters& counters) {
    for (unsigned how = static_cast<unsigned>(How::None) + 1; how < fault::kHows; ++how)
        print("    {-28} {9}\n", fault::how_text(static_cast<How>(how)), counters.hows[how]);
}

void print_tlb() {
    const tlb::Counters& counters = tlb::counters();
    line("TLB, pages forgotten", counters.pages);
    line("TLB, flushes", counters.flushes + counters.flushes_with_global);
    part("global pages as well", counters.flushes_with_global);
    line("TLB, switches of directories", counters.switches);
    part("switches without forgetting", counters.switches_without);
}

void print_reclaim() {
    if (!reclaim::is_initialized()) return;
    const reclaim::Counters& counters = reclaim::counters();
    if (reclaim::has_swap()) {
        const swap::Statistics swap = swap::statistics();
        line("pages swapped out", swap.pages_out);
        part("without a write", swap.clean_out);
        line("pages swapped in", swap.pages_in);
        part("in memory still or already", swap.cache_hits);
        line("read together with others", swap.read_ahead);
    }
    line("pages of files dropped", counters.files);
    line("victims chosen", counters.victims);
    part("that had to stay", counters.stayed);
    line("wake-ups of the reclaimer", counters.wakeups);
    line("direct reclaims", counters.safe_points + counters.made_room);
}

} // namespace

void faults(const Counters& counters) {
    line("page faults", counters.faults());
    part("resolved", counters.of(Outcome::Resolved));
    print_ways(counters);
    part("possible already", counters.of(Outcome::Retry));
    part("signal", counters.of(Outcome::Signal));
    part("out of memory", counters.of(Outcome::OutOfMemory));
    line("neighbours of pages of files", counters.neighbours);
    line("growths of stacks", counters.stack_growths);
}

void vmstat() {
    faults(fault::counters());
    print_tlb();
    print_reclaim();
    size_t free = 0, zeroed = 0;
    for (const Zone zone : kAllZones) {
        free += frame_allocator::free_frames(zone) + frame_cache::hot_count(zone);
        zeroed += frame_cache::zeroed_count(zone);
    }
    line("frames, free", free);
    line("frames, free and zeroed", zeroed);
    line("frames, in use", frames::in_use());
    part("pages of files", file_frames());
}

} // namespace mm::report
