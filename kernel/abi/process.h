/// @file
/// What system calls say about processes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/counters.h"

namespace abi {

inline constexpr size_t kMaxProcessName = 16;  ///< Zero byte included.

/// How a process ended, as Wait reports it: the low byte is the signal that killed it, or 0; bits 8 to 15 are its exit status.
constexpr uint32_t exited(uint32_t status) { return (status & 0xFF) << 8; }
constexpr uint32_t killed(uint32_t signal) { return signal; }
constexpr uint32_t signal_of(uint32_t wait_status) { return wait_status & 0xFF; }
constexpr uint32_t exit_status_of(uint32_t wait_status) { return (wait_status >> 8) & 0xFF; }

enum class ProcessState : uint32_t { Ready = 0, Running, Sleeping, Waiting, Zombie,
    Suspended,  ///< By load control: it wants to run, and memory is too small for all.
};

/// One line of ps.
struct ProcessInfo {
    uint32_t pid, parent;
    ProcessState state;
    uint32_t mapped_pages, resident_pages, swapped_pages, shared_pages, page_table_frames;
    uint32_t milliseconds;   ///< Of CPU time, from the timer's ticks.
    char name[kMaxProcessName];
    FaultCounts faults;
    uint32_t promised_pages;  ///< In the account of promises.
    uint32_t working_set;     ///< Pages, as load control has estimated it; 0 while it has not.
    uint32_t fault_rate;      ///< Pages brought back from the swap area in a million ticks of its own time, lately.
    uint32_t suspensions;     ///< How often load control has suspended it.
};

/// What meminfo shows, in frames or pages.
struct MemoryInfo {
    uint32_t total, free, in_use, cached_zeroed;  ///< Frames.
    uint32_t heap_frames, vmalloc_pages;
    uint32_t processes;
    uint32_t faults, signals;
    uint32_t file_frames;    ///< Of those in use: pages of files.
    uint32_t swap_slots, swap_free;  ///< Pages that the swap area has room for, and of these unused; 0 without one.
    uint32_t promised, promise_limit, most_promised;  ///< Pages, see mm/object/commit.h; the limit counts for the policy `never`.
    uint32_t overcommit;     ///< The policy: 0 never, 1 heuristic, 2 always.
};

} // namespace abi
