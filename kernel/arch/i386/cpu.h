/// @file
/// The i386 behind the seam of arch/cpu.h: one instruction or a few per function. Include arch/cpu.h, not this.
#pragma once

#include <cstdint>

#include "arch/i386/probe.h"
#include "config.h"
#include "lib/address.h"

namespace i386 {

/// Control register bits that the kernel knows (Intel SDM 3A, 2.5).
namespace control_bits {
inline constexpr uint32_t kCr0Emulation = 1u << 2;     ///< CR0.EM: there is no floating point unit.
inline constexpr uint32_t kCr0WriteProtect = 1u << 16; ///< CR0.WP: read-only pages bind the kernel, too.
inline constexpr uint32_t kCr0Paging = 1u << 31;       ///< CR0.PG
inline constexpr uint32_t kCr4LargePages = 1u << 4;    ///< CR4.PSE
inline constexpr uint32_t kCr4GlobalPages = 1u << 7;   ///< CR4.PGE
} // namespace control_bits

/// Writes down which directory the running task uses, for the double fault's report: a task switch does not save CR3.
void note_page_directory(PhysAddr directory);

/// Satisfies the concept Architecture.
struct Cpu {
    static uint32_t cr0() {
        uint32_t value;
        asm volatile("mov %%cr0, %0" : "=r"(value));
        return value;
    }
    static uint32_t cr4() {
        uint32_t value;
        asm volatile("mov %%cr4, %0" : "=r"(value));
        return value;
    }
    static void set_cr0(uint32_t value) { asm volatile("mov %0, %%cr0" : : "r"(value) : "memory"); }
    static void set_cr4(uint32_t value) { asm volatile("mov %0, %%cr4" : : "r"(value) : "memory"); }

    /// EDX of CPUID leaf 1 (Intel SDM 2A, CPUID): bit 3 is PSE, bit 13 PGE. The 486 of before 1993 that has no CPUID is not
    /// supported.
    static uint32_t features() {
        uint32_t eax = 1, ebx, ecx, edx;
        asm("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
        return edx;
    }
    /// The Pentium Pro (family 6, models below 3) says that it has SYSENTER, and has not (Intel SDM 2B, SYSENTER).
    static bool has_sysenter() {
        uint32_t signature = 1, ebx, ecx, edx;
        asm("cpuid" : "+a"(signature), "=b"(ebx), "=c"(ecx), "=d"(edx));
        const uint32_t family = (signature >> 8) & 0xF, model = (signature >> 4) & 0xF, stepping = signature & 0xF;
        return (edx & (1u << 11)) && !(family == 6 && model < 3 && stepping < 3);
    }
    static bool has_large_pages() { return features() & (1u << 3); }
    static bool has_global_pages() { return features() & (1u << 13); }

    /// CR4 first: a large page in the tables means something else, or nothing, as long as PSE is off (Intel SDM 3A, 4.1.1).
    static void enable_paging(PhysAddr directory) {
        uint32_t extensions = 0;
        if (has_large_pages()) extensions |= control_bits::kCr4LargePages;
        if (has_global_pages()) extensions |= control_bits::kCr4GlobalPages;
        if (extensions != 0) set_cr4(cr4() | extensions);
        load_page_directory(directory);
        // WP in every configuration: a read-only page of a process is read-only for the system call that writes into its buffer, too.
        set_cr0(cr0() | control_bits::kCr0Paging | control_bits::kCr0WriteProtect);
    }

    static void write_model_register(uint32_t number, uint32_t value) {
        asm volatile("wrmsr" : : "c"(number), "a"(value), "d"(0) : "memory");
    }

    /// Floating point instructions raise #NM from now on, SSE ones #UD (CR0.EM): there is one set of those registers, and nobody who
    /// would keep one process's contents from the next.
    static void forbid_floating_point() { set_cr0(cr0() | control_bits::kCr0Emulation); }

    static bool is_paging() { return cr0() & control_bits::kCr0Paging; }

    static void load_page_directory(PhysAddr directory) {
        note_page_directory(directory);
        asm volatile("mov %0, %%cr3" : : "r"(directory.value()) : "memory");
    }

    static PhysAddr page_directory() {
        uint32_t value;
        asm volatile("mov %%cr3, %0" : "=r"(value) : : "memory");
        return PhysAddr(value & ~uint32_t{0xFFF}); // bits 3 and 4 are cache controls
    }

    static VirtAddr fault_address() {
        uint32_t value;
        asm volatile("mov %%cr2, %0" : "=r"(value));
        return VirtAddr(value);
    }

    static bool try_read(VirtAddr address, uint32_t& word) { return i386::try_read(address, word); }

    static void invalidate_page(VirtAddr address) { asm volatile("invlpg (%0)" : : "r"(address.value()) : "memory"); }

    /// Changing CR4.PGE forgets everything (Intel SDM 3A, 4.10.4.1); without global pages a reload of CR3 does.
    static void flush_including_global() {
        const uint32_t old = cr4();
        if (old & control_bits::kCr4GlobalPages) {
            set_cr4(old & ~control_bits::kCr4GlobalPages);
            set_cr4(old);
        } else {
            load_page_directory(page_directory());
        }
    }

    /// The time stamp counter.
    static uint64_t ticks() {
        uint64_t value;
        asm volatile("rdtsc" : "=A"(value) : : "memory");
        return value;
    }

    static void enable_interrupts() { asm volatile("sti" : : : "memory"); }
    static void disable_interrupts() { asm volatile("cli" : : : "memory"); }

    static bool interrupts_are_on() {
        uint32_t flags;
        asm volatile("pushf\n\tpop %0" : "=r"(flags) : : "memory");
        return flags & (1u << 9); // EFLAGS.IF
    }

    /// STI takes effect after the next instruction, so no interrupt can slip in between and be slept through.
    static void idle() { asm volatile("sti; hlt" : : : "memory"); }

    [[noreturn]] static void halt_forever() {
        for (;;) asm volatile("cli; hlt" : : : "memory");
    }

    /// Leaves the stack in use for good. A zero return address and a zero EBP end every backtrace there.
    [[noreturn]] static void run_on_stack(VirtAddr top, void (*entry)()) {
        asm volatile("mov %0, %%esp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "push $0\n\t"
                     "jmp *%1"
                     :
                     : "r"(top.value()), "r"(entry)
                     : "memory");
        __builtin_unreachable();
    }
};

} // namespace i386
