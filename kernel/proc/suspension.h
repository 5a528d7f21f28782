/// @file
/// Whole processes wait while memory is too small for all (mm/reclaim/load_control.h decides). A process is stopped on its way back to user code
/// only, where it holds nothing of the kernel's; its state is "suspended" then. A signal ends the wait, so a suspended process can be killed,
/// and who waits for its end hears of it.
///
/// Never suspended are init, and what the shell in the foreground waits for: somebody sits before it.
#pragma once

#include "mm/reclaim/load_control.h"
#include "proc/process.h"

namespace proc::suspension {

/// Makes the thread that takes the samples. Once, at boot, where there is a swap area and `loadcontrol=off` is not on the command line.
void start();

/// Whether the process has to wait before it goes back to user code.
inline bool must_wait(const Process& process) { return process.space && mm::load_control::is_held(process.space); }

/// Waits until the current process may go on, or has a signal pending.
void wait();

} // namespace proc::suspension
