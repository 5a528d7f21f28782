/// @file
/// The CPU's exceptions, in words (Intel SDM 3A, 6.15).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "arch/fault_info.h"

namespace i386 {

/// Vectors that the kernel treats by name.
enum Vector : uint32_t {
    kDebug = 1,
    kBreakpoint = 3,
    kOverflow = 4,
    kDoubleFault = 8,
    kInvalidTask = 10,
    kSegmentNotPresent = 11,
    kStackFault = 12,
    kGeneralProtection = 13,
    kPageFault = 14,
};

inline constexpr uint32_t kExceptions = 32;

/// "#PF" for 14; "" for numbers that Intel keeps for itself.
const char* exception_mnemonic(uint32_t vector);

/// "page fault" for 14.
const char* exception_name(uint32_t vector);

/// Whether the CPU pushes an error code for it (Intel SDM 3A, table 6-1).
constexpr bool has_error_code(uint32_t vector) {
    return vector == kDoubleFault || (vector >= kInvalidTask && vector <= kPageFault) || vector == 17 || vector == 21 ||
           vector == 29 || vector == 30;
}

/// Decodes the error code of a page fault (Intel SDM 3A, 4.7).
constexpr FaultInfo decode_page_fault(uint32_t error_code, VirtAddr address, VirtAddr instruction) {
    return {.address = address,
            .instruction = instruction,
            .present = (error_code & 1) != 0,
            .write = (error_code & 2) != 0,
            .user = (error_code & 4) != 0,
            .reserved_bit = (error_code & 8) != 0};
}

/// Says what an error code means: "write to a page that is not present, by the kernel", "entry 3 of the GDT". Empty for an
/// exception without error code, and for an error code of 0 that says nothing.
/// @return characters written, without the zero byte at the end
size_t describe_error_code(uint32_t vector, uint32_t error_code, std::span<char> text);

} // namespace i386
