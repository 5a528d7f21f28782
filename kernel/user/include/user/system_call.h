/// @file
/// Calls of the kernel, raw: a number, up to six words, one word back (abi/system_calls.h). The other headers wrap them by name.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/errors.h"
#include "abi/system_calls.h"

/// Results from -4095 to -1 are errors; addresses may have their highest bit set and are none.
constexpr bool is_error(uint32_t result) { return result > 0xFFFF'F000; }
inline bool is_error(const void* result) { return is_error(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(result))); }

/// "no such file or folder", for an errno (also a negative one).
const char* error_text(int error);

namespace system_call {

/// By `int 0x80`, for up to three arguments: always there. All registers but EAX stay.
inline uint32_t by_interrupt(abi::SystemCall call, uint32_t first = 0, uint32_t second = 0, uint32_t third = 0) {
    uint32_t result;
    asm volatile("int $0x80" : "=a"(result) : "a"(call), "b"(first), "c"(second), "d"(third) : "memory");
    return result;
}

/// By `int 0x80`, with six arguments.
extern "C" uint32_t system_call_with_six(abi::SystemCall call, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth,
                                         uint32_t fifth, uint32_t sixth);

/// By SYSENTER: only where has_sysenter() says so. The kernel goes on at EDI with the stack at ESI, both set by the helper: right behind
/// the call that led to it.
inline uint32_t by_sysenter(abi::SystemCall call, uint32_t first = 0, uint32_t second = 0, uint32_t third = 0) {
    uint32_t result;
    asm volatile("call enter_kernel_fast"
                 : "=a"(result), "+c"(second), "+d"(third)
                 : "a"(call), "b"(first)
                 : "esi", "edi", "cc", "memory");
    return result;
}

/// Whether this CPU has SYSENTER (Intel SDM 2B, SYSENTER): asked once, when the program starts.
extern bool sysenter_usable;
inline bool has_sysenter() { return sysenter_usable; }

/// The fastest way for up to three arguments.
inline uint32_t fast(abi::SystemCall call, uint32_t first = 0, uint32_t second = 0, uint32_t third = 0) {
    return sysenter_usable ? by_sysenter(call, first, second, third) : by_interrupt(call, first, second, third);
}

/// What abi::SystemCall::Debug does is up to the kernel's tests. -ENOSYS without them.
inline uint32_t debug(uint32_t first = 0, uint32_t second = 0, uint32_t third = 0) {
    return by_interrupt(abi::SystemCall::Debug, first, second, third);
}

/// An address as an argument.
inline uint32_t word(const void* address) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(address)); }

} // namespace system_call
