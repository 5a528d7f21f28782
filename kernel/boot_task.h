/// @file
/// Programs that are linked with the kernel and run at the end of the boot when the command line names them: the grader's
/// guest is one. The kernel knows none of them by name.
#pragma once

/// One entry of the linker section .boot_tasks.
struct BootTask {
    const char* option;    ///< The word on the command line that asks for it.
    void (*run)();         ///< Called with everything initialised, on the kernel's stack.
};

/// Adds a task: `BOOT_TASK(harness, "harness", run_harness);`
#define BOOT_TASK(name, option, run) \
    [[gnu::used, gnu::section(".boot_tasks")]] static const BootTask boot_task_##name = {option, run}
