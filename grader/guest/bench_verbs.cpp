// Operations for `make bench`: one verb performs one kind of allocation and its free many times, and takes the ticks of every call. The
// emulated CPU counts instructions, so a figure is exact, and a median over many rounds hides no noise but the odd refill.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "arch/cpu.h"
#include "guest/bench_samples.h"
#include "guest/harness.h"
#include "lib/text.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frames.h"

namespace {

using harness::Call;
using mm::Contents;
using mm::Zone;

using bench::Samples;

constinit Samples takes;
constinit Samples gives;

/// `prepare` runs before every round, without being measured; `take` returns a Result, whose value `give` hands back.
template <typename Prepare, typename Take, typename Give>
void measure(Call& call, Prepare prepare, Take take, Give give) {
    const size_t rounds = std::clamp<size_t>(call.number(1), 1, bench::kMaxSamples);
    const uint64_t overhead = bench::clock_overhead();
    takes.clear();
    gives.clear();
    for (size_t i = 0; i < rounds; ++i) {
        prepare();
        const uint64_t begin = Cpu::ticks();
        const auto taken = take();
        const uint64_t end = Cpu::ticks();
        if (taken.is_error()) return call.reply(taken.error());
        takes.add(end - begin - overhead);
        const uint64_t give_begin = Cpu::ticks();
        const Result<void> given = give(taken.value());
        const uint64_t give_end = Cpu::ticks();
        if (given.is_error()) return call.reply(given.error());
        gives.add(give_end - give_begin - overhead);
    }
    call.reply({takes.median(), takes.worst(), gives.median(), gives.worst()});
}

void nothing() {}

void hot_page(Call& call) {
    measure(call, nothing, [] { return mm::frames::allocate(Zone::Normal, Contents::Unspecified); }, mm::frames::release);
}

void zeroed_page(Call& call) {
    measure(call, [] { mm::frame_cache::fill_zeroed(mm::kZoneCount * mm::frame_cache::kZeroedFrames); }, [] { return mm::frames::allocate(Zone::Normal, Contents::Zeroed); },
            mm::frames::release);
}

/// The student's piece alone, without the kernel's books above it.
template <uint32_t kOrder>
void bare_run(Call& call) {
    measure(call, nothing, [] { return mm::frame_allocator::allocate(Order(kOrder), Zone::Normal, Contents::Unspecified); },
            [](FrameNumber first) { return mm::frame_allocator::free(first, Order(kOrder)); });
}

template <uint32_t kOrder>
void run(Call& call) {
    measure(call, nothing, [] { return mm::frames::allocate_run(Order(kOrder), Zone::Normal, Contents::Unspecified); },
            [](FrameNumber first) { return mm::frames::release_run(first, Order(kOrder)); });
}

template <size_t kBytes>
void heap_block(Call& call) {
    measure(call, nothing, [] { return mm::kmalloc(kBytes); }, [](void* block) { return mm::kfree(block); });
}

/// Objects of 64 bytes, from a cache that lives as long as the measurement.
void slab_object(Call& call) {
    static constinit mm::slab::Cache* cache = nullptr;
    const auto created = mm::slab::create({.name = "bench", .size = 64});
    if (created.is_error()) return call.reply(created.error());
    cache = created.value();
    measure(call, nothing, [] { return mm::slab::allocate(cache); }, [](void* object) { return mm::slab::free(cache, object); });
    if (mm::slab::destroy(cache).is_error()) harness::bad_script("an empty cache cannot be destroyed", "bench");
}

void vmalloc_area(Call& call) {
    measure(call, nothing, [] { return mm::vmalloc::allocate(64 * 1024); }, [](void* area) { return mm::vmalloc::free(area); });
}

struct Operation {
    const char* name;
    void (*perform)(Call& call);
};

constexpr Operation kOperations[] = {
    {"hot-page", hot_page},   {"zeroed-page", zeroed_page},       {"frame", bare_run<0>},    {"frames-3", bare_run<3>},
    {"run-3", run<3>},        {"run-10", run<10>},                {"kmalloc-32", heap_block<32>},
    {"kmalloc-1000", heap_block<1000>}, {"slab", slab_object},    {"vmalloc-64k", vmalloc_area},
};

/// bench.measure OPERATION ROUNDS -> ticks of the allocation: median, worst; of the free: median, worst
void perform(Call& call) {
    for (const Operation& operation : kOperations) {
        if (text_equal(operation.name, call.word(0))) return operation.perform(call);
    }
    harness::bad_script("nothing to measure", call.word(0));
}

HARNESS_VERB("bench.measure", perform);

} // namespace
