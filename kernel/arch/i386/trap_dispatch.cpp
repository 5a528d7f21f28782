// The one place that every exception and interrupt comes to, called by trap_stubs.S.
#include "arch/cpu.h"
#include "arch/fault_info.h"
#include "arch/i386/exceptions.h"
#include "arch/i386/interrupts.h"
#include "arch/i386/panic_report.h"
#include "arch/i386/pic.h"
#include "arch/i386/probe.h"
#include "arch/i386/segments.h"
#include "arch/i386/trap_frame.h"

namespace i386 {
namespace {

void (*interrupt_handlers[pic::kLines])();
PageFaultHandler page_fault_handler;

void dispatch_interrupt(unsigned line) {
    if (pic::is_spurious(line)) return;
    if (interrupt_handlers[line]) interrupt_handlers[line]();
    pic::acknowledge(line);
}

/// try_read() looks at memory that may be missing. Its one access has a way out.
bool leave_probe(TrapFrame& frame) {
    if (frame.eip != reinterpret_cast<uint32_t>(probe_word_access)) return false;
    frame.eip = reinterpret_cast<uint32_t>(probe_word_failed);
    return true;
}

bool resolve_page_fault(TrapFrame& frame, VirtAddr address) {
    if (leave_probe(frame)) return true;
    const FaultInfo fault = decode_page_fault(frame.error_code, address, VirtAddr(frame.eip));
    return page_fault_handler && page_fault_handler(fault);
}

} // namespace

void set_interrupt_handler(unsigned line, void (*handler)()) {
    interrupt_handlers[line] = handler;
    pic::unmask(line);
}

extern "C" void trap_dispatch(TrapFrame* frame) {
    const VirtAddr fault_address = Cpu::fault_address(); // at once: the next page fault overwrites it
    if (frame->vector >= pic::kFirstVector) {
        dispatch_interrupt(frame->vector - pic::kFirstVector);
        return;
    }
    if (frame->vector == kPageFault && resolve_page_fault(*frame, fault_address)) return;
    panic_with(*frame, fault_address);
}

extern "C" [[noreturn]] void double_fault_dispatch() { panic_with(interrupted_task(), Cpu::fault_address()); }

} // namespace i386

void set_page_fault_handler(PageFaultHandler handler) { i386::page_fault_handler = handler; }
