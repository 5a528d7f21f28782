/// @file
/// Processes: making them, waiting for them, ending them. Every function returns a negative errno when it fails.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/counters.h"
#include "abi/process.h"

/// Ends this process. The parent sees the lowest 8 bits.
[[noreturn]] void exit(int status);
/// Ends this process with status 134, after something that must not happen.
[[noreturn]] void abort();

/// This process's number.
int getpid();
/// The parent's number; 0 when it is gone.
int getppid();

/// A copy of this process. @return the child's number; 0 in the child
int fork();
/// Runs another program in this process. @param arguments  texts, the first is the program's name, a null at the end
/// @return only when it fails
int exec(const char* path, const char* const* arguments);
/// Exit statuses of a child that could not become its program.
inline constexpr int kNotRunnable = 126, kNotFound = 127;

/// fork() and exec() in one. A child that cannot become the program says why on the standard error, and ends with one of these statuses.
/// @return the child's number
int spawn(const char* path, const char* const* arguments);

/// Waits for the end of a child: this one, or with -1 whichever is first.
/// @param status  receives what abi::signal_of() and abi::exit_status_of() take apart; may be null
/// @return the number of the child
int wait(int pid, uint32_t* status);

/// Sends a signal. @return 0
int kill(int pid, int signal);

/// Lets the others run. @return 0
int yield();
/// Sleeps. @return 0; -EINTR
int sleep(uint32_t milliseconds);
/// Milliseconds since the boot.
uint32_t uptime();

/// Process number `index` in the order of their numbers. @return 0; -ENOENT past the last
int process_info(uint32_t index, abi::ProcessInfo* info);

/// The process with this number. @return 0; -ESRCH
int process_info_of(int pid, abi::ProcessInfo* info);

/// What the kernel has counted since the boot. @return 0
int counters(abi::Counters* all);

/// Stops the machine. Process 1 and its children only.
int shut_down();
