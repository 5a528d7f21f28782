// The kernel's side of the fuzzer of system calls (grader/programs/fuzz): counts and remembers the calls, and looks between rounds whether
// the kernel's books contradict each other. Driven by grader/fuzz_syscalls.py; nothing here judges a submission.

#include <cstddef>
#include <cstdint>

#include "fs/volume.h"
#include "guest/harness.h"
#include "lib/format.h"
#include "lib/panic.h"
#include "mm/heap/slab.h"
#include "mm/paging/kernel_map.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/paging/layout.h"
#include "mm/paging/range_records.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "proc/console.h"
#include "proc/process.h"
#include "proc/system_calls.h"
#include "programs/fuzz_calls.h"

namespace fuzz_guest {

using harness::Call;

/// One call, as the host reads it from memory when the kernel has failed.
struct Recorded {
    uint32_t pid;
    uint32_t number;
    uint32_t arguments[6];
};

constexpr uint32_t kRecorded = 64;
Recorded ring[kRecorded];  ///< The last calls: number n is in ring[n % kRecorded].
uint32_t made;             ///< Calls so far.
uint32_t wanted;
uint32_t rounds;
uint32_t workers_exited, workers_killed;
uint32_t frames_before;
uint32_t printed;          ///< Bytes that programs, and messages of their deaths, have written.

namespace {

void swallow(const char*, size_t bytes) { printed += bytes; }

/// Page tables and records that the kernel keeps of its shared range for ever, however few of its pages are in use.
uint32_t frames_kept() {
    uint32_t sum = mm::range_records::frames();
    const auto directory = mm::frame_memory(mm::kernel_directory().frame);
    for (uint32_t i = mm::kUserEnd >> kLargePageShift; i < 1024; ++i) sum += directory.as<uint32_t>()[i] & 1;
    return sum;
}

/// Frames in use that somebody should give back one day.
uint32_t settled_frames() {
    mm::slab::shrink();
    mm::vmalloc::purge();
    mm::slab::shrink();
    return mm::frames::in_use() - frames_kept() - mm::kernel_stacks::frames_kept();
}

void check_process(void*, proc::Process& process) {
    if (process.space != nullptr) mm::spaces::check_invariants(process.space);
}

void check_kernel() {
    proc::for_each(check_process, nullptr);
    KASSERT("nothing in the heap is damaged", mm::slab::check() == 0);
    mm::vmalloc::check_invariants();
    size_t allocated = 0;
    for (uint32_t frame = 0; frame < mm::frame_table::frame_count(); ++frame)
        allocated += mm::frame_table::info(FrameNumber(frame)).use == mm::FrameUse::Allocated;
    KASSERT("as many frames are handed out as the frame table says", allocated == mm::frames::in_use());
}

uint32_t record(const proc::system_calls::Arguments& arguments) {
    if (made >= wanted) return 0;
    Recorded& last = ring[made++ % kRecorded];
    last = {.pid = proc::current().pid, .number = arguments[0] >> 16, .arguments = {}};
    for (size_t i = 0; i < 5; ++i) last.arguments[i] = arguments[i + 1];
    return 1;
}

/// All workers of a round are gone, and with them all that they had.
uint32_t begin_round() {
    check_kernel();
    const uint32_t frames = settled_frames();
    if (rounds++ == 0) frames_before = frames;
    if (frames != frames_before) {
        print("\n{} frames in use, {} before the first round\n", frames, frames_before);
        PANIC("after a round not every frame is back");
    }
    harness_checkpoint("round");
    return made < wanted;
}

Result<uint32_t> debug(const proc::system_calls::Arguments& arguments) {
    switch (static_cast<FuzzCall>(arguments[0] & 0xFFFF)) {
    case FuzzCall::Record: return record(arguments);
    case FuzzCall::Sixth: ring[(made - 1) % kRecorded].arguments[5] = arguments[1]; return uint32_t{0};
    case FuzzCall::Ended: ++(arguments[1] & 0xFF ? workers_killed : workers_exited); return uint32_t{0};
    case FuzzCall::Round: return begin_round();
    }
    return Error::Unsupported;
}

/// fuzz.run SEED CALLS PROCESSES -> wait status of the fuzzer, calls, rounds, workers that exited and were killed, frames lost, processes left
void run(Call& call) {
    wanted = call.number(1);
    const uint32_t frames = settled_frames();
    const size_t processes = proc::count();
    char seed[12], workers[12];
    format_into(seed, "{}", call.number(0));
    format_into(workers, "{}", call.number(2));
    const char* const arguments[] = {"fuzz", seed, workers};
    proc::console::set_sink(swallow);
    proc::system_calls::set_debug_handler(debug);
    const Result<proc::ProcessId> fuzzer = proc::spawn("/bin/fuzz", arguments);
    if (fuzzer.is_error()) return call.reply(fuzzer.error());
    const Result<proc::Ended> ended = proc::wait(fuzzer.value());
    proc::system_calls::set_debug_handler(nullptr);
    proc::console::set_sink(nullptr);
    if (ended.is_error()) return call.reply(ended.error());
    check_kernel();
    call.reply({ended.value().wait_status, made, rounds, workers_exited, workers_killed, settled_frames() - frames,
                static_cast<uint32_t>(proc::count() - processes)});
}

/// fuzz.unmount: Error::Busy when a process has left a file open.
void unmount(Call& call) { call.reply(fs::unmount()); }

/// fuzz.frames -> frames in use that somebody should give back one day
void frames(Call& call) { call.reply({settled_frames()}); }

HARNESS_VERB("fuzz.frames", frames);
HARNESS_VERB("fuzz.run", run);
HARNESS_VERB("fuzz.unmount", unmount);

} // namespace
} // namespace fuzz_guest
