#include "lib/format.h"
#include "mm/paging/pte.h"
#include "mm/physical/frame_memory.h"
#include "mm/report/reports.h"

namespace mm::report {

namespace {

/// Where the contents of pages are.
enum class Place : uint8_t { Memory, SwapArea };

/// Pages in a row, in virtual memory and in physical memory or the swap area, with the same size and rights.
struct Run {
    uint64_t begin = 0;
    uint64_t end = 0;
    Place place = Place::Memory;
    uint32_t first = 0;  // frame or slot
    PageSize size = PageSize::Small;
    Rights rights;

    constexpr uint32_t pages() const { return static_cast<uint32_t>((end - begin) / kPageSize); }
    bool continues_with(const Run& next) const {
        return end == next.begin && place == next.place && first + pages() == next.first && size == next.size && rights == next.rights;
    }
};

void print_run(const Run& run) {
    if (run.begin == run.end) return;
    if (run.place == Place::SwapArea) {
        print("  {x8}-{x8} swapped        {8} KiB  to slot", run.begin, run.end - 1, (run.end - run.begin) / 1024);
        if (run.pages() == 1) print(" {}\n", run.first);
        else print("s {} to {}\n", run.first, run.first + run.pages() - 1);
        return;
    }
    print("  {x8}-{x8} -> {x8}  {8} KiB  {}  {} {}{}\n", run.begin, run.end - 1, FrameNumber(run.first).address(), (run.end - run.begin) / 1024,
          run.size == PageSize::Large ? "4 MiB" : "4 KiB", run.rights.privilege == Privilege::User ? "user" : "kernel",
          run.rights.access == Access::ReadWrite ? "rw" : "r-", run.rights.scope == Scope::Global ? " global" : "");
}

/// Collects pages and prints a run when the next page does not continue it.
class Runs {
public:
    void add(const Run& next) {
        if (run_.begin != run_.end && run_.continues_with(next)) {
            run_.end = next.end;
        } else {
            print_run(run_);
            run_ = next;
        }
    }
    void finish() const { print_run(run_); }

private:
    Run run_;
};

/// What both levels allow: a page is as writable and as open to users as its PDE lets it be.
Rights both(Rights upper, Rights lower) {
    return {upper.access == Access::ReadWrite ? lower.access : Access::ReadOnly,
            upper.privilege == Privilege::User ? lower.privilege : Privilege::Supervisor, lower.scope};
}

void add_table(Runs& runs, uint64_t begin, Pde pde) {
    const FrameMemory table = frame_memory(pde.frame());
    for (size_t i = 0; i < kPagesPerLargePage; ++i) {
        const Pte pte = table.as<Pte>()[i];
        const uint64_t at = begin + i * kPageSize;
        if (pte.is_present())
            runs.add({at, at + kPageSize, Place::Memory, pte.frame().value(), PageSize::Small, both(pde.rights(), pte.rights())});
        else if (pte.is_swapped())
            runs.add({at, at + kPageSize, Place::SwapArea, pte.slot().value(), PageSize::Small, {}});
    }
}

} // namespace

void page_tables(PageDirectory directory) {
    print("page directory at {x8}\n", directory.frame.address());
    const FrameMemory entries = frame_memory(directory.frame);
    Runs runs;
    for (size_t i = 0; i < kPagesPerLargePage; ++i) {
        const Pde pde = entries.as<Pde>()[i];
        const uint64_t begin = uint64_t{i} << kLargePageShift;
        if (pde.is_table()) add_table(runs, begin, pde);
        if (pde.is_large_page())
            runs.add({begin, begin + kLargePageSize, Place::Memory, pde.frame().value(), PageSize::Large, pde.rights()});
    }
    runs.finish();
}

} // namespace mm::report
