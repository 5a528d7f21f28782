#include "proc/kernel_thread.h"

#include "lib/panic.h"
#include "mm/paging/kernel_stacks.h"
#include "proc/process_table.h"
#include "proc/scheduler.h"

namespace proc::kernel_thread {

void start(const char* name, ProcessId number, void (*run)()) {
    const Result<Process*> process = process_table::take();
    const Result<VirtAddr> stack = mm::kernel_stacks::allocate();
    if (process.is_error() || stack.is_error()) PANIC("no memory for a thread of the kernel");
    Process& self = *process.value();
    self.kernel_stack_top = stack.value();
    self.context = i386::prepare_stack(stack.value(), run);
    set_name(self, name);
    process_table::add_as(self, number);
    scheduler::make_ready(self);
}

} // namespace proc::kernel_thread
