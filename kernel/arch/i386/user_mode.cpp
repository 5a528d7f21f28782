#include "arch/i386/user_mode.h"

#include "arch/cpu.h"
#include "arch/i386/segments.h"
#include "arch/i386/traps.h"

// user_entry.S
extern "C" void system_call_entry();
extern "C" void sysenter_entry();

// What user_entry.S reads at every call.
extern "C" {
const i386::SystemCallHandler* system_call_handlers = nullptr;
uint32_t system_call_numbers = 0;   // from here on there are none
int (*system_call_error_number)(Error error) = nullptr;
uint32_t system_calls_made = 0;
volatile uint32_t user_return_work = 0;
}

namespace i386 {
namespace {

constexpr uint32_t kInterruptsOn = 1u << 9; // EFLAGS.IF
constexpr uint32_t kAlwaysOne = 1u << 1;

void (*return_to_user_handler)(TrapFrame& frame) = nullptr;

/// What switch_stack() pops, lowest address first, and where it returns to.
struct NewStack {
    uint32_t edi = 0, esi = 0, ebx = 0;
    uint32_t ebp = 0;             // a zero EBP ends every backtrace
    void (*entry)() = nullptr;
    uint32_t return_address = 0;  // of `entry`, which does not return
};

} // namespace

KernelContext prepare_stack(VirtAddr top, void (*entry)()) {
    auto* const stack = reinterpret_cast<NewStack*>(&user_frame(top)) - 1;
    *stack = {};
    stack->entry = entry;
    return {reinterpret_cast<uint32_t>(stack)};
}

TrapFrame& user_frame(VirtAddr top) { return *(pointer_to<TrapFrame>(top) - 1); }

void prepare_user_frame(TrapFrame& frame, VirtAddr entry, VirtAddr stack) {
    frame = {};
    frame.gs = frame.fs = frame.es = frame.ds = kUserData;
    frame.eip = entry.value();
    frame.cs = kUserCode;
    frame.eflags = kInterruptsOn | kAlwaysOne;
    frame.user_esp = stack.value();
    frame.user_ss = kUserData;
}

void flatten_data_segments(TrapFrame& frame) { frame.gs = frame.fs = frame.es = frame.ds = kUserData; }

void initialize_system_calls(const SystemCallTable& table) {
    system_call_handlers = table.handlers;
    system_call_numbers = table.count;
    system_call_error_number = table.error_number;
    set_system_call_gate(system_call_entry);
    if (Cpu::has_sysenter()) set_sysenter(sysenter_entry);
    Cpu::forbid_floating_point();
}

uint32_t system_call_count() { return system_calls_made; }

void set_return_to_user_handler(void (*handler)(TrapFrame& frame)) { return_to_user_handler = handler; }

void request_return_work() { user_return_work = 1; }
void cancel_return_work() { user_return_work = 0; }

/// Called on every way back to ring 3 while there is a request.
extern "C" void do_return_work(TrapFrame* frame) {
    user_return_work = 0;
    if (return_to_user_handler) return_to_user_handler(*frame);
}

} // namespace i386
