/// @file
/// Into ring 3 and back: first entry, the two system call entries, the switch between kernel stacks.
#pragma once

#include <cstdint>

#include "arch/i386/trap_frame.h"
#include "lib/address.h"

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

/// Sets IDT gate 0x80 and, where the CPU has them, the SYSENTER registers. `call` gets the frame, changes its EAX, and may switch stacks.
void initialize_system_calls(void (*call)(TrapFrame& frame));

/// What ring 3 does wrong: every exception that comes from there and that the page fault handler does not resolve.
/// `fault_address` counts for page faults only.
void set_user_exception_handler(void (*handler)(TrapFrame& frame, VirtAddr fault_address));

/// Called on the way back to ring 3 from any interrupt: preemption and signals.
void set_return_to_user_handler(void (*handler)(TrapFrame& frame));

/// The user code segment ends before `line`, a page boundary (for each process; Intel SDM 3A, 5.3).
void set_user_code_limit(VirtAddr line);

} // namespace i386
