/// @file
/// From the trap to the function that serves the call (abi/system_calls.h).
#pragma once

#include <cstdint>

#include "arch/i386/user_mode.h"
#include "lib/result.h"

namespace proc::system_calls {

/// The six arguments, as they came: `arguments[0]` to `arguments[5]`. They lie in the trap frame; nothing is copied.
using Arguments = i386::SystemCallArguments;

/// One call: returns its result, or an error, which becomes -errno. Who changes more of the caller's registers than that (a new
/// program, the return from a signal handler) uses current().frame(), and calls i386::reload_user_registers().
using Handler = i386::SystemCallHandler;

/// Hands the table of handlers to the traps, which call them directly (i386::initialize_system_calls). Once, at boot.
void initialize();

/// The errno of an error, positive: abi::EFAULT for Error::BadAddress.
int error_number(Error error);

/// What abi::SystemCall::Debug does: for tests that are linked with the kernel. Null: ENOSYS.
void set_debug_handler(Handler handler);

/// Calls since the boot.
uint32_t count();

} // namespace proc::system_calls
