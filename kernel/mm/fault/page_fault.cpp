#include "mm/fault/page_fault.h"

#include "config.h"
#include "lib/format.h"
#include "lib/panic.h"
#include "mm/fault/demand.h"
#include "mm/paging/page_table.h"
#include "mm/paging/shared_range.h"
#include "mm/paging/tlb.h"
#include "mm/report/reports.h"
#include "mm/space/fault_services.h"
#include "mm/space/load_notes.h"
#include "mm/space/pageable.h"
#include "mm/space/pager.h"
#include "mm/space/swap_services.h"

namespace mm::fault {

namespace {

constinit Counters all;

Decision outside_user_range(VirtAddr address) {
    return signal(address < VirtAddr(kPageSize) ? Reason::NullPointer : Reason::KernelAddress);
}

/// What in the page tables is in the way of the access; null when nothing is.
const char* obstacle(const AddressSpace* space, const FaultInfo& fault) {
    const Result<Translation> seen = page_table::translate(spaces::directory(space), fault.address);
    if (seen.is_error()) return "the page is missing";
    if (fault.write && seen.value().rights.access == Access::ReadOnly) return "the page is read-only";
    if (fault.user && seen.value().rights.privilege == Privilege::Supervisor) return "the page is the kernel's";
    return nullptr;
}

/// Whether the same address has just faulted several times in a row.
bool comes_again(const FaultInfo& fault) {
    constexpr unsigned patience = 4;
    static constinit VirtAddr previous;
    static constinit unsigned times = 0;
    times = fault.address == previous ? times + 1 : 0;
    previous = fault.address;
    return times >= patience;
}

/// An instruction that faults again and again would be a machine that hangs without a word: looks whether it can go on.
void check(const AddressSpace* space, const FaultInfo& fault, const Decision& decision) {
    const char* const what = obstacle(space, fault);
    if (!what) return;
    print("\npage fault at {x8}: {} by {}, eip {x8}; the answer was {}, and {}\n", fault.address, fault.write ? "write" : "read",
          fault.user ? "user code" : "the kernel", fault.instruction,
          decision.outcome == Outcome::Retry ? "to try again" : how_text(decision.how), what);
    report::walk(spaces::directory(space), fault.address);
    PANIC("a page fault is said to be resolved, and the page tables still forbid the access");
}

/// Nobody sets a reserved bit: whatever this entry is, it was not made here.
void check_entry(const AddressSpace* space, const FaultInfo& fault) {
    if (!fault.reserved_bit) return;
    report::walk(spaces::directory(space), fault.address);
    PANIC("an entry of a page table has a reserved bit set");
}

bool is_user_address(VirtAddr address) { return address.value() - kUserBegin < kUserEnd - kUserBegin; }

/// Whether the page is in the swap area, and somebody may look at it.
bool must_come_back(AddressSpace* space, VirtAddr page) {
    if (spaces::swap_entry(space, page) == SwapSlot(0)) return false;
    const Protection granted = spaces::find_area(space, page)->protection;
    return granted.read || granted.write || granted.execute;
}

Decision bring_back(AddressSpace* space, VirtAddr page) {
    const Result<void> back = pager::get()->bring_back(space, *spaces::find_area(space, page), page);
    if (!back.is_error()) {
        ++spaces::load_notes(space).swap_ins;
        return resolved(How::SwappedIn);
    }
    return back.error() == Error::DeviceError ? signal(Reason::Device) : out_of_memory();
}

/// What a piece has shown without asking the space to: a copy-on-write fault's copy.
void note_copy(AddressSpace* space, VirtAddr address) {
    const Result<Translation> seen = page_table::translate(spaces::directory(space), address);
    if (seen.is_error()) return;
    spaces::note_private(*space, VirtAddr(align_down(address.value(), kPageSize)), FrameNumber::containing(seen.value().address));
}

/// As demand::resolve(), for pages that may be swapped as well.
[[gnu::noinline]] Decision resolve_pageable(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const VirtAddr page(align_down(fault.address.value(), kPageSize));
    if (must_come_back(space, page)) {
        const Decision back = bring_back(space, page);
        if (back.outcome != Outcome::Resolved || !obstacle(space, fault)) return back;
    }
    const Decision decision = demand::resolve(space, fault, stack_pointer);
    if (decision.how == How::Copied) note_copy(space, fault.address);
    if (decision.how == How::ObjectCopy) spaces::note_original(*spaces::find_area(space, page), page);
    return decision;
}

inline Decision resolve(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    return pager::get() ? resolve_pageable(space, fault, stack_pointer) : demand::resolve(space, fault, stack_pointer);
}

/// Memory for another attempt: by its own pages when only its own limit is in the way.
bool find_memory(AddressSpace* space, pager::Attempts& attempts) {
    if (spaces::is_full(space)) return pager::get() && pager::get()->make_room_in(space);
    return attempts.find_memory(pager::Asker::PageFault);
}

/// After an attempt that has failed for want of memory: begins again as long as some can be found.
[[gnu::noinline]] void resolve_again(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer, pager::Attempts attempts,
                                     Decision& decision) {
    while (decision.outcome == Outcome::OutOfMemory && find_memory(space, attempts)) {
        const bool had_grown = decision.stack_grew;
        decision = resolve(space, fault, stack_pointer);
        decision.stack_grew |= had_grown;
    }
}

/// As demand::resolve(), with whatever memory can be found for it.
Decision resolve_with_memory(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    pager::safe_point();
    const pager::Attempts attempts;
    Decision decision = resolve(space, fault, stack_pointer);
    if (decision.outcome == Outcome::OutOfMemory) [[unlikely]] resolve_again(space, fault, stack_pointer, attempts, decision);
    return decision;
}

Decision decide(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    if (!is_user_address(fault.address)) return shared_range::resolve(fault) ? resolved(How::KernelTable) : outside_user_range(fault.address);
    if (!space) return signal(Reason::NotMapped);
    if (!fault.user && spaces::is_reaped(space)) return out_of_memory(); // in the name of a process that is about to die
    check_entry(space, fault);
    const Decision decision = resolve_with_memory(space, fault, stack_pointer);
    const bool goes_on = decision.outcome == Outcome::Resolved || decision.outcome == Outcome::Retry;
    if (goes_on && (CONFIG_MEMORY_DEBUGGING || comes_again(fault))) check(space, fault, decision);
    return decision;
}

} // namespace

Decision handle(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const Decision decision = decide(space, fault, stack_pointer);
    count(all, decision);
    return decision;
}

bool resolve_shared_range(const FaultInfo& fault) {
    if (!shared_range::resolve(fault)) return false;
    count(all, resolved(How::KernelTable));
    return true;
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
    case Reason::Device: return "the page cannot be read from the disk";
    case Reason::StackLimit: return "the stack has reached its limit";
    }
    return "unknown reason";
}

const char* how_text(How how) {
    switch (how) {
    case How::None: return "nothing";
    case How::KernelTable: return "kernel page table";
    case How::ZeroFrame: return "zero frame";
    case How::Zeroed: return "zeroed frame";
    case How::LargePage: return "large page";
    case How::ObjectPage: return "object's page";
    case How::ObjectCopy: return "copy of an object's page";
    case How::Copied: return "copy-on-write";
    case How::LastOwner: return "last owner";
    case How::SwappedIn: return "swapped in";
    }
    return "unknown way";
}

const Counters& counters() { return all; }

} // namespace mm::fault
