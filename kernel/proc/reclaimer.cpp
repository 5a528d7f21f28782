#include "proc/reclaimer.h"

#include "lib/panic.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/reclaim/reclaim.h"
#include "proc/process_table.h"
#include "proc/scheduler.h"

namespace proc::reclaimer {

namespace {

constexpr ProcessId kNumber = kMaxProcesses - 1;

constinit WaitQueue wanted;

void run() {
    scheduler::finish_switch();
    for (;;) {
        mm::reclaim::balance();
        (void)scheduler::block(wanted);
    }
}

void wake() { scheduler::wake_all(wanted); }

} // namespace

void start() {
    const Result<Process*> process = process_table::take();
    const Result<VirtAddr> stack = mm::kernel_stacks::allocate();
    if (process.is_error() || stack.is_error()) PANIC("no memory for the reclaimer");
    Process& self = *process.value();
    self.kernel_stack_top = stack.value();
    self.context = i386::prepare_stack(stack.value(), run);
    set_name(self, "reclaimer");
    process_table::add_as(self, kNumber);
    scheduler::make_ready(self);
    mm::reclaim::set_waker(wake);
}

} // namespace proc::reclaimer
