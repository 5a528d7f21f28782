// Weak stand-ins for what is not written yet. Whoever writes a function removes nothing here; the file goes when all are written.
#include "lib/panic.h"
#include "mm/fault/page_fault.h"
#include "mm/object/memory_object.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/paging/shared_range.h"
#include "mm/report/reports.h"
#include "mm/space/address_space.h"
#include "mm/space/user_memory.h"
#include "proc/process.h"
#include "proc/program.h"
#include "proc/scheduler.h"
#include "proc/signals.h"
#include "arch/i386/fixups.h"
#include "arch/i386/user_mode.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"
#define UNWRITTEN [[gnu::weak]]

namespace i386 {
UNWRITTEN void set_user_code_limit(VirtAddr line) {  }
} // namespace i386
namespace mm::kernel_stacks {
UNWRITTEN Result<VirtAddr> allocate() { return Error::Unsupported; }
UNWRITTEN void free(VirtAddr top) {  }
} // namespace mm::kernel_stacks
namespace proc {
UNWRITTEN void initialize() {  }
UNWRITTEN Process& current() { PANIC("not written yet"); }
UNWRITTEN Process* find(ProcessId pid) { return nullptr; }
UNWRITTEN void for_each(void (*visit)(void* context, Process& process), void* context) {  }
UNWRITTEN size_t count() { return {}; }
UNWRITTEN Result<ProcessId> spawn(const char* path, std::span<const char* const> arguments) { return Error::Unsupported; }
UNWRITTEN Result<ProcessId> fork() { return Error::Unsupported; }
UNWRITTEN Result<void> execute(const char* path, std::span<const char* const> arguments) { return Error::Unsupported; }
[[noreturn, gnu::weak]] void exit(uint32_t wait_status) { PANIC("not written yet"); }
UNWRITTEN Result<Ended> wait(ProcessId child) { return Error::Unsupported; }
UNWRITTEN Result<Ended> wait_any() { return Error::Unsupported; }
UNWRITTEN Result<void> kill(ProcessId pid, int signal) { return Error::Unsupported; }
} // namespace proc
namespace proc::scheduler {
UNWRITTEN void make_ready(Process& process) {  }
UNWRITTEN void yield() {  }
UNWRITTEN Result<void> block(WaitQueue& queue, uint32_t timeout_ticks) { return Error::Unsupported; }
UNWRITTEN void wake_one(WaitQueue& queue) {  }
UNWRITTEN void wake_all(WaitQueue& queue) {  }
UNWRITTEN void wake(Process& process) {  }
[[noreturn, gnu::weak]] void leave() { PANIC("not written yet"); }
UNWRITTEN Statistics statistics() { return {}; }
} // namespace proc::scheduler
namespace mm::report {
UNWRITTEN void maps(const AddressSpace* space, TextWriter write, void* context) {  }
} // namespace mm::report
namespace i386 {
UNWRITTEN void set_user_fault_handler(PageFaultHandler handler) {  }
UNWRITTEN void set_user_exception_handler(void (*handler)(TrapFrame& frame, VirtAddr fault_address)) {  }
UNWRITTEN void initialize_system_calls(const SystemCallTable& table) {  }
UNWRITTEN uint32_t system_call_count() { return {}; }
UNWRITTEN TrapFrame& user_frame(VirtAddr top) { PANIC("not written yet"); }
} // namespace i386
