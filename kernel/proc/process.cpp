// The kernel's own process.
#include "proc/process.h"

#include "mm/paging/kernel_map.h"
#include "mm/paging/kernel_stacks.h"
#include "proc/process_table.h"
#include "proc/scheduler.h"

namespace proc {

namespace {

constinit Process kernel;   ///< Process 0: what ran before there were processes, and the monitor.

} // namespace

void initialize() {
    mm::kernel_stacks::initialize();
    set_name(kernel, "kernel");
    kernel.kernel_stack_top = mm::boot_stack().end;
    kernel.limits.children = kMaxProcesses;
    process_table::add(kernel);
    scheduler::initialize(kernel);
}

void set_name(Process& process, const char* path) {
    const char* name = path;
    for (const char* at = path; *at; ++at) {
        if (*at == '/') name = at + 1;
    }
    size_t length = 0;
    for (; name[length] && length + 1 < sizeof(process.name); ++length) process.name[length] = name[length];
    process.name[length] = 0;
}

} // namespace proc
