/// @file
/// From the trap to the function that serves the call (abi/system_calls.h).
#pragma once

#include <cstdint>

#include "arch/i386/trap_frame.h"
#include "lib/result.h"

namespace proc::system_calls {

/// The six arguments, as they came.
struct Arguments {
    uint32_t words[6];
};

/// One call: returns its result, or an error, which the caller turns into -errno.
using Handler = Result<uint32_t> (*)(const Arguments& arguments, i386::TrapFrame& frame);

/// Connects the traps. Once, at boot.
void initialize();

/// The errno of an error, positive: abi::EFAULT for Error::BadAddress.
int error_number(Error error);

/// What abi::SystemCall::Debug does: for tests that are linked with the kernel. Null: ENOSYS.
void set_debug_handler(Handler handler);

/// Calls since the boot.
uint32_t count();

} // namespace proc::system_calls
