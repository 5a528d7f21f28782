/// @file
/// Processes: an address space, a kernel stack, a place in the tree of parents and children.
///
/// The kernel is not preemptible: a process in the kernel runs until it blocks, yields or returns to user code; timer interrupts preempt
/// user code only. So kernel data need no locks. The boot's own stack is process 0, "kernel": it may wait and spawn like any other, and
/// has no user code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "abi/process.h"
#include "arch/i386/user_mode.h"
#include "fs/open_file.h"
#include "lib/address.h"
#include "lib/result.h"
#include "mm/fault/page_fault.h"
#include "mm/object/memory_object.h"
#include "mm/space/address_space.h"

namespace proc {

using ProcessId = uint32_t;

inline constexpr size_t kMaxFiles = 16;
inline constexpr size_t kMaxShared = 8;        ///< Shared memories that one process owns.
inline constexpr size_t kMaxProcesses = 1024;  ///< In the whole system.
inline constexpr size_t kMaxArguments = 16;
inline constexpr size_t kMaxArgumentBytes = 1024;

/// Who waits for one event: a list through Process::next_waiting.
struct WaitQueue {
    struct Process* first = nullptr;
    struct Process* last = nullptr;
};

/// Resource limits that are the process's own; those of memory are in mm::SpaceLimits.
struct Limits {
    size_t children = 512;
    size_t files = kMaxFiles;
};

struct Process {
    ProcessId pid = 0;
    char name[abi::kMaxProcessName] = {};
    abi::ProcessState state = abi::ProcessState::Ready;

    // Scheduling (scheduler.cpp).
    i386::KernelContext context;         ///< Of its kernel stack, while it does not run.
    VirtAddr kernel_stack_top;
    Process* next_ready = nullptr;
    Process* next_sleeping = nullptr;
    Process* next_waiting = nullptr;
    WaitQueue* waiting_in = nullptr;
    uint32_t wake_tick = 0;              ///< When it sleeps: the timer tick that wakes it.
    uint32_t slice_left = 0;             ///< Timer ticks until it is preempted.
    uint32_t timer_ticks = 0;            ///< Timer ticks that found it running.

    // The family (lifecycle.cpp).
    Process* parent = nullptr;           ///< Null when that has ended.
    Process* first_child = nullptr;
    Process* next_sibling = nullptr;
    Process* next_by_number = nullptr;   ///< In the list of all.
    size_t children = 0;                 ///< That live.
    bool is_orphan = false;              ///< Its parent is gone: nobody will wait for it.
    WaitQueue child_ended;
    uint32_t wait_status = 0;            ///< abi::exited() or abi::killed(), once a zombie.

    // Memory and files.
    mm::AddressSpace* space = nullptr;   ///< Null for kernel threads and zombies.
    fs::OpenFile* files[kMaxFiles] = {}; ///< A reference each.
    mm::MemoryObject* shared[kMaxShared] = {};
    Limits limits;
    mm::SpaceLimits space_limits;        ///< For the next program that it executes.
    mm::fault::Counters faults;          ///< Its page faults, and those of the kernel in its name.

    // Signals (signals.cpp).
    uint32_t pending_signals = 0;        ///< A bit each.
    uint32_t handlers[32] = {};          ///< Addresses in user code; 0 is the default.
    uint32_t signal_restorer = 0;        ///< Where handlers return to.
    bool in_handler = false;

    bool has_user_code() const { return space != nullptr; }
    i386::TrapFrame& frame() { return i386::user_frame(kernel_stack_top); }
};

/// A process's name for messages: a program chooses its name; what it may not choose is what a terminal does, or a second line.
struct PrintableName {
    explicit PrintableName(const Process& process);
    char text[abi::kMaxProcessName];
};

/// Makes the boot's stack process 0, and the idle task. Once, at boot, before any of the below.
void initialize();

extern Process* running;  ///< What current() looks up; written by the scheduler only.
/// Who runs.
inline Process& current() { return *running; }

/// A living process or zombie, by number; null.
Process* find(ProcessId pid);
/// Shows all, in order of their numbers.
void for_each(void (*visit)(void* context, Process& process), void* context);
size_t count();

// Life (lifecycle.cpp).

/// A new process that runs the program `path`, as a child of the current one. Its three standard files are the console.
/// @return as load_program() (program.h), and Error::LimitReached, OutOfMemory; nothing is left behind then
Result<ProcessId> spawn(const char* path, std::span<const char* const> arguments);

/// A copy of the current process, which returns 0 from its system call.
/// @return Error::LimitReached, OutOfMemory; nothing is left behind then
Result<ProcessId> fork();

/// Replaces the current process's program. On success the frame leads to the new program's entry, and all handlers are the default.
/// @return as load_program(); the old program is untouched then
Result<void> execute(const char* path, std::span<const char* const> arguments);

/// Ends the current process: memory and files go at once, the rest when its parent waits. Its children have no parent then; what is
/// left of such a process goes by itself when it ends.
[[noreturn]] void exit(uint32_t wait_status);

/// Waits until a child (this one; with `any`, whichever is first) has ended, and forgets it.
/// @return its number, and its status; Error::NoChild; Error::Interrupted when a signal is pending
struct Ended {
    ProcessId pid;
    uint32_t wait_status;
};
Result<Ended> wait(ProcessId child);
Result<Ended> wait_any();

/// Makes a signal pending, and ends a sleep. @return Error::NotFound, InvalidArgument
Result<void> kill(ProcessId pid, int signal);

} // namespace proc
