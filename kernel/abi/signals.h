/// @file
/// Signals: what ends a process, unless it has a handler. Names and numbers are Unix's.
///
/// A handler is called as `void handler(int signal, const SignalFrame* frame)` on the process's own stack, once at a time: a second
/// signal of any kind that a handler brings about kills. It may change the frame: SignalReturn puts the registers back from it.
#pragma once

#include <cstdint>

namespace abi {

enum SignalNumber : int {
    SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGSEGV = 11, SIGTERM = 15,
};
inline constexpr int kSignals = 32;

/// Lies on the user stack while a handler runs, right above the handler's two arguments.
struct SignalFrame {
    uint32_t signal;
    uint32_t address;        ///< Of the access that failed (SIGSEGV, SIGBUS).
    uint32_t reason;         ///< mm::fault::Reason, for SIGSEGV and SIGBUS.
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, eip, eflags;  ///< When it happened.
};

} // namespace abi
