// The one place that every exception and interrupt comes to, called by trap_stubs.S.
#include "arch/cpu.h"
#include "arch/fault_info.h"
#include "arch/i386/exceptions.h"
#include "arch/i386/fixups.h"
#include "arch/i386/interrupts.h"
#include "arch/i386/panic_report.h"
#include "arch/i386/pic.h"
#include "arch/i386/probe.h"
#include "arch/i386/segments.h"
#include "arch/i386/trap_frame.h"
#include "arch/i386/user_mode.h"

// user_entry.S, trap_stubs.S: where the kernel goes back to ring 3, and the first instruction of one way in.
extern "C" const char system_call_iret[], sysenter_iret[], enter_user_mode_iret[], trap_iret[], sysenter_entry[];
extern "C" volatile uint32_t user_return_work;              // user_mode.cpp
extern "C" void do_return_work(i386::TrapFrame* frame);

namespace i386 {
namespace {

void (*interrupt_handlers[pic::kLines])();
PageFaultHandler page_fault_handler;
PageFaultHandler user_fault_handler;
void (*user_exception_handler)(TrapFrame& frame, VirtAddr fault_address);

void dispatch_interrupt(unsigned line) {
    if (pic::is_spurious(line)) return;
    if (interrupt_handlers[line]) interrupt_handlers[line]();
    pic::acknowledge(line);
}

constexpr uint32_t kIretBytes = 20; ///< EIP, CS, EFLAGS, ESP, SS.

bool is_at(const TrapFrame& frame, const char* label) { return frame.eip == reinterpret_cast<uint32_t>(label); }

/// try_read() looks at memory that may be missing. Its one access has a way out.
bool leave_probe(TrapFrame& frame) {
    if (frame.eip != reinterpret_cast<uint32_t>(probe_word_access)) return false;
    frame.eip = reinterpret_cast<uint32_t>(probe_word_failed);
    return true;
}

/// User code's faults are for the dispatcher of mm/fault/page_fault.h. The kernel's may be about its shared range. It touches user memory
/// by a few instructions only, each with a fix-up that ends the copying when the fault cannot be resolved; whatever else of it faults is
/// broken, wherever that reaches.
bool resolve_page_fault(TrapFrame& frame, VirtAddr address) {
    const FaultInfo fault = decode_page_fault(frame.error_code, address, VirtAddr(frame.eip));
    if (frame.from_user()) return user_fault_handler && user_fault_handler(fault);
    if (leave_probe(frame)) return true;
    if (page_fault_handler && page_fault_handler(fault)) return true;
    const uint32_t fixup = find_fixup(frame.eip);
    if (fixup == 0) return false;
    if (user_fault_handler && user_fault_handler(fault)) return true;
    frame.eip = fixup;
    return true;
}

/// SYSENTER does not clear TF: who single-steps into the kernel traps at our first instruction, with the frame as the only thing on the
/// stack. Our own flags come right after it.
bool leave_single_step(TrapFrame& frame) {
    constexpr uint32_t trap_flag = 1u << 8;
    if (frame.vector != kDebug || frame.from_user() || !is_at(frame, sysenter_entry)) return false;
    frame.eflags &= ~trap_flag;
    return true;
}

bool is_return_to_user(const TrapFrame& frame) {
    return is_at(frame, trap_iret) || is_at(frame, system_call_iret) || is_at(frame, sysenter_iret) || is_at(frame, enter_user_mode_iret);
}

/// The way back to ring 3 failed: EIP lies behind the end of its code segment. To ring 3 that is an exception of its own. What IRET would
/// have popped still lies at the top of the stack, and this exception's frame over the rest of the user frame; all registers were
/// ring 3's already.
[[noreturn]] void raise_failed_return(const TrapFrame& frame, VirtAddr fault_address) {
    const TrapFrame failed = frame;
    TrapFrame& user = user_frame(VirtAddr(frame.esp()) + kIretBytes);
    user.registers = failed.registers;
    flatten_data_segments(user);
    user.vector = failed.vector;
    user.error_code = 0;
    user_exception_handler(user, fault_address);
    if (user_return_work) do_return_work(&user);
    enter_user_mode(&user);
}

void dispatch_exception(TrapFrame& frame, VirtAddr fault_address) {
    if (frame.vector == kPageFault && resolve_page_fault(frame, fault_address)) return;
    if (leave_single_step(frame)) return;
    if (user_exception_handler && frame.from_user()) return user_exception_handler(frame, fault_address);
    if (user_exception_handler && frame.vector == kGeneralProtection && is_return_to_user(frame)) raise_failed_return(frame, fault_address);
    panic_with(frame, fault_address);
}

} // namespace

void set_interrupt_handler(unsigned line, void (*handler)()) {
    interrupt_handlers[line] = handler;
    pic::unmask(line);
}

void set_user_exception_handler(void (*handler)(TrapFrame& frame, VirtAddr fault_address)) { user_exception_handler = handler; }
void set_user_fault_handler(PageFaultHandler handler) { user_fault_handler = handler; }

extern "C" void trap_dispatch(TrapFrame* frame) {
    const VirtAddr fault_address = Cpu::fault_address(); // at once: the next page fault overwrites it
    if (frame->vector >= pic::kFirstVector)
        dispatch_interrupt(frame->vector - pic::kFirstVector);
    else
        dispatch_exception(*frame, fault_address);
    if (user_return_work && frame->from_user()) do_return_work(frame);
}

extern "C" [[noreturn]] void double_fault_dispatch() { panic_with(interrupted_task(), Cpu::fault_address()); }

} // namespace i386

void set_page_fault_handler(PageFaultHandler handler) { i386::page_fault_handler = handler; }
