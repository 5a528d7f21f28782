#include "proc/suspension.h"

#include "drivers/timer.h"
#include "mm/reclaim/load_control.h"
#include "proc/kernel_thread.h"
#include "proc/scheduler.h"

namespace proc::suspension {

namespace {

namespace load_control = mm::load_control;

constexpr ProcessId kInit = 1;

constinit WaitQueue suspended;
constinit WaitQueue nobody_wakes_it;

/// The process that a space belongs to; null.
Process* owner_of(const mm::AddressSpace* space) {
    struct Search {
        const mm::AddressSpace* space;
        Process* found = nullptr;
    } search{space};
    for_each(
        [](void* context, Process& process) {
            auto& wanted = *static_cast<Search*>(context);
            if (process.space == wanted.space) wanted.found = &process;
        },
        &search);
    return search.found;
}

bool wants_to_run(const mm::AddressSpace* space) {
    const Process* const process = owner_of(space);
    return process && (process->state == abi::ProcessState::Ready || process->state == abi::ProcessState::Running);
}

/// What the shell runs while nobody can type a command.
bool is_in_foreground(const Process& process) {
    const Process* const shell = process.parent;
    return shell && shell->parent && shell->parent->pid == kInit && shell->waiting_in == &shell->child_ended;
}

bool may_hold(const mm::AddressSpace* space) {
    const Process* const process = owner_of(space);
    return process && process->pid != kInit && process->pending_signals == 0 && !is_in_foreground(*process);
}

void let_go(mm::AddressSpace* space) {
    Process* const process = owner_of(space);
    if (process && process->state == abi::ProcessState::Suspended) scheduler::wake(*process);
}

void run() {
    scheduler::finish_switch();
    for (;;) {
        (void)scheduler::block(nobody_wakes_it, load_control::kSampleTicks);
        load_control::sample(timer_ticks());
    }
}

} // namespace

void start() {
    kernel_thread::start("loadcontrol", kernel_thread::kLoadControl, run);
    load_control::initialize({.wants_to_run = wants_to_run, .may_hold = may_hold, .let_go = let_go});
}

void wait() {
    while (must_wait(current()) && current().pending_signals == 0) scheduler::suspend(suspended);
}

} // namespace proc::suspension
