// What the kernel tells about itself.
#include <algorithm>
#include <cstddef>

#include "abi/counters.h"
#include "abi/process.h"
#include "drivers/power.h"
#include "drivers/timer.h"
#include "lib/memory.h"
#include "mm/fault/page_fault.h"
#include "mm/heap/slab.h"
#include "mm/object/commit.h"
#include "mm/object/memory_object.h"
#include "mm/paging/tlb.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frames.h"
#include "mm/physical/watermarks.h"
#include "mm/reclaim/load_control.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/swap_area.h"
#include "mm/report/reports.h"
#include "mm/space/address_space.h"
#include "mm/space/user_memory.h"
#include "proc/calls/calls.h"
#include "proc/oom.h"
#include "proc/process.h"
#include "proc/scheduler.h"
#include "proc/system_calls.h"

namespace proc::calls {

namespace {

constexpr uint32_t kMillisecondsPerTick = 1000 / kTimerHertz;

/// Text on its way to user memory. What does not fit is left out; after an error nothing more is written.
struct UserText {
    VirtAddr at;
    size_t left;
    size_t written = 0;
    Result<void> result = {};

    static void write(void* context, const char* text, size_t length) {
        auto& to = *static_cast<UserText*>(context);
        const size_t bytes = length < to.left ? length : to.left;
        if (bytes == 0 || to.result.is_error()) return;
        to.result = mm::copy_to_user(to.at, text, bytes);
        to.at = to.at + static_cast<uint32_t>(bytes);
        to.left -= bytes;
        to.written += bytes;
    }
};

/// The process at one place in the list, described.
struct Search {
    uint32_t left;
    bool found = false;
    abi::ProcessInfo info = {};
};

abi::FaultCounts fault_counts(const mm::fault::Counters& counters) {
    using mm::fault::How, mm::fault::Outcome;
    return {
        .resolved = counters.of(Outcome::Resolved),
        .retried = counters.of(Outcome::Retry),
        .signals = counters.of(Outcome::Signal),
        .out_of_memory = counters.of(Outcome::OutOfMemory),
        .kernel_tables = counters.of(How::KernelTable),
        .zero_frames = counters.of(How::ZeroFrame),
        .zeroed = counters.of(How::Zeroed),
        .large_pages = counters.of(How::LargePage),
        .object_pages = counters.of(How::ObjectPage),
        .object_copies = counters.of(How::ObjectCopy),
        .copied = counters.of(How::Copied),
        .last_owner = counters.of(How::LastOwner),
        .swapped_in = counters.of(How::SwappedIn),
        .stack_growths = counters.stack_growths,
        .neighbours = counters.neighbours,
    };
}

abi::TlbCounts tlb_counts() {
    const mm::tlb::Counters& counters = mm::tlb::counters();
    return {
        .pages = counters.pages,
        .flushes = counters.flushes,
        .flushes_with_global = counters.flushes_with_global,
        .switches = counters.switches,
        .switches_without = counters.switches_without,
    };
}

abi::ReclaimCounts reclaim_counts() {
    const mm::reclaim::Counters& counters = mm::reclaim::counters();
    abi::ReclaimCounts counts{};
    counts.victims = counters.victims;
    counts.stayed = counters.stayed;
    counts.files_out = counters.files;
    counts.wakeups = counters.wakeups;
    counts.direct = counters.safe_points + counters.made_room;
    if (!mm::reclaim::has_swap()) return counts;
    const mm::swap::Statistics swap = mm::swap::statistics();
    const mm::swap_area::Statistics& disk = mm::swap_area::statistics();
    counts.pages_out = swap.pages_out;
    counts.clean_out = swap.clean_out;
    counts.pages_in = swap.pages_in;
    counts.cache_hits = swap.cache_hits;
    counts.read_ahead = swap.read_ahead;
    counts.disk_reads = disk.reads;
    counts.disk_writes = disk.writes;
    counts.slots = swap.slots;
    counts.slots_free = swap.free;
    return counts;
}

abi::MemoryShortCounts memory_short_counts() {
    const oom::Counters& oom = oom::counters();
    const mm::load_control::Counters& load = mm::load_control::counters();
    return {.promises_refused = mm::commit::statistics().refused,
            .oom_asked = oom.asked,
            .oom_killed = oom.killed,
            .oom_reaped_frames = oom.reaped,
            .load_samples = load.samples,
            .load_overloads = load.overloads,
            .suspensions = load.holds,
            .resumptions = load.releases,
            .turns = load.turns,
            .suspended = mm::load_control::held,
            .demand = load.demand,
            .capacity = load.capacity};
}

void describe(const Process& process, abi::ProcessInfo& info) {
    info.pid = process.pid;
    info.parent = process.parent == nullptr ? 0 : process.parent->pid;
    info.state = process.state;
    info.milliseconds = process.timer_ticks * kMillisecondsPerTick;
    info.faults = fault_counts(process.faults);
    memcpy(info.name, process.name, sizeof info.name);
    if (process.space == nullptr) return;
    const mm::SpaceStatistics space = mm::spaces::statistics(process.space);
    info.mapped_pages = space.mapped;
    info.resident_pages = space.resident;
    info.swapped_pages = space.swapped;
    info.shared_pages = space.shared;
    info.page_table_frames = space.page_tables;
    info.promised_pages = space.promised;
    const mm::LoadNotes& load = mm::spaces::load_notes(static_cast<const mm::AddressSpace*>(process.space));
    info.working_set = load.working_set;
    info.fault_rate = load.fault_rate;
    info.suspensions = load.holds;
}

void visit(void* context, Process& process) {
    auto& search = *static_cast<Search*>(context);
    if (search.found || search.left-- > 0) return;
    search.found = true;
    describe(process, search.info);
}

/// How long the text about a space's areas is.
size_t maps_length(const mm::AddressSpace* space) {
    size_t total = 0;
    mm::report::maps(space, [](void* sum, const char*, size_t length) { *static_cast<size_t*>(sum) += length; }, &total);
    return total;
}

void add_zone(abi::MemoryInfo& info, mm::Zone zone) {
    info.total += mm::watermarks::frames_of_memory(zone);
    info.free += mm::frame_allocator::free_frames(zone) + mm::frame_cache::hot_count(zone);
    info.cached_zeroed += mm::frame_cache::zeroed_count(zone);
}

void add_heap_frames(void* context, const mm::slab::Statistics& cache) {
    static_cast<abi::MemoryInfo*>(context)->heap_frames += cache.frames;
}

} // namespace

Result<uint32_t> memory_info(const Arguments& arguments) {
    abi::MemoryInfo info{};
    for (const mm::Zone zone : mm::kAllZones) add_zone(info, zone);
    info.in_use = mm::frames::in_use();
    mm::slab::for_each_cache(add_heap_frames, &info);
    info.vmalloc_pages = mm::vmalloc::statistics().pages;
    info.file_frames = mm::file_frames();
    const mm::commit::Statistics promises = mm::commit::statistics();
    info.promised = promises.promised;
    info.promise_limit = promises.limit;
    info.most_promised = promises.most;
    info.overcommit = static_cast<uint32_t>(mm::commit::policy());
    info.processes = count();
    if (mm::reclaim::has_swap()) {
        const mm::swap::Statistics swap = mm::swap::statistics();
        info.swap_slots = swap.slots;
        info.swap_free = swap.free;
    }
    info.faults = mm::fault::counters().faults();
    info.signals = mm::fault::counters().of(mm::fault::Outcome::Signal);
    TRY(mm::write_user(VirtAddr(arguments[0]), info));
    return 0;
}

Result<uint32_t> maps(const Arguments& arguments) {
    const Process* const process = find(arguments[0]);
    if (process == nullptr || process->space == nullptr) return Error::NotFound;
    UserText text{VirtAddr(arguments[1]), arguments[2]};
    // A page fault while the areas are walked would change what is walked: the buffer is made ready first. That may make the text longer.
    for (size_t ready = 0, length; ready < (length = std::min(maps_length(process->space), text.left)); ready = length) {
        TRY(mm::prepare_user_write(text.at, length));
    }
    mm::report::maps(process->space, UserText::write, &text);
    TRY(text.result);
    return text.written;
}

Result<uint32_t> processes(const Arguments& arguments) {
    Search search{arguments[0]};
    for_each(visit, &search);
    if (!search.found) return Error::NotFound;
    TRY(mm::write_user(VirtAddr(arguments[1]), search.info));
    return 0;
}

Result<uint32_t> uptime(const Arguments&) { return timer_ticks() * kMillisecondsPerTick; }

Result<uint32_t> counters(const Arguments& arguments) {
    const scheduler::Statistics scheduled = scheduler::statistics();
    abi::Counters all{};
    all.faults = fault_counts(mm::fault::counters());
    all.tlb = tlb_counts();
    all.reclaim = reclaim_counts();
    all.switches = scheduled.switches;
    all.preemptions = scheduled.preemptions;
    all.system_calls = system_calls::count();
    all.timer_interrupts = timer_ticks();
    all.idle_interrupts = scheduled.idle_ticks;
    for (const mm::Zone zone : mm::kAllZones) {
        all.frames_free += mm::frame_allocator::free_frames(zone) + mm::frame_cache::hot_count(zone);
        all.frames_zeroed += mm::frame_cache::zeroed_count(zone);
    }
    all.frames_in_use = mm::frames::in_use();
    all.file_frames = mm::file_frames();
    all.memory_short = memory_short_counts();
    TRY(mm::write_user(VirtAddr(arguments[0]), all));
    return 0;
}

Result<uint32_t> shut_down(const Arguments&) {
    const Process& process = current();
    constexpr ProcessId init = 1;
    const bool may = process.pid == init || (process.parent != nullptr && process.parent->pid == init);
    if (!may) return Error::AccessDenied;
    shut_down_machine();
}

} // namespace proc::calls
