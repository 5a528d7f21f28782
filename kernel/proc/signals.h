/// @file
/// Signals: made pending by kill() or by what user code does wrong, delivered on the way back to user code.
#pragma once

#include <cstdint>

#include "arch/i386/trap_frame.h"
#include "mm/fault/page_fault.h"
#include "proc/process.h"

namespace proc::signals {

/// What the current process just did wrong. Ends it with a message, or sends it to its handler:
///
///     shell[7] killed by SIGSEGV: write to read-only memory at 0x10001000, eip 0x10000123
void raise_fault(i386::TrapFrame& frame, int signal, VirtAddr address, mm::fault::Reason reason, const char* what);

/// Delivers what is pending, before the current process returns to user code. Does not return when that ends it.
void deliver(i386::TrapFrame& frame);

/// The system calls.
Result<void> set_handler(int signal, uint32_t handler);
Result<void> return_from_handler(i386::TrapFrame& frame);

/// "SIGSEGV"
const char* name(int signal);

} // namespace proc::signals
