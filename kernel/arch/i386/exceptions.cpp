#include "arch/i386/exceptions.h"

#include "lib/format.h"

namespace i386 {
namespace {

struct Exception {
    const char* mnemonic;
    const char* name;
};

constexpr Exception kReserved = {"", "reserved exception"};

/// Intel SDM 3A, table 6-1.
constexpr Exception kTable[kExceptions] = {
    {"#DE", "division by zero or overflow"},
    {"#DB", "debug exception"},
    {"NMI", "non-maskable interrupt"},
    {"#BP", "breakpoint"},
    {"#OF", "overflow"},
    {"#BR", "bound range exceeded"},
    {"#UD", "invalid instruction"},
    {"#NM", "no floating point unit"},
    {"#DF", "double fault"},
    {"", "coprocessor segment overrun"},
    {"#TS", "invalid task state segment"},
    {"#NP", "segment not present"},
    {"#SS", "stack segment fault"},
    {"#GP", "general protection fault"},
    {"#PF", "page fault"},
    kReserved,
    {"#MF", "floating point error"},
    {"#AC", "alignment check"},
    {"#MC", "machine check"},
    {"#XM", "SIMD floating point error"},
    {"#VE", "virtualization exception"},
    {"#CP", "control protection exception"},
    kReserved,
    kReserved,
    kReserved,
    kReserved,
    kReserved,
    kReserved,
    {"#HV", "hypervisor injection exception"},
    {"#VC", "VMM communication exception"},
    {"#SX", "security exception"},
    kReserved,
};

const char* access_name(const FaultInfo& fault) { return fault.write ? "write to" : "read of"; }

size_t describe_page_fault(uint32_t error_code, std::span<char> text) {
    const FaultInfo fault = decode_page_fault(error_code, {}, {});
    return format_into(text, "{} a {} page by {}{}", access_name(fault), fault.present ? "present" : "missing",
                       fault.user ? "user code" : "the kernel", fault.reserved_bit ? ": an entry has a reserved bit set" : "");
}

/// Intel SDM 3A, figure 6-7.
size_t describe_selector(uint32_t error_code, std::span<char> text) {
    if (error_code == 0) return format_into(text, "no selector");
    const char* const table = error_code & 2 ? "IDT" : error_code & 4 ? "LDT" : "GDT";
    return format_into(text, "entry {} of the {}{}", (error_code >> 3) & 0x1FFF, table,
                       error_code & 1 ? ", for an event from outside" : "");
}

} // namespace

const char* exception_mnemonic(uint32_t vector) { return vector < kExceptions ? kTable[vector].mnemonic : ""; }

const char* exception_name(uint32_t vector) { return vector < kExceptions ? kTable[vector].name : "unexpected interrupt"; }

size_t describe_error_code(uint32_t vector, uint32_t error_code, std::span<char> text) {
    if (vector == kPageFault) return describe_page_fault(error_code, text);
    if (vector >= kInvalidTask && vector <= kGeneralProtection) return describe_selector(error_code, text);
    text[0] = 0;
    return 0;
}

} // namespace i386
