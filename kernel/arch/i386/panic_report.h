/// @file
/// The last words of a kernel, as data: filled before a panic prints anything, and left in memory for the grader to read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/i386/segments.h"
#include "arch/i386/trap_frame.h"
#include "lib/address.h"

namespace i386 {

/// 32-bit words and one text; grader/judge reads them in this order.
struct PanicReport {
    static constexpr uint32_t kMagic = 0x50414E43;     // "PANC"
    static constexpr uint32_t kNoVector = 0xFFFF'FFFF; ///< panic() was called; no exception.
    static constexpr size_t kReasonBytes = 160;
    static constexpr size_t kMaxBacktrace = 16;

    uint32_t magic;  ///< kMagic once all the rest is filled.
    uint32_t vector; ///< Of the exception, or kNoVector.
    uint32_t error_code;
    uint32_t eip, esp, ebp;
    uint32_t cr2, cr3;
    uint32_t eflags;
    uint32_t eax, ecx, edx, ebx, esi, edi;
    char reason[kReasonBytes]; ///< One sentence; ends with a zero byte.
    uint32_t backtrace_depth;
    uint32_t backtrace[kMaxBacktrace]; ///< EIP, then return addresses, innermost first.
};
static_assert(sizeof(PanicReport) == 15 * 4 + 160 + 17 * 4);

/// Reports an exception and stops the machine.
[[noreturn]] void panic_with(const TrapFrame& frame, VirtAddr fault_address);

/// Reports a double fault and stops the machine: `task` is what the CPU saved of the task that failed.
[[noreturn]] void panic_with(const TaskState& task, VirtAddr fault_address);

/// Finds the sentence for `report.reason` from everything else in it.
void explain(PanicReport& report);

} // namespace i386

extern "C" i386::PanicReport panic_report;

/// Where every panic ends, with `panic_report` filled and printed; the grader stops here.
extern "C" [[noreturn]] void panic_stop();
