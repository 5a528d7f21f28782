// The kernel's own process.
#include "proc/process.h"

#include "mm/heap/leaks.h"
#include "mm/paging/kernel_map.h"
#include "mm/paging/kernel_stacks.h"
#include "proc/process_table.h"
#include "proc/scheduler.h"

namespace proc {

namespace {

constinit Process kernel;   ///< Process 0: what ran before there were processes, and the monitor.

using ShowStack = void (*)(VirtAddr begin, VirtAddr end);

/// The stacks of all processes, for the search for unreachable objects: what lies above the stack pointer. The idle task has no objects.
void show_stacks(VirtAddr here, ShowStack show) {
    struct Context {
        VirtAddr here;
        ShowStack show;
    } context{here, show};
    for_each(
        [](void* argument, Process& process) {
            const Context& with = *static_cast<const Context*>(argument);
            if (process.state == abi::ProcessState::Zombie) return;
            const bool runs = &process == &current();
            with.show(runs ? with.here : VirtAddr(process.context.esp), process.kernel_stack_top);
        },
        &context);
}

} // namespace

void initialize() {
    mm::kernel_stacks::initialize();
    set_name(kernel, "kernel");
    kernel.kernel_stack_top = mm::boot_stack().end;
    kernel.limits.children = kMaxProcesses;
    process_table::add(kernel);
    scheduler::initialize(kernel);
    mm::leaks::set_stack_finder(show_stacks);
}

PrintableName::PrintableName(const Process& process) {
    size_t i = 0;
    for (; i + 1 < sizeof text && process.name[i]; ++i) text[i] = process.name[i] > ' ' && process.name[i] <= '~' ? process.name[i] : '?';
    text[i] = 0;
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
