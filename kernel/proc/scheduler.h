/// @file
/// Who runs next: round robin over the ready processes, one slice of timer ticks each; the idle task when there is none.
#pragma once

#include <cstdint>

#include "proc/process.h"

namespace proc::scheduler {

inline constexpr uint32_t kSliceTicks = 5;  ///< 50 ms at 100 Hz.

/// Puts a process at the end of the ready list.
void make_ready(Process& process);

/// Lets everybody else who is ready run first.
void yield();

/// Sleeps in `queue` until wake_one() or wake_all(), or (timeout not 0) so many timer ticks have passed, or a signal comes.
/// @return Error::Interrupted for a signal
Result<void> block(WaitQueue& queue, uint32_t timeout_ticks = 0);
/// As block() without a timeout, and the process is shown as suspended: it has done nothing to wait for.
void suspend(WaitQueue& queue);
void wake_one(WaitQueue& queue);
void wake_all(WaitQueue& queue);
/// Ends the sleep of one process, whatever it waits for.
void wake(Process& process);

/// Sleeps for so many milliseconds or a little longer. @return Error::Interrupted for a signal
Result<void> sleep(uint32_t milliseconds);

/// For the end of a process: switches away for good. Whoever runs next calls bury() for it.
[[noreturn]] void leave();

/// The first thing on a new kernel stack: ends the switch that led there.
void finish_switch();

/// Connects the timer and the way back to user code, and makes the idle task. Once, at boot.
void initialize(Process& kernel);

/// Since the boot.
struct Statistics {
    uint32_t switches, preemptions;
    uint32_t idle_ticks;   ///< Timer ticks that found the idle task.
};
Statistics statistics();

} // namespace proc::scheduler
