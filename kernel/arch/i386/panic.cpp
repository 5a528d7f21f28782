#include "lib/panic.h"

#include "arch/cpu.h"
#include "arch/fault_info.h"
#include "arch/i386/backtrace.h"
#include "arch/i386/exceptions.h"
#include "arch/i386/panic_report.h"
#include "arch/i386/probe.h"
#include "lib/format.h"

// Filled first, printed afterwards: whatever goes wrong while printing, the report is in memory.
i386::PanicReport panic_report;

extern "C" [[gnu::noinline, noreturn]] void panic_stop() { Cpu::halt_forever(); }

namespace i386 {
namespace {

PageWalkPrinter page_walk_printer = nullptr;

int panics = 0; ///< Begun so far. More than one means that reporting a panic failed.

/// A panic while a panic is reported: one more line, and the end. A third one ends without a word.
void stop_when_nested(uint32_t eip, const char* what) {
    if (++panics == 1) return;
    if (panics == 2) print("\npanic while reporting a panic: {} at {x8}\n", what, eip);
    panic_stop();
}

void copy_registers(PanicReport& report, const PushedRegisters& pushed) {
    report.eax = pushed.eax;
    report.ecx = pushed.ecx;
    report.edx = pushed.edx;
    report.ebx = pushed.ebx;
    report.esi = pushed.esi;
    report.edi = pushed.edi;
    report.ebp = pushed.ebp;
}

StackPlace where(const PanicReport& report) { return {VirtAddr(report.eip), VirtAddr(report.esp), VirtAddr(report.ebp)}; }

/// CR3 and the backtrace, from where the machine stands.
void finish_report(PanicReport& report) {
    report.cr3 = Cpu::page_directory().value();
    report.backtrace_depth = collect_backtrace(where(report), report.backtrace);
}

void print_exception(const PanicReport& report) {
    if (report.vector == PanicReport::kNoVector) return;
    print("exception {} {} ({})", report.vector, exception_mnemonic(report.vector), exception_name(report.vector));
    if (has_error_code(report.vector)) {
        char meaning[96];
        const size_t length = describe_error_code(report.vector, report.error_code, meaning);
        print(", error code {x}{}{}", report.error_code, length ? ": " : "", meaning);
    }
    print("\n");
}

void print_registers(const PanicReport& report) {
    print("eip {x8}  esp {x8}  ebp {x8}  eflags {x8}\n", report.eip, report.esp, report.ebp, report.eflags);
    print("eax {x8}  ecx {x8}  edx {x8}  ebx    {x8}\n", report.eax, report.ecx, report.edx, report.ebx);
    print("esi {x8}  edi {x8}  cr2 {x8}  cr3    {x8}\n", report.esi, report.edi, report.cr2, report.cr3);
}

/// CR2 tells about this panic, and not about some earlier page fault.
bool is_about_page(const PanicReport& report) {
    uint32_t word;
    return report.vector == kPageFault || (report.vector == kDoubleFault && !try_read(VirtAddr(report.esp - 4), word));
}

[[noreturn]] void print_and_stop(const PanicReport& report) {
    print("\n*** kernel panic: {}\n", report.reason);
    print_exception(report);
    print_registers(report);
    print("backtrace, innermost first\n");
    print_backtrace(where(report));
    if (is_about_page(report) && page_walk_printer) page_walk_printer(PhysAddr(report.cr3), VirtAddr(report.cr2));
    print("*** the kernel has stopped\n");
    panic_stop();
}

} // namespace

void panic_with(const TrapFrame& frame, VirtAddr fault_address) {
    stop_when_nested(frame.eip, exception_name(frame.vector));
    PanicReport& report = panic_report;
    report.vector = frame.vector;
    report.error_code = frame.error_code;
    report.eip = frame.eip;
    report.esp = frame.esp();
    report.cr2 = fault_address.value();
    report.eflags = frame.eflags;
    copy_registers(report, frame.registers);
    finish_report(report);
    explain(report);
    report.magic = PanicReport::kMagic;
    print_and_stop(report);
}

void panic_with(const TaskState& task, VirtAddr fault_address) {
    stop_when_nested(task.eip, exception_name(kDoubleFault));
    PanicReport& report = panic_report;
    report.vector = kDoubleFault;
    report.error_code = 0;
    report.eip = task.eip;
    report.esp = task.esp;
    report.cr2 = fault_address.value();
    report.eflags = task.eflags;
    copy_registers(report, {task.edi, task.esi, task.ebp, task.esp, task.ebx, task.edx, task.ecx, task.eax});
    finish_report(report);
    report.cr3 = task.cr3; // the double fault's task runs on a directory of its own
    explain(report);
    report.magic = PanicReport::kMagic;
    print_and_stop(report);
}

} // namespace i386

namespace {

/// The file's name without the folders that the compiler was called with.
const char* short_name(const char* file) {
    const char* name = file;
    for (; *file; ++file) {
        if (*file == '/') name = file + 1;
    }
    return name;
}

} // namespace

extern "C" [[noreturn]] void panic_called(const i386::PanicCall* call) {
    i386::stop_when_nested(call->return_address, call->reason);
    i386::PanicReport& report = panic_report;
    report.vector = i386::PanicReport::kNoVector;
    report.eip = call->return_address;
    report.esp = reinterpret_cast<uint32_t>(&call->reason);
    report.cr2 = Cpu::fault_address().value();
    report.eflags = call->eflags;
    i386::copy_registers(report, call->registers);
    i386::finish_report(report);
    format_into(report.reason, "{} ({}:{})", call->reason, short_name(call->file), call->line);
    report.magic = i386::PanicReport::kMagic;
    i386::print_and_stop(report);
}

void set_page_walk_printer(PageWalkPrinter printer) { i386::page_walk_printer = printer; }
