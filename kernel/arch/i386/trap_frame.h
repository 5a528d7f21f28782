/// @file
/// What lies on the stack when a trap handler runs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace i386 {

/// What PUSHA leaves, lowest address first. `esp` is its value before the PUSHA, which is seldom of use.
struct PushedRegisters {
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
};

/// The registers at the moment of an exception or interrupt, lowest address first: pushed last by trap_stubs.S, first by the CPU
/// (Intel SDM 3A, figure 6-4). Changing a field changes the register when the trap returns.
struct TrapFrame {
    uint32_t gs, fs, es, ds;    // by trap_stubs.S
    PushedRegisters registers;  // by trap_stubs.S
    uint32_t vector;            // by the vector's stub
    uint32_t error_code;        // by the CPU, or 0 by the stub where the CPU pushes none
    uint32_t eip, cs, eflags;   // by the CPU
    uint32_t user_esp, user_ss; // by the CPU, only when it came from ring 3

    bool from_user() const { return (cs & 3) == 3; }
    /// The stack pointer before the trap. From ring 0 the CPU does not push it: the old stack goes on above the frame.
    uint32_t esp() const { return from_user() ? user_esp : reinterpret_cast<uint32_t>(&user_esp); }
};
static_assert(offsetof(TrapFrame, vector) == 48 && offsetof(TrapFrame, eip) == 56);

/// The stack after panic() has pushed its caller's registers: see trap_stubs.S.
struct PanicCall {
    PushedRegisters registers;
    uint32_t eflags;
    uint32_t return_address;
    const char* reason;
    const char* file;
    int line;
};

} // namespace i386
