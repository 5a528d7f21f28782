/// @file
/// Threads of the kernel: processes without user code, on the ready list like any other.
#pragma once

#include "proc/process.h"

namespace proc::kernel_thread {

// Their numbers lie at the end, out of the way: users' processes begin with init, which is number 1.
inline constexpr ProcessId kReclaimer = kMaxProcesses - 1;
inline constexpr ProcessId kLoadControl = kMaxProcesses - 2;

/// Makes one that is ready to run. `run` begins with scheduler::finish_switch(), and does not return. Panics without memory: at boot only.
void start(const char* name, ProcessId number, void (*run)());

} // namespace proc::kernel_thread
