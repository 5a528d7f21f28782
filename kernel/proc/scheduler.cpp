#include "proc/scheduler.h"

#include "arch/cpu.h"
#include "arch/i386/segments.h"
#include "drivers/timer.h"
#include "lib/panic.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_cache.h"
#include "mm/reclaim/reclaim.h"
#include "proc/process_table.h"
#include "proc/signals.h"
#include "proc/suspension.h"

namespace proc {

Process* running = nullptr;

namespace scheduler {

namespace {

/// Frames that the idle task clears between two looks at the ready list.
constexpr size_t kClearedAtATime = 4;
constexpr uint32_t kMillisecondsPerTick = 1000 / kTimerHertz;

Process* first_ready = nullptr;
Process* last_ready = nullptr;
Process* first_sleeping = nullptr;   ///< Who wakes at some tick, the earliest first.
Process* kernel_process = nullptr;
Process* leaving = nullptr;          ///< Switched away for good, and still to be buried.
constinit Process idle_task;
Statistics figures;

/// Whether tick `left` comes before `right`; the count may have wrapped between them.
bool is_before(uint32_t left, uint32_t right) { return static_cast<int32_t>(left - right) < 0; }

Process& take_next() {
    Process* const next = first_ready;
    if (!next) return idle_task;
    first_ready = next->next_ready;
    if (!first_ready) last_ready = nullptr;
    return *next;
}

void append(WaitQueue& queue, Process& process) {
    process.waiting_in = &queue;
    process.next_waiting = nullptr;
    (queue.last ? queue.last->next_waiting : queue.first) = &process;
    queue.last = &process;
}

void remove(WaitQueue& queue, Process& process) {
    Process* previous = nullptr;
    for (Process* at = queue.first; at != &process; at = at->next_waiting) previous = at;
    (previous ? previous->next_waiting : queue.first) = process.next_waiting;
    if (queue.last == &process) queue.last = previous;
    process.waiting_in = nullptr;
}

void set_alarm(Process& process, uint32_t ticks) {
    process.wake_tick = timer_ticks() + ticks;
    Process** link = &first_sleeping;
    while (*link && !is_before(process.wake_tick, (*link)->wake_tick)) link = &(*link)->next_sleeping;
    process.next_sleeping = *link;
    *link = &process;
}

void clear_alarm(Process& process) {
    Process** link = &first_sleeping;
    while (*link && *link != &process) link = &(*link)->next_sleeping;
    if (*link) *link = process.next_sleeping;
}

bool is_asleep(const Process& process) {
    using abi::ProcessState;
    return process.state == ProcessState::Sleeping || process.state == ProcessState::Waiting || process.state == ProcessState::Suspended;
}

/// The idle task needs no address space of its own: whichever is loaded has the kernel in it, and often is the next one again.
void load_space(const Process& process) {
    if (process.space || &process == kernel_process) return mm::spaces::activate(process.space);
    mm::tlb::keep_directory();
}

/// Goes on with `next`; returns when somebody goes on with this process. Interrupts are off.
void switch_to(Process& next) {
    Process& previous = *running;
    if (&previous == &next) return;
    running = &next;
    next.state = abi::ProcessState::Running;
    next.slice_left = kSliceTicks;
    ++figures.switches;
    i386::set_kernel_stack(next.kernel_stack_top);
    load_space(next);
    if (next.pending_signals || suspension::must_wait(next))
        i386::request_return_work();
    else
        i386::cancel_return_work();
    i386::switch_stack(&previous.context, &next.context);
    finish_switch();
}

void wake_sleepers() {
    while (first_sleeping && !is_before(timer_ticks(), first_sleeping->wake_tick)) wake(*first_sleeping);
}

/// The timer's interrupt. It came in user code, in the idle task or in the monitor: the kernel runs with interrupts off.
void tick() {
    wake_sleepers();
    Process& process = *running;
    ++process.timer_ticks;
    if (process.space) mm::spaces::add_virtual_time(process.space, 1);
    mm::reclaim::note_time();
    if (&process == &idle_task) {
        ++figures.idle_ticks;
        return;
    }
    if (process.slice_left > 0) --process.slice_left;
    if (process.slice_left == 0 && first_ready) i386::request_return_work();
}

void return_to_user(i386::TrapFrame& frame) {
    if (running->slice_left == 0 && first_ready) {
        ++figures.preemptions;
        yield();
    }
    if (suspension::must_wait(*running)) suspension::wait();
    if (running->pending_signals) signals::deliver(frame);
}

/// Clears frames for later while nobody wants to run, then sleeps until an interrupt.
void idle() {
    finish_switch();
    for (;;) {
        Cpu::disable_interrupts();
        if (first_ready) {
            switch_to(take_next());
        } else if (mm::frame_cache::fill_zeroed(kClearedAtATime) > 0) {
            Cpu::enable_interrupts();
            asm volatile("nop"); // STI takes effect after the next instruction
        } else {
            Cpu::idle();
        }
    }
}

void prepare_idle_task() {
    const Result<VirtAddr> stack = mm::kernel_stacks::allocate();
    if (stack.is_error()) PANIC("no memory for the idle task's stack");
    idle_task.kernel_stack_top = stack.value();
    idle_task.context = i386::prepare_stack(stack.value(), idle);
}

} // namespace

void make_ready(Process& process) {
    const InterruptsOff off;
    process.state = abi::ProcessState::Ready;
    process.next_ready = nullptr;
    (last_ready ? last_ready->next_ready : first_ready) = &process;
    last_ready = &process;
}

void yield() {
    const InterruptsOff off;
    if (!first_ready) return;
    make_ready(*running);
    switch_to(take_next());
}

Result<void> block(WaitQueue& queue, uint32_t timeout_ticks) {
    const InterruptsOff off;
    Process& self = *running;
    if (self.pending_signals) return Error::Interrupted;
    self.state = timeout_ticks > 0 ? abi::ProcessState::Sleeping : abi::ProcessState::Waiting;
    append(queue, self);
    if (timeout_ticks > 0) set_alarm(self, timeout_ticks);
    switch_to(take_next());
    if (self.pending_signals) return Error::Interrupted;
    return {};
}

void suspend(WaitQueue& queue) {
    const InterruptsOff off;
    running->state = abi::ProcessState::Suspended;
    append(queue, *running);
    switch_to(take_next());
}

void wake(Process& process) {
    const InterruptsOff off;
    if (!is_asleep(process)) return;
    if (process.state == abi::ProcessState::Sleeping) clear_alarm(process);
    remove(*process.waiting_in, process);
    make_ready(process);
}

void wake_one(WaitQueue& queue) {
    if (queue.first) wake(*queue.first);
}

void wake_all(WaitQueue& queue) {
    const InterruptsOff off;
    while (queue.first) wake(*queue.first);
}

Result<void> sleep(uint32_t milliseconds) {
    WaitQueue nobody_wakes_it;
    if (milliseconds == 0) return {};
    // The tick that has begun already does not count, hence one more.
    return block(nobody_wakes_it, (milliseconds - 1) / kMillisecondsPerTick + 2);
}

void leave() {
    Cpu::disable_interrupts();
    leaving = running;
    switch_to(take_next());
    PANIC("a process that has ended runs again");
}

void finish_switch() {
    if (!leaving) return;
    Process& gone = *leaving;
    leaving = nullptr;
    bury(gone);
}

Statistics statistics() { return figures; }

void initialize(Process& kernel) {
    kernel_process = &kernel;
    running = &kernel;
    kernel.state = abi::ProcessState::Running;
    i386::set_kernel_stack(kernel.kernel_stack_top);
    prepare_idle_task();
    i386::set_return_to_user_handler(return_to_user);
    set_timer_handler(tick);
}

} // namespace scheduler
} // namespace proc
