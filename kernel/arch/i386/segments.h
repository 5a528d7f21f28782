/// @file
/// Segments: base and limit of what CS, DS and SS reach (Intel SDM 3A, 3.4), and the task state segments.
///
/// Paging does the real work, so every segment begins at 0 and most end at 4 GiB. Two limits matter. The kernel's code ends
/// with the kernel's text: there is no no-execute bit in 32-bit page tables, so this is what keeps data from being run. And
/// the double fault has a task of its own, which brings its own stack when the kernel's stack is gone.
#pragma once

#include <cstdint>

#include "lib/address.h"

namespace i386 {

/// Segment selectors: index in the GDT * 8 + requested privilege level.
enum Selector : uint16_t {
    kNullSelector = 0x00,
    kKernelCode = 0x08,
    kKernelData = 0x10,     ///< For SS only; DS, ES, FS and GS hold kUserData in the kernel, too (trap_stubs.S).
    kUserCode = 0x18 | 3,
    kUserData = 0x20 | 3,
    kTaskSelector = 0x28,
    kDoubleFaultSelector = 0x30,
};

/// The 32-bit task state segment (Intel SDM 3A, 7.2.1). Only a task switch through the double fault's gate uses most of it;
/// otherwise the CPU reads `esp0` and `ss0` when ring 3 is interrupted.
struct TaskState {
    uint32_t previous_task = 0;
    uint32_t esp0 = 0, ss0 = 0, esp1 = 0, ss1 = 0, esp2 = 0, ss2 = 0;
    uint32_t cr3 = 0, eip = 0, eflags = 0;
    uint32_t eax = 0, ecx = 0, edx = 0, ebx = 0, esp = 0, ebp = 0, esi = 0, edi = 0;
    uint32_t es = 0, cs = 0, ss = 0, ds = 0, fs = 0, gs = 0, ldt = 0;
    uint16_t debug_trap = 0;
    uint16_t io_map_base = sizeof(uint32_t) * 26; ///< At the segment's end: no I/O permission bitmap.
};
static_assert(sizeof(TaskState) == 104);

/// Loads the GDT, the segment registers and the task register.
void initialize_segments();

/// The state that the double fault found: the CPU saved it there when it switched tasks. CR3 is what note_page_directory()
/// was last told.
const TaskState& interrupted_task();

/// The page directory that the double fault's task runs on. Must be set before paging is turned on, and must map the kernel.
void set_double_fault_directory(PhysAddr directory);

/// Lets ring 3 enter at `entry` by SYSENTER, which the CPU must have (Cpu::has_sysenter()).
void set_sysenter(void (*entry)());

/// Where the stack begins when ring 3 enters the kernel.
void set_kernel_stack(VirtAddr top);

} // namespace i386
