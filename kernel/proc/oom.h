/// @file
/// What happens when a page fault or a system call needs a frame, none is free, and no page can be taken out of memory: one process ends, so
/// that the others go on.
///
/// - **Who**: of all processes with user code, the one with the highest score (mm/reclaim/oom.h); of several, the one that was begun last. Never
///   process 1 (init), never a kernel thread, never who is about to die anyhow. What init itself has started (the shell) comes only
///   when there is nobody else. The process that asks is as good a choice as any.
/// - **How**: it gets SIGKILL, and its private pages and swap slots go at once (mm::spaces::reap()): it will not return to user code, so nobody
///   misses them. The rest goes when it runs its own end. Then the fault, or the call, is begun again.
/// - When the choice falls on the process that asks, nothing is begun again: a page fault ends it with SIGKILL, "out of memory"; also one of the
///   kernel in its name, which copies for a system call.
/// - A system call can say no, a page fault cannot. So for a call nobody is killed whose score is not more than kMuchMore times the caller's: the
///   call returns ENOMEM. That lets the shell start a program beside a hog, and a fork bomb kill nobody but by its page faults.
/// - Why is said on the console: who asked, what is left, the highest scores, who is killed. When it happens again within kQuietTicks, one line.
///
/// A process that has reached a limit of its own (RLIMIT_RSS) is not the machine's shortage: nobody else suffers. With `oom=self` on the
/// command line nobody ever does: whoever asks is answered OutOfMemory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace proc::oom {

enum class Mode : uint8_t {
    Choose,  ///< As above.
    Self,    ///< The process that asks.
};

/// Connects it to mm/space/pager.h. Once, at boot.
void initialize();

void set_mode(Mode mode);
Mode mode();

inline constexpr size_t kMuchMore = 2;
inline constexpr uint32_t kQuietTicks = 100;  ///< Timer ticks: a second.

struct Counters {
    uint32_t asked;   ///< Times that memory was short without a way out.
    uint32_t killed;  ///< Processes that others had to make room for.
    uint32_t reaped;  ///< Frames that came back at once.
};
const Counters& counters();

} // namespace proc::oom
