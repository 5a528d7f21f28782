// What user code does wrong, as the CPU says it, turned into signals.
#include <iterator>

#include "abi/signals.h"
#include "arch/i386/branch.h"
#include "arch/i386/exceptions.h"
#include "arch/i386/user_mode.h"
#include "lib/panic.h"
#include "mm/fault/page_fault.h"
#include "mm/space/address_space.h"
#include "mm/space/user_memory.h"
#include "proc/process.h"
#include "proc/signals.h"

namespace proc::signals {
namespace {

using mm::fault::Decision;
using mm::fault::Outcome;
using mm::fault::Reason;

/// About the latest page fault. It is read directly after it was made, before anything else can fault.
constinit Decision latest;

/// What a system call answers whose access to user memory failed.
Error error_of(const Decision& decision) {
    if (decision.outcome == Outcome::OutOfMemory) return Error::OutOfMemory;
    return decision.reason == Reason::Device ? Error::DeviceError : Error::BadAddress;
}

bool resolve_page_fault(const FaultInfo& fault) {
    Process& self = current();
    // A stack grows near the stack pointer: what ring 3 had when it came in, by the fault itself or by a system call.
    const VirtAddr stack_pointer(self.has_user_code() ? self.frame().user_esp : 0);
    latest = mm::fault::handle(mm::spaces::active(), fault, stack_pointer);
    mm::fault::count(self.faults, latest);
    const bool goes_on = latest.outcome == Outcome::Resolved || latest.outcome == Outcome::Retry;
    if (!goes_on && !fault.user) mm::note_user_access_failed(error_of(latest));
    return goes_on;
}

struct ExceptionSignal {
    uint32_t vector;
    int signal;
};

/// Those of Intel SDM 3A, table 6-1, that user code can bring about; page faults are treated apart.
constexpr ExceptionSignal kSignals[] = {
    {0, abi::SIGFPE},                   // #DE
    {i386::kDebug, abi::SIGTRAP},       // it has set TF
    {i386::kBreakpoint, abi::SIGTRAP},
    {i386::kOverflow, abi::SIGSEGV},
    {5, abi::SIGSEGV},                  // #BR
    {6, abi::SIGILL},                   // #UD
    {7, abi::SIGILL},                   // #NM: the kernel does not save the state of a floating point unit, so there is none
    {i386::kInvalidTask, abi::SIGSEGV},
    {i386::kSegmentNotPresent, abi::SIGSEGV},
    {i386::kStackFault, abi::SIGSEGV},
    {i386::kGeneralProtection, abi::SIGSEGV},
    {16, abi::SIGFPE},                  // #MF
    {17, abi::SIGBUS},                  // #AC
    {19, abi::SIGFPE},                  // #XM
};

void on_page_fault(i386::TrapFrame& frame, VirtAddr address) {
    if (latest.outcome == Outcome::OutOfMemory) {
        raise_fault(frame, abi::SIGKILL, address, Reason::None, "out of memory");
        return;
    }
    const bool is_bus = latest.reason == Reason::PastEnd || latest.reason == Reason::Device;
    raise_fault(frame, is_bus ? abi::SIGBUS : abi::SIGSEGV, address, latest.reason, mm::fault::reason_text(latest.reason));
}

/// Where the process was about to go on, when that lies behind the limit of its code segment. A jump there is a #GP at the jump; an
/// instruction that begins there, or reaches over the limit, is one at itself.
bool left_its_code(const i386::TrapFrame& frame, VirtAddr& target) {
    constexpr uint32_t longest_instruction = 15;
    const VirtAddr line = mm::spaces::execute_line(mm::spaces::active());
    target = VirtAddr(frame.eip);
    if (target >= line) return true;
    const i386::PushedRegisters& r = frame.registers;
    const auto branch = i386::branch_target({{r.eax, r.ecx, r.edx, r.ebx, frame.user_esp, r.ebp, r.esi, r.edi}, frame.eip});
    if (branch && VirtAddr(*branch) >= line) {
        target = VirtAddr(*branch);
        return true;
    }
    target = line;
    return !branch && line.value() - frame.eip < longest_instruction;
}

void on_exception(i386::TrapFrame& frame, VirtAddr fault_address) {
    if (frame.vector == i386::kPageFault) return on_page_fault(frame, fault_address);
    VirtAddr target;
    if (frame.vector == i386::kGeneralProtection && frame.error_code == 0 && left_its_code(frame, target)) {
        raise_fault(frame, abi::SIGSEGV, target, Reason::NotExecutable, "execution outside the program's code");
        return;
    }
    for (const ExceptionSignal& entry : kSignals) {
        if (entry.vector != frame.vector) continue;
        raise_fault(frame, entry.signal, VirtAddr(frame.eip), Reason::None, i386::exception_name(frame.vector));
        return;
    }
    PANIC("an exception that is not user code's fault came from there");
}

} // namespace

void initialize() {
    set_page_fault_handler(mm::fault::resolve_shared_range); // and counts, from now on
    i386::set_user_fault_handler(resolve_page_fault);
    i386::set_user_exception_handler(on_exception);
}

} // namespace proc::signals
