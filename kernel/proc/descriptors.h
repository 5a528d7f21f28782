/// @file
/// The numbers by which a process names its open files and its shared memories: indices of Process::files and Process::shared.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fs/open_file.h"
#include "lib/result.h"
#include "proc/process.h"

namespace proc::descriptors {

/// Opens the console three times, as standard input, output and error: for a process without a parent's files.
/// @return Error::OutOfMemory; nothing is open then
Result<void> open_standard(Process& process);

/// Gives the child everything that its parent has: the same open files (their positions, too) and shared memories. The child must
/// have none.
void inherit(Process& child, const Process& parent);

/// Closes everything. For the end of a process, and of one that was never finished.
void close_all(Process& process);

/// The lowest number that is free and allowed.
/// @return Error::LimitReached when there is none
Result<uint32_t> free_file(const Process& process);
/// @return Error::BadHandle; the reference stays the process's
Result<fs::OpenFile*> file(const Process& process, uint32_t number);
/// @return Error::BadHandle
Result<void> close_file(Process& process, uint32_t number);

/// As with files.
Result<uint32_t> free_shared(const Process& process);
Result<mm::MemoryObject*> shared(const Process& process, uint32_t number);
Result<void> close_shared(Process& process, uint32_t number);

} // namespace proc::descriptors
