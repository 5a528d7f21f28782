#include "proc/signals.h"

#include "abi/signals.h"
#include "arch/i386/segments.h"
#include "arch/i386/user_mode.h"
#include "lib/format.h"
#include "mm/paging/page_table.h"
#include "mm/space/user_memory.h"
#include "proc/console.h"

namespace proc::signals {
namespace {

using mm::fault::Reason;

/// EFLAGS (Intel SDM 1, 3.4.3).
enum Flags : uint32_t {
    kAlwaysOne = 1u << 1,
    kTrap = 1u << 8,
    kInterrupts = 1u << 9,
    kDirection = 1u << 10,
    kResume = 1u << 16,
    kUserMay = 0x0024'0CD5 | kTrap,  ///< Carry to overflow, direction, alignment check, identification.
};

/// What a handler finds on its stack.
struct HandlerCall {
    uint32_t return_address;
    uint32_t signal;
    uint32_t frame_address;
    abi::SignalFrame frame;
};
static_assert(sizeof(HandlerCall) == 12 + sizeof(abi::SignalFrame));

constexpr uint32_t bit(int signal) { return 1u << signal; }

bool is_signal(int signal) { return signal > 0 && signal < abi::kSignals; }

/// On the console, where the programs' text goes.
void say(const char* text, size_t length) {
    fs::Node& node = console::node();
    (void)node.operations->write(node, 0, text, length);
}

[[noreturn]] void end(int signal, const char* reason) {
    const Process& process = current();
    char text[160];
    const size_t length =
        format_into(text, "{}[{}] killed by {}{}{}\n", PrintableName(process).text, process.pid, name(signal), *reason ? ": " : "", reason);
    say(text, length);
    exit(abi::killed(static_cast<uint32_t>(signal)));
}

/// Whether the CPU can go on there: loading an EIP behind the code segment's limit faults in the kernel (Intel SDM 2A, IRET).
bool is_code_address(uint32_t address) {
    return address >= mm::kUserBegin && VirtAddr(address) < mm::spaces::execute_line(current().space);
}

void use_flat_segments(i386::TrapFrame& frame) {
    frame.cs = i386::kUserCode;
    frame.user_ss = frame.ds = frame.es = frame.fs = frame.gs = i386::kUserData;
}

abi::SignalFrame save(const i386::TrapFrame& frame, int signal, VirtAddr address, Reason reason) {
    const i386::PushedRegisters& r = frame.registers;
    return {.signal = static_cast<uint32_t>(signal),
            .address = address.value(),
            .reason = static_cast<uint32_t>(reason),
            .edi = r.edi,
            .esi = r.esi,
            .ebp = r.ebp,
            .esp = frame.user_esp,
            .ebx = r.ebx,
            .edx = r.edx,
            .ecx = r.ecx,
            .eax = r.eax,
            .eip = frame.eip,
            .eflags = frame.eflags};
}

void restore(i386::TrapFrame& frame, const abi::SignalFrame& saved) {
    i386::PushedRegisters& r = frame.registers;
    r.edi = saved.edi;
    r.esi = saved.esi;
    r.ebp = saved.ebp;
    r.ebx = saved.ebx;
    r.edx = saved.edx;
    r.ecx = saved.ecx;
    r.eax = saved.eax;
    frame.user_esp = saved.esp;
    frame.eip = saved.eip;
    frame.eflags = (saved.eflags & kUserMay) | kAlwaysOne | kInterrupts;
    use_flat_segments(frame);
}

/// Lets the process go on in its handler; ends it when it has no stack to run one on.
void call_handler(i386::TrapFrame& frame, int signal, VirtAddr address, Reason reason) {
    constexpr uint32_t stack_alignment = 16; // of the first argument (System V ABI, Intel386 supplement 1.1, 2.2.2)
    Process& process = current();
    const uint32_t handler = process.handlers[signal];
    const uint32_t first_argument =
        align_down(frame.user_esp - (sizeof(HandlerCall) - sizeof(HandlerCall::return_address)), stack_alignment);
    const uint32_t stack = first_argument - sizeof(HandlerCall::return_address);
    const HandlerCall call = {process.signal_restorer, static_cast<uint32_t>(signal), stack + offsetof(HandlerCall, frame),
                              save(frame, signal, address, reason)};
    if (!is_code_address(handler)) end(signal, "its handler is not in the program's code");
    frame.user_esp = stack; // before the write, which may have to grow the stack: it grows near the stack pointer
    const Result<void> written = mm::write_user(VirtAddr(stack), call);
    if (written.error() == Error::OutOfMemory) end(abi::SIGKILL, "out of memory");
    if (written.is_error()) end(signal, "its handler has no stack");
    process.in_handler = true;
    frame.eip = handler;
    frame.eflags &= ~static_cast<uint32_t>(kTrap | kDirection | kResume);
    use_flat_segments(frame);
}

void describe(std::span<char> text, const i386::TrapFrame& frame, VirtAddr address, Reason reason, const char* what) {
    if (reason == Reason::None)
        format_into(text, "{}, eip {x8}", what, frame.eip);
    else
        format_into(text, "{} at {x8}, eip {x8}", what, address, frame.eip);
}

} // namespace

void raise_fault(i386::TrapFrame& frame, int signal, VirtAddr address, Reason reason, const char* what) {
    const Process& process = current();
    const bool may_be_caught = signal != abi::SIGKILL && process.handlers[signal] != 0 && !process.in_handler;
    if (may_be_caught) return call_handler(frame, signal, address, reason);
    char text[112];
    describe(text, frame, address, reason, what);
    end(signal, text);
}

void deliver(i386::TrapFrame& frame) {
    Process& process = current();
    if (process.pending_signals == 0) return;
    if (process.pending_signals & bit(abi::SIGKILL)) end(abi::SIGKILL, "");
    for (int signal = 1; signal < abi::kSignals; ++signal) {
        if (!(process.pending_signals & bit(signal))) continue;
        if (process.handlers[signal] == 0) end(signal, "");
        if (process.in_handler) continue;
        process.pending_signals &= ~bit(signal);
        call_handler(frame, signal, {}, Reason::None);
    }
}

Result<void> set_handler(int signal, uint32_t handler, uint32_t restorer) {
    if (!is_signal(signal) || signal == abi::SIGKILL) return Error::InvalidArgument;
    Process& process = current();
    process.handlers[signal] = handler;
    if (handler != 0) process.signal_restorer = restorer;
    return {};
}

Result<void> return_from_handler(i386::TrapFrame& frame) {
    Process& process = current();
    if (!process.in_handler) return Error::InvalidArgument;
    constexpr uint32_t above_stack_pointer = offsetof(HandlerCall, frame) - offsetof(HandlerCall, signal);
    const auto saved = mm::read_user<abi::SignalFrame>(VirtAddr(frame.user_esp) + above_stack_pointer);
    if (saved.is_error()) end(abi::SIGSEGV, "a handler returned without its frame");
    if (!is_code_address(saved.value().eip)) end(abi::SIGSEGV, "a handler returned to outside the program's code");
    process.in_handler = false;
    restore(frame, saved.value());
    i386::reload_user_registers(); // and looks for what has become pending meanwhile
    return {};
}

const char* name(int signal) {
    switch (signal) {
    case abi::SIGILL: return "SIGILL";
    case abi::SIGTRAP: return "SIGTRAP";
    case abi::SIGBUS: return "SIGBUS";
    case abi::SIGFPE: return "SIGFPE";
    case abi::SIGKILL: return "SIGKILL";
    case abi::SIGSEGV: return "SIGSEGV";
    case abi::SIGTERM: return "SIGTERM";
    default: return "a signal without a name";
    }
}

} // namespace proc::signals
