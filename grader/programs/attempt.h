/// @file
/// Accesses that may fault: what came of each, for programs that go on after a signal.
#pragma once

#include <cstdint>

#include "user/signals.h"

/// Where the program goes on after a signal, and what the signal said.
struct Attempt {
    uint32_t eip, esp;
    uint32_t signal, address, reason;   ///< Of the latest attempt; signal 0 when nothing was wrong.
};
inline Attempt attempt;

inline void give_up(int number, abi::SignalFrame* frame) {
    attempt.signal = static_cast<uint32_t>(number);
    attempt.address = frame->address;
    attempt.reason = frame->reason;
    frame->eip = attempt.eip;
    frame->esp = attempt.esp;
}

/// From here on the accesses below come back.
inline void survive_signals() {
    signal(abi::SIGSEGV, give_up);
    signal(abi::SIGBUS, give_up);
}

/// One instruction between here and label 2, with an address in EAX.
#define ATTEMPT(instruction)                                                                                                  \
    attempt.signal = attempt.address = attempt.reason = 0;                                                                    \
    asm volatile("call 1f\n1: pop %%ecx\n lea 2f-1b(%%ecx), %%ecx\n mov %%ecx, (%1)\n mov %%esp, 4(%1)\n" instruction "\n2:" \
                 : "+a"(address) : "b"(&attempt) : "ecx", "edx", "memory", "cc")

/// 'r', 'w' or 'x': a read, a write, a call. @return whether it was possible
inline bool try_access(char kind, uint32_t address) {
    if (kind == 'r') {
        ATTEMPT("movb (%%eax), %%dl");
    } else if (kind == 'w') {
        ATTEMPT("movb %%dl, (%%eax)");
    } else {
        ATTEMPT("call *%%eax");
    }
    return attempt.signal == 0;
}
