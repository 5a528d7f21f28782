/// @file
/// vmstat: what the kernel has counted since the boot. vmstat -p PID: the page faults of one process. vmstat SECONDS [TIMES]: what came
/// to it, a line for every so many seconds.
#include "user/library.h"

namespace {

constexpr uint32_t kUsualTimes = 10;
constexpr int kHeadingEvery = 20;

void line(const char* what, int indent, uint32_t count) { printf("%*s%-*s %9u\n", indent, "", 32 - indent, what, count); }

/// In the order and words of the monitor's vmstat.
void show_faults(const abi::FaultCounts& faults) {
    line("page faults", 0, faults.all());
    line("resolved", 2, faults.resolved);
    for (const FaultName& way : kFaultWays) line(way.name, 4, faults.*way.count);
    line("possible already", 2, faults.retried);
    line("signal", 2, faults.signals);
    line("out of memory", 2, faults.out_of_memory);
    line("neighbours of pages of files", 0, faults.neighbours);
    line("growths of stacks", 0, faults.stack_growths);
}

void show_tlb(const abi::TlbCounts& tlb) {
    line("TLB, pages forgotten", 0, tlb.pages);
    line("TLB, flushes", 0, tlb.flushes + tlb.flushes_with_global);
    line("global pages as well", 2, tlb.flushes_with_global);
    line("TLB, switches of directories", 0, tlb.switches);
    line("switches without forgetting", 2, tlb.switches_without);
}

/// Nothing where there is no swap area.
void show_reclaim(const abi::ReclaimCounts& reclaim) {
    if (reclaim.slots == 0 && reclaim.victims == 0) return;
    line("pages swapped out", 0, reclaim.pages_out);
    line("without a write", 2, reclaim.clean_out);
    line("pages swapped in", 0, reclaim.pages_in);
    line("in memory still or already", 2, reclaim.cache_hits);
    line("read together with others", 0, reclaim.read_ahead);
    line("pages of files dropped", 0, reclaim.files_out);
    line("victims chosen", 0, reclaim.victims);
    line("that had to stay", 2, reclaim.stayed);
    line("wake-ups of the reclaimer", 0, reclaim.wakeups);
    line("direct reclaims", 0, reclaim.direct);
    line("swap disk, reads", 0, reclaim.disk_reads);
    line("swap disk, writes", 0, reclaim.disk_writes);
    line("swap slots", 0, reclaim.slots);
    line("free", 2, reclaim.slots_free);
}

int failed(const char* what, int error) {
    printf("vmstat: %s%s%s\n", what, *what ? ": " : "", error_text(error));
    return 1;
}

int show_all() {
    abi::Counters now;
    if (const int error = counters(&now); error < 0) return failed("", error);
    show_faults(now.faults);
    show_tlb(now.tlb);
    show_reclaim(now.reclaim);
    line("frames, free", 0, now.frames_free);
    line("frames, free and zeroed", 0, now.frames_zeroed);
    line("frames, in use", 0, now.frames_in_use);
    line("pages of files", 2, now.file_frames);
    line("switches", 0, now.switches);
    line("preemptions", 2, now.preemptions);
    line("system calls", 0, now.system_calls);
    line("timer interrupts", 0, now.timer_interrupts);
    line("in the idle task", 2, now.idle_interrupts);
    return 0;
}

int show_process(const char* word) {
    uint32_t pid;
    if (!parse_number(word, pid)) return -1;
    abi::ProcessInfo info;
    if (const int error = process_info_of(static_cast<int>(pid), &info); error < 0) return failed(word, error);
    show_faults(info.faults);
    return 0;
}

void heading() { printf("FAULTS  ZERO ZEROED OBJECT  COW OWNER   IN  OUT SWITCH CALLS IDLE   FREE IN USE\n"); }

/// What came between two moments; the last two columns are of the second.
void row(const abi::Counters& before, const abi::Counters& now) {
    const auto came = [&](uint32_t abi::FaultCounts::*count) { return now.faults.*count - before.faults.*count; };
    const uint32_t timer = now.timer_interrupts - before.timer_interrupts;
    const uint32_t idle = timer ? (now.idle_interrupts - before.idle_interrupts) * 100 / timer : 0;
    printf("%6u %5u %6u %6u %4u %5u %4u %4u %6u %5u %3u%% %6u %6u\n", now.faults.all() - before.faults.all(),
           came(&abi::FaultCounts::zero_frames), came(&abi::FaultCounts::zeroed),
           came(&abi::FaultCounts::object_pages) + came(&abi::FaultCounts::object_copies), came(&abi::FaultCounts::copied),
           came(&abi::FaultCounts::last_owner), came(&abi::FaultCounts::swapped_in),
           now.reclaim.pages_out - before.reclaim.pages_out, now.switches - before.switches,
           now.system_calls - before.system_calls, idle, now.frames_free + now.frames_zeroed, now.frames_in_use);
}

int repeat(uint32_t seconds, uint32_t times) {
    abi::Counters before, now;
    if (const int error = counters(&before); error < 0) return failed("", error);
    for (uint32_t i = 0; i < times; ++i) {
        if (i % kHeadingEvery == 0) heading();
        if (const int error = sleep(seconds * 1000); error < 0) return failed("", error);
        if (const int error = counters(&now); error < 0) return failed("", error);
        row(before, now);
        before = now;
    }
    return 0;
}

/// @return the exit status; negative: the words mean nothing
int run(int argc, char** argv) {
    if (argc == 1) return show_all();
    if (strcmp(argv[1], "-p") == 0) return argc == 3 ? show_process(argv[2]) : -1;
    uint32_t seconds, times = kUsualTimes;
    if (argc > 3 || !parse_number(argv[1], seconds) || seconds == 0 || seconds > 3600) return -1;
    if (argc == 3 && !parse_number(argv[2], times)) return -1;
    return repeat(seconds, times);
}

} // namespace

int main(int argc, char** argv) {
    const int status = run(argc, argv);
    if (status < 0) printf("usage: vmstat, vmstat -p PID, vmstat SECONDS [TIMES]\n");
    return status < 0 ? 2 : status;
}
