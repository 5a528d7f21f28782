// From registers and error codes to the one sentence that a person needs.
#include <array>
#include <span>

#include "arch/cpu.h"
#include "arch/fault_info.h"
#include "arch/i386/branch.h"
#include "arch/i386/exceptions.h"
#include "arch/i386/panic_report.h"
#include "arch/i386/probe.h"
#include "arch/symbols.h"
#include "lib/format.h"
#include "lib/image.h"

namespace i386 {
namespace {

struct NamedRange {
    uint32_t begin, end;
    const char* what;
    bool contains(VirtAddr address) const { return address.value() >= begin && address.value() < end; }
};

std::array<NamedRange, 16> named_ranges;
size_t named_range_count = 0;
FaultNamer fault_namer = nullptr;

const char* range_name(VirtAddr address) {
    for (size_t i = named_range_count; i-- > 0;) {
        if (named_ranges[i].contains(address)) return named_ranges[i].what;
    }
    return nullptr;
}

bool in_range(VirtAddr address, uint32_t begin, uint32_t end) { return address.value() >= begin && address.value() < end; }

bool is_null(VirtAddr address) { return address.value() < kPageSize; }

/// What makes this address special, when it is.
const char* special_fault(const FaultInfo& fault) {
    const VirtAddr at = fault.address;
    if (fault.is_fetch() && !fault.present)
        return is_null(at) ? "call through a null pointer" : "jump to where nothing is mapped";
    if (is_null(at)) return "null pointer dereference";
    if (const char* const name = range_name(at)) return name;
    if (in_range(at, image::harness_begin(), image::harness_end())) return "the piece wrote over the grader's memory";
    if (fault.write && in_range(at, image::text_begin(), image::text_end())) return "the kernel's code is read-only";
    if (fault.write && in_range(at, image::rodata_begin(), image::rodata_end())) return "the kernel's constants are read-only";
    return nullptr;
}

void explain_page_fault(const PanicReport& report, std::span<char> text) {
    const FaultInfo fault = decode_page_fault(report.error_code, VirtAddr(report.cr2), VirtAddr(report.eip));
    const char* const verb = fault.is_fetch() ? "fetch from" : fault.write ? "write to" : "read of";
    const char* const state = fault.reserved_bit ? "whose entry has a reserved bit set"
                              : fault.present    ? "which the page's rights forbid"
                                                 : "which is not mapped";
    if (const char* const special = special_fault(fault))
        format_into(text, "{}: {} {x8}", special, verb, fault.address);
    else if (const char* const name = fault_namer ? fault_namer(fault.address) : nullptr)
        format_into(text, "{} {x8}: {}", verb, fault.address, name);
    else
        format_into(text, "page fault: {} {x8}, {}", verb, fault.address, state);
}

/// A double fault begins with an exception that could not be delivered: mostly because there was no stack to push it on.
void explain_double_fault(const PanicReport& report, std::span<char> text) {
    uint32_t word;
    const bool has_stack = try_read(VirtAddr(report.esp - 4), word);
    const char* const range = range_name(VirtAddr(report.cr2));
    const char* const name = range || !fault_namer ? range : fault_namer(VirtAddr(report.cr2));
    const char* const what = name ? name : "kernel stack overflow, or a lost stack pointer";
    if (has_stack)
        format_into(text, "double fault: an exception could not be delivered");
    else
        format_into(text, "{}: esp is {x8}, and nothing is mapped below it", what, report.esp);
}

void explain_general_protection(const PanicReport& report, std::span<char> text) {
    const BranchState state = {{report.eax, report.ecx, report.edx, report.ebx, report.esp, report.ebp, report.esi, report.edi},
                               report.eip};
    const auto target = branch_target(state);
    if (target && *target >= image::text_end()) {
        format_into(text, "execution outside the kernel's code: jump to {x8}", *target);
        return;
    }
    char detail[64];
    describe_error_code(report.vector, report.error_code, detail);
    format_into(text, "{} ({})", exception_name(report.vector), detail);
}

} // namespace

void explain(PanicReport& report) {
    switch (report.vector) {
    case kPageFault: explain_page_fault(report, report.reason); break;
    case kDoubleFault: explain_double_fault(report, report.reason); break;
    case kGeneralProtection: explain_general_protection(report, report.reason); break;
    default: format_into(report.reason, "{}", exception_name(report.vector));
    }
}

} // namespace i386

void name_fault_range(VirtAddr begin, VirtAddr end, const char* what) {
    if (i386::named_range_count == i386::named_ranges.size()) return;
    i386::named_ranges[i386::named_range_count++] = {begin.value(), end.value(), what};
}

void set_fault_namer(FaultNamer namer) { i386::fault_namer = namer; }
