// What left memory, and where it is: swap.
#include "mm/reclaim/swap.h"

#include "lib/format.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap_area.h"
#include "mm/report/reports.h"

namespace mm::report {

namespace {

constexpr size_t kKibPerPage = kPageSize / 1024;

void line(const char* what, size_t figure) { print("  {-28} {9}\n", what, figure); }

void print_area() {
    const swap::Statistics slots = swap::statistics();
    const swap_area::Statistics& disk = swap_area::statistics();
    print("{}: {} KiB, {} KiB of it free\n", swap_area::name(), slots.slots * kKibPerPage, slots.free * kKibPerPage);
    line("slots with a copy in memory", slots.copies);
    line("pages out", slots.pages_out);
    line("  without a write", slots.clean_out);
    line("pages in", slots.pages_in);
    line("  in memory still or already", slots.cache_hits);
    line("pages read ahead", slots.read_ahead);
    line("reads of the disk", disk.reads);
    line("  pages", disk.pages_read);
    line("  that failed", disk.read_errors);
    line("writes to the disk", disk.writes);
    line("  pages", disk.pages_written);
    line("  that failed", disk.write_errors);
}

} // namespace

void swap() {
    if (!reclaim::is_initialized()) {
        print("no swap area: pages stay in memory (make run SWAP=16)\n");
        return;
    }
    const reclaim::Counters& counters = reclaim::counters();
    print("policy {}: {} pages that can leave\n", reclaim::policy_name(), policy::count());
    line("victims", counters.victims);
    line("  that had to stay", counters.stayed);
    line("  pages of programs", counters.anonymous);
    line("  pages of shared memory", counters.shared);
    line("  pages of files", counters.files);
    if (reclaim::has_swap()) print_area();
}

} // namespace mm::report
