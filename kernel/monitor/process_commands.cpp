#include <cstddef>
#include <cstdint>
#include <span>

#include "abi/process.h"
#include "abi/signals.h"
#include "drivers/timer.h"
#include "fs/volume.h"
#include "lib/format.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/report/reports.h"
#include "monitor/command.h"
#include "proc/process.h"
#include "proc/scheduler.h"
#include "proc/signals.h"
#include "proc/system_calls.h"

namespace {

using proc::Process;

constexpr uint32_t kMillisecondsPerTick = 1000 / kTimerHertz;

const char* state_name(abi::ProcessState state) {
    switch (state) {
    case abi::ProcessState::Ready: return "ready";
    case abi::ProcessState::Running: return "running";
    case abi::ProcessState::Sleeping: return "sleeping";
    case abi::ProcessState::Waiting: return "waiting";
    case abi::ProcessState::Zombie: return "zombie";
    case abi::ProcessState::Suspended: return "suspended";
    }
    return "?";
}

Result<void> show_processes(const Words&) {
    print("  PID PARENT STATE      CPU MS NAME\n");
    proc::for_each(
        [](void*, Process& process) {
            print("{5} {6} {-8} {8} {}\n", process.pid, process.parent ? process.parent->pid : 0, state_name(process.state),
                  process.timer_ticks * kMillisecondsPerTick, static_cast<const char*>(process.name));
        },
        nullptr);
    return {};
}

/// Sizes are in KiB.
Result<void> show_spaces(const Words&) {
    constexpr size_t kib = kPageSize / 1024;
    print("  PID DIRECTORY   MAPPED RESIDENT  SWAPPED   SHARED   TABLES  AREAS NAME\n");
    proc::for_each(
        [](void*, Process& process) {
            if (!process.space) return;
            const mm::SpaceStatistics figures = mm::spaces::statistics(process.space);
            print("{5} {x8} {7} K {7} K {7} K {7} K {7} K {6} {}\n", process.pid, mm::spaces::directory(process.space).frame.address(),
                  figures.mapped * kib, figures.resident * kib, figures.swapped * kib, figures.shared * kib, figures.page_tables * kib, figures.areas,
                  static_cast<const char*>(process.name));
        },
        nullptr);
    return {};
}

Result<Process*> process_argument(const Words& words) {
    Process* const process = proc::find(TRY(words.number(0)));
    if (!process) return Error::NotFound;
    return process;
}

Result<void> show_maps(const Words& words) {
    const Process& process = *TRY(process_argument(words));
    if (!process.space) return Error::NotFound;
    mm::report::maps(process.space);
    return {};
}

Result<proc::ProcessId> start_program(const Words& words) {
    if (words.count() == 0) return Error::InvalidArgument;
    const char* arguments[Words::kMaxWords];
    for (size_t i = 0; i < words.count(); ++i) arguments[i] = words.word(i);
    char path[fs::kMaxPath];
    format_into(path, "{}{}", words.word(0)[0] == '/' ? "" : "/bin/", words.word(0));
    return proc::spawn(path, std::span(arguments, words.count()));
}

Result<void> run(const Words& words) {
    const proc::ProcessId pid = TRY(start_program(words));
    const uint32_t status = TRY(proc::wait(pid)).wait_status;
    if (abi::signal_of(status) != 0)
        print("{} ended by {}\n", pid, proc::signals::name(static_cast<int>(abi::signal_of(status))));
    else if (abi::exit_status_of(status) != 0)
        print("{} ended with status {}\n", pid, abi::exit_status_of(status));
    return {};
}

/// It runs whenever the monitor waits for a key.
Result<void> start(const Words& words) {
    print("process {}\n", TRY(start_program(words)));
    return {};
}

Result<void> wait(const Words& words) {
    const proc::Ended ended = TRY(words.count() > 0 ? proc::wait(TRY(words.number(0))) : proc::wait_any());
    print("{}: status {}, signal {}\n", ended.pid, abi::exit_status_of(ended.wait_status), abi::signal_of(ended.wait_status));
    return {};
}

Result<void> kill(const Words& words) {
    const uint32_t signal = words.count() > 1 ? TRY(words.number(1)) : static_cast<uint32_t>(abi::SIGKILL);
    return proc::kill(TRY(words.number(0)), static_cast<int>(signal));
}

Result<void> show_switches(const Words&) {
    const proc::scheduler::Statistics figures = proc::scheduler::statistics();
    print("switches             {}\n", figures.switches);
    print("  preemptions        {}\n", figures.preemptions);
    print("system calls         {}\n", proc::system_calls::count());
    print("timer interrupts     {}\n", timer_ticks());
    print("  in the idle task   {}\n", figures.idle_ticks);
    print("processes            {}\n", proc::count());
    print("kernel stacks        {} in use, of {} KiB each\n", mm::kernel_stacks::in_use(), mm::kernel_stacks::kPages * kPageSize / 1024);
    return {};
}

Result<void> show_counters(const Words& words) {
    if (words.count() > 0) {
        mm::report::faults(TRY(process_argument(words))->faults);
        return {};
    }
    mm::report::vmstat();
    return {};
}

constexpr Command kCommands[] = {
    {"ps", "", "all processes", show_processes},
    {"spaces", "", "their address spaces", show_spaces},
    {"maps", "PID", "the areas of one", show_maps},
    {"run", "PROGRAM [ARGUMENT...]", "run a program, and wait for its end", run},
    {"start", "PROGRAM [ARGUMENT...]", "the same without waiting", start},
    {"wait", "[PID]", "wait for the end of one that was started", wait},
    {"kill", "PID [SIGNAL]", "send a signal (alone: 9, which nobody survives)", kill},
    {"switches", "", "what the scheduler has done", show_switches},
    {"vmstat", "[PID]", "page faults by what became of them, and frames", show_counters},
};

} // namespace

std::span<const Command> process_commands() { return kCommands; }
