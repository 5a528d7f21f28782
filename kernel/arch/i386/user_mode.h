/// @file
/// Into ring 3 and back: first entry, the two system call entries, the switch between kernel stacks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/fault_info.h"
#include "arch/i386/trap_frame.h"
#include "lib/address.h"
#include "lib/result.h"

namespace i386 {

/// A stack of the kernel that is not running: its stack pointer, below which switch_stack() left the callee-saved registers.
struct KernelContext {
    uint32_t esp = 0;
};

/// Saves the running stack in `from` and goes on with `to`, where that called switch_stack() (or where prepare_stack() said).
/// Interrupts must be off.
extern "C" void switch_stack(KernelContext* from, const KernelContext* to);

/// A new stack that begins in `entry`, which must not return.
KernelContext prepare_stack(VirtAddr top, void (*entry)());

/// The trap frame of a process whose kernel stack ends at `top`: where ring 3's registers lie whenever it is in the kernel.
TrapFrame& user_frame(VirtAddr top);

/// Loads ring 3's registers from the frame at the top of the running kernel stack. Never returns.
extern "C" [[noreturn]] void enter_user_mode(TrapFrame* frame);

/// A frame with flat user segments, interrupts on, all registers 0.
void prepare_user_frame(TrapFrame& frame, VirtAddr entry, VirtAddr stack);

/// Gives the frame's data segments their usual values: SYSENTER leaves them unspecified, so who copies a frame calls this.
void flatten_data_segments(TrapFrame& frame);

/// The arguments of a system call: the caller's registers by another name, in the order of abi/system_calls.h.
struct SystemCallArguments : TrapFrame {
    uint32_t operator[](size_t index) const {
        const PushedRegisters& r = registers;
        const uint32_t words[] = {r.ebx, r.ecx, r.edx, r.esi, r.edi, r.ebp};
        return words[index];
    }
};

/// Serves one system call. Called straight from the entry, with interrupts off, on the process's kernel stack; may switch stacks.
using SystemCallHandler = Result<uint32_t> (*)(const SystemCallArguments& arguments);

/// What the entries need to know.
struct SystemCallTable {
    const SystemCallHandler* handlers;     ///< By number; one more behind the last, for all numbers that are none.
    uint32_t count;
    int (*error_number)(Error error);      ///< The errno of an error, positive.
};

/// Sets IDT gate 0x80 and, where the CPU has them, the SYSENTER registers.
void initialize_system_calls(const SystemCallTable& table);

/// System calls so far.
uint32_t system_call_count();

/// What ring 3 does wrong: every exception that comes from there and that the page fault handlers do not resolve.
/// `fault_address` counts for page faults only.
void set_user_exception_handler(void (*handler)(TrapFrame& frame, VirtAddr fault_address));

/// Asked about page faults that the shared range does not explain: true when the instruction may run again.
void set_user_fault_handler(PageFaultHandler handler);

/// Called on the way back to ring 3 after request_return_work(): preemption and signals.
void set_return_to_user_handler(void (*handler)(TrapFrame& frame));

/// Somebody wants the return-to-user handler to be called before ring 3 goes on; one request, one call.
void request_return_work();
/// Forgets that: another process goes on instead.
void cancel_return_work();

/// System calls give EAX back and leave the other registers to the compiler's calling convention. Whoever writes to the user frame in
/// the middle of a call says so here, and all registers are loaded from it.
inline void reload_user_registers() { request_return_work(); }

/// The user code segment ends before `line`, a page boundary (for each process; Intel SDM 3A, 5.3).
void set_user_code_limit(VirtAddr line);

} // namespace i386
