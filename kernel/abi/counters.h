/// @file
/// What the kernel has counted since the boot. All of it only grows (and begins anew after 2^32), except where it says "now".
#pragma once

#include <cstdint>

namespace abi {

/// Page faults of the machine, or of one process and of the kernel in its name: how they ended, and what made the page present.
struct FaultCounts {
    uint32_t resolved, retried, signals, out_of_memory;  ///< How they ended: each in one of the four.

    // What resolved them: each of `resolved` in one of these.
    uint32_t kernel_tables;   ///< Page tables of the kernel that a directory lacked.
    uint32_t zero_frames;     ///< Reads of untouched memory: the frame of zeros that everybody shares.
    uint32_t zeroed;          ///< First writes: a frame of zeros of its own.
    uint32_t large_pages;     ///< The same, 4 MiB at once.
    uint32_t object_pages;    ///< Pages of files and of shared memory, as they are.
    uint32_t object_copies;   ///< Private copies of such pages.
    uint32_t copied;          ///< Copy-on-write: a frame that others show as well.
    uint32_t last_owner;      ///< Copy-on-write: nobody else shows it any more; nothing is copied.
    uint32_t swapped_in;      ///< Pages that came back from the swap area, or from the swap cache.

    // What came with them.
    uint32_t stack_growths;
    uint32_t neighbours;      ///< Pages of files that were made present besides.

    constexpr uint32_t all() const { return resolved + retried + signals + out_of_memory; }
};

/// What the CPU's translation lookaside buffer was told to forget.
struct TlbCounts {
    uint32_t pages;                ///< One page (INVLPG).
    uint32_t flushes;              ///< All but the kernel's global pages.
    uint32_t flushes_with_global;  ///< Everything.
    uint32_t switches;             ///< Another page directory: the same as a flush.
    uint32_t switches_without;     ///< Switches of processes that forgot nothing: to a kernel thread, or the same directory.
};

/// What was taken out of memory, and brought back (docs/swap.md). All 0 without a swap area.
struct ReclaimCounts {
    uint32_t victims;         ///< Pages that the policy chose.
    uint32_t stayed;          ///< Of these, that could not leave: no slot was free, or the disk failed.
    uint32_t pages_out;       ///< Pages of programs that left for the swap area.
    uint32_t clean_out;       ///< Of these, that needed no write: the slot had their contents still.
    uint32_t pages_in;        ///< Pages that came back.
    uint32_t cache_hits;      ///< Of these, that were in memory still, or already.
    uint32_t read_ahead;      ///< Pages that were read together with others.
    uint32_t files_out;       ///< Pages of files that were dropped.
    uint32_t wakeups;         ///< Of the reclaimer's thread.
    uint32_t direct;          ///< Times that somebody had to take pages himself.
    uint32_t disk_reads, disk_writes;  ///< Commands to the swap area's disk.
    uint32_t slots, slots_free;        ///< Now: pages that the swap area has room for.
};

/// What was done when memory was short (docs/memory-short.md).
struct MemoryShortCounts {
    uint32_t promises_refused;              ///< Requests, by the overcommit policy.
    uint32_t oom_asked, oom_killed;         ///< Times that no memory could be found; processes killed for others.
    uint32_t oom_reaped_frames;             ///< That came back from them at once.
    uint32_t load_samples, load_overloads;  ///< Looks of load control; of these, that found too much demand.
    uint32_t suspensions;                   ///< Processes suspended,
    uint32_t resumptions, turns;            ///< let go on because there was room, because it was their turn.
    uint32_t suspended;                     ///< Now.
    uint32_t demand, capacity;              ///< Now, in pages: of all working sets, and of memory.
};

/// Of the whole machine.
struct Counters {
    FaultCounts faults;
    TlbCounts tlb;
    ReclaimCounts reclaim;
    uint32_t switches, preemptions;             ///< From one process to another; of these, because a slice was over.
    uint32_t system_calls;
    uint32_t timer_interrupts, idle_interrupts; ///< Of these, that found nobody to run.
    uint32_t frames_free, frames_zeroed;        ///< Now; zeroed ones are not counted as free again.
    uint32_t frames_in_use;                     ///< Now.
    uint32_t file_frames;                       ///< Now, of those in use: pages of files.
    MemoryShortCounts memory_short;
};

} // namespace abi
