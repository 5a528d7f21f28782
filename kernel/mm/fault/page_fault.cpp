#include "mm/fault/page_fault.h"

#include "lib/format.h"
#include "lib/panic.h"
#include "mm/paging/page_table.h"
#include "mm/paging/shared_range.h"
#include "mm/space/areas.h"
#include "mm/space/space.h"

namespace mm::fault {

namespace {

constinit Statistics counts{};

constexpr Decision signal(Reason reason) { return {Outcome::Signal, reason}; }

Decision outside_user_range(VirtAddr address) {
    return signal(address < VirtAddr(kPageSize) ? Reason::NullPointer : Reason::KernelAddress);
}

/// No area holds the address. The page below one is where a stack, or a loop that runs down, comes out.
Decision in_no_area(const AddressSpace& space, VirtAddr address) {
    const Area* next = areas::find_from(space.areas, address);
    const bool is_guard = next && next->range.begin.value() - address.value() <= kPageSize;
    return signal(is_guard ? Reason::GuardPage : Reason::NotMapped);
}

/// Why the area forbids the access; Reason::None when it does not. What may be executed or written may be read: the i386 knows no less.
Reason forbidden(Protection protection, const FaultInfo& fault) {
    if (spaces::grants_nothing(protection)) return Reason::NotReadable;
    if (fault.write && !protection.write) return Reason::NotWritable;
    if (fault.user && fault.is_fetch() && !protection.execute) return Reason::NotExecutable;
    return Reason::None;
}

Decision cannot_resolve(Error error) {
    switch (error) {
    case Error::OutOfRange: return signal(Reason::PastEnd);
    case Error::DeviceError: return signal(Reason::Device);
    default: return {Outcome::OutOfMemory, Reason::None};
    }
}

bool allows(const Translation& seen, const FaultInfo& fault) {
    if (fault.write && seen.rights.access == Access::ReadOnly) return false;
    return !fault.user || seen.rights.privilege == Privilege::User;
}

/// The area allows the access. So either the page is absent, or the CPU used an old translation.
Decision resolve(AddressSpace& space, const FaultInfo& fault) {
    const Result<Translation> seen = page_table::translate(space.directory, fault.address);
    if (seen.is_error()) {
        const Result<void> resolved = spaces::resolve_page(&space, fault.address);
        return resolved.is_error() ? cannot_resolve(resolved.error()) : Decision{Outcome::Resolved, Reason::None};
    }
    if (allows(seen.value(), fault)) return {Outcome::Retry, Reason::None};
    print("page fault at {x8}: the area allows it, the page table does not\n", fault.address);
    PANIC("page tables and areas contradict each other");
}

Decision decide(AddressSpace* space, const FaultInfo& fault) {
    if (shared_range::resolve(fault)) return {Outcome::Resolved, Reason::None};
    if (fault.address < VirtAddr(kUserBegin) || fault.address >= VirtAddr(kUserEnd)) return outside_user_range(fault.address);
    if (!space) return signal(Reason::NotMapped);
    KASSERT("no entry of a page table has a reserved bit set", !fault.reserved_bit);
    const Area* area = areas::find(space->areas, fault.address);
    if (!area) return in_no_area(*space, fault.address);
    const Reason reason = forbidden(area->protection, fault);
    return reason == Reason::None ? resolve(*space, fault) : signal(reason);
}

void count(Outcome outcome) {
    ++counts.faults;
    switch (outcome) {
    case Outcome::Resolved: ++counts.resolved; break;
    case Outcome::Retry: ++counts.retries; break;
    case Outcome::Signal: ++counts.signals; break;
    case Outcome::OutOfMemory: ++counts.out_of_memory; break;
    }
}

} // namespace

Decision handle(AddressSpace* space, const FaultInfo& fault) {
    const Decision decision = decide(space, fault);
    count(decision.outcome);
    return decision;
}

const char* reason_text(Reason reason) {
    switch (reason) {
    case Reason::None: return "no reason";
    case Reason::NullPointer: return "null pointer";
    case Reason::KernelAddress: return "address of the kernel";
    case Reason::NotMapped: return "nothing is mapped there";
    case Reason::GuardPage: return "guard page below a stack or mapping";
    case Reason::NotReadable: return "access to memory without rights";
    case Reason::NotWritable: return "write to read-only memory";
    case Reason::NotExecutable: return "execution of data";
    case Reason::PastEnd: return "past the end of the mapped file";
    case Reason::Device: return "the mapped file cannot be read";
    }
    return "unknown reason";
}

Statistics statistics() { return counts; }

} // namespace mm::fault
