/// @file
/// The records of all processes, and their numbers. For the files of this folder that make and end processes.
#pragma once

#include "proc/process.h"

namespace proc::process_table {

/// A record that nobody can find yet. @return Error::LimitReached for more than kMaxProcesses, OutOfMemory
Result<Process*> take();

/// Gives it the next number, and puts it into the list of all.
void add(Process& process);

/// Gives it this number, which nobody has: for processes of the kernel's own, as 1 belongs to the first program.
void add_as(Process& process, ProcessId number);

/// Takes it out of the list of all, when it was in it, and gives the record back.
void give_back(Process& process);

} // namespace proc::process_table

namespace proc {

/// Names a process after the last part of a path, cut to fit.
void set_name(Process& process, const char* path);

/// What is left of a process that has left the CPU for good: its kernel stack, and the record if nobody will ask for it.
void bury(Process& process);

} // namespace proc
