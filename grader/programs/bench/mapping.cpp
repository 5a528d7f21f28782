/// @file
/// Areas come and go.
#include "bench.h"
#include "samples.h"

namespace {

constexpr size_t kRounds = 500;
constexpr size_t kLongRounds = 50;
constexpr size_t kPages = 256;

/// munmap() of pages that were all written to, for each of them.
void measure_unmap_resident() {
    const uint32_t overhead = clock_overhead();
    samples.clear();
    for (size_t round = 0; round < kLongRounds; ++round) {
        char* const pages = map_pages(kPages);
        for (size_t i = 0; i < kPages; ++i) pages[i * kPageBytes] = 1;
        const bool is_profiled = round == kProfiledRound && is_wanted("munmap-page");
        if (is_profiled) checkpoint("begin");
        const uint64_t before = now();
        munmap(pages, kPages * kPageBytes);
        samples.add((static_cast<uint32_t>(now() - before) - overhead) / kPages);
        if (is_profiled) checkpoint("end");
    }
    samples.print("munmap-page");
}

} // namespace

void bench_mapping() {
    measure("mmap-munmap", kRounds, [](size_t) { munmap(map_pages(1), kPageBytes); });
    measure("mmap-touch-munmap", kRounds, [](size_t) {
        char* const page = map_pages(1);
        *page = 1;
        munmap(page, kPageBytes);
    });
    char* const page = map_pages(2);
    page[kPageBytes] = *page = 1;
    measure("mprotect", kRounds, [page](size_t i) {
        mprotect(page, kPageBytes, i % 2 == 0 ? abi::PROT_READ : abi::PROT_READ | abi::PROT_WRITE);
    });
    munmap(page, 2 * kPageBytes);
    measure_unmap_resident();
}
