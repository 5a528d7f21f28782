/// @file
/// Signals: made pending by kill() or by what user code does wrong, delivered on the way back to user code.
///
/// The default action of every signal is to end the process, with a message. A handler (abi/signals.h) gets a frame on the user stack:
///
///     user_esp ->  restorer's address, where the handler returns to
///                  signal           the handler's two arguments
///                  address of the SignalFrame
///                  SignalFrame      what return_from_handler() puts back
#pragma once

#include <cstdint>

#include "arch/i386/trap_frame.h"
#include "mm/fault/page_fault.h"
#include "proc/process.h"

namespace proc::signals {

/// Connects page faults and the exceptions of ring 3 (user_faults.cpp). Once, at boot, after proc::initialize().
void initialize();

/// What the current process just did wrong. Ends it with a message, or sends it to its handler:
///
///     shell[7] killed by SIGSEGV: write to read-only memory at 0x10001000, eip 0x10000123
///
/// @param reason  for SIGSEGV and SIGBUS of a page fault, else Reason::None; the address is not shown then
/// @param what    the words for the message
void raise_fault(i386::TrapFrame& frame, int signal, VirtAddr address, mm::fault::Reason reason, const char* what);

/// Delivers what is pending, before the current process returns to user code. Does not return when that ends it.
void deliver(i386::TrapFrame& frame);

/// The system calls.

/// @param restorer  where handlers return to: code of the user library that makes the call SignalReturn. One for all signals.
/// @return Error::InvalidArgument for a number that is no signal, and for SIGKILL
Result<void> set_handler(int signal, uint32_t handler, uint32_t restorer);
/// Puts the registers back from the SignalFrame, 8 bytes above the stack pointer. Registers that user code may not have (IOPL, an
/// address outside its code) are corrected or kill. The result of the call must not go into EAX, which is the frame's now.
/// @return Error::InvalidArgument when no handler runs
Result<void> return_from_handler(i386::TrapFrame& frame);

/// "SIGSEGV"
const char* name(int signal);

} // namespace proc::signals
