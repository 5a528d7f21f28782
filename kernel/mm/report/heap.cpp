// The heap: slabinfo, and its lines in meminfo.
#include "lib/format.h"
#include "mm/heap/finding.h"
#include "mm/heap/slab.h"
#include "mm/report/reports.h"

namespace mm::report {

namespace {

struct Sum {
    size_t caches = 0;
    size_t objects = 0;
    size_t frames = 0;
};

void print_cache(void*, const slab::Statistics& cache) {
    if (cache.frames == 0) return;
    char share[12] = "-"; // where objects differ in size, their sum is not known
    const uint64_t used = uint64_t{cache.in_use} * cache.object_size;
    if (cache.object_size > 0) format_into(share, "{} %", used * 100 / (cache.frames * kPageSize));
    print("  {-24} {7} {8} {8} {8} {8}\n", cache.name, cache.object_size, cache.in_use, cache.capacity, cache.frames, share);
}

void add(void* context, const slab::Statistics& cache) {
    Sum& sum = *static_cast<Sum*>(context);
    ++sum.caches;
    sum.objects += cache.in_use;
    sum.frames += cache.frames;
}

} // namespace

void slabinfo() {
    print("cache                       bytes   in use capacity   frames     used\n");
    slab::for_each_cache(print_cache, nullptr);
    heap_summary();
}

void heap_summary() {
    Sum sum;
    slab::for_each_cache(add, &sum);
    print("heap: {} objects in {} KiB of frames, {} caches; {} findings\n", sum.objects, sum.frames * (kPageSize / 1024), sum.caches,
          findings::count());
}

} // namespace mm::report
