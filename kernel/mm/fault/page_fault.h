/// @file
/// The one dispatcher of page faults. Each fault is decoded once (FaultInfo), what cannot be resolved is rejected in order, the rest is
/// resolved, and all are counted.
///
///     in the shared range, by the kernel, and only the active directory lacks the entry   -> Resolved (shared_range.h)
///     not in the user range                                                               -> Signal, KernelAddress (NullPointer below 4 KiB)
///     there is no address space                                                           -> Signal, NotMapped
///     the page is in the swap area, and its area grants anything                          -> it comes back first (lab 09, mm/reclaim/swap.h)
///     anything else                                                                       -> demand::resolve() decides (lab 06, demand.h)
///
/// A fault in the user range is a safe point (mm/space/pager.h): pages may be taken before it is decided. When the answer is OutOfMemory,
/// pages are taken, and it is decided anew.
///
/// Who gets a Signal is not decided here: user code gets it; the kernel, copying from or to user memory, takes its fix-up. A fault of
/// any other instruction of the kernel is a panic at once (arch/i386/trap_dispatch.cpp), and never gets here.
///
/// After Resolved and Retry the dispatcher looks at the page tables: an access that still is not possible would fault for ever, so it
/// panics, with what the page tables say. Without CONFIG_MEMORY_DEBUGGING it looks only when the same access comes again and again.
#pragma once

#include <cstdint>

#include "arch/fault_info.h"
#include "mm/fault/decision.h"
#include "mm/space/address_space.h"

namespace mm::fault {

/// Decides about one fault in `space` (null: there is none, and nothing in the user range can be resolved).
/// @param stack_pointer  user code's ESP when the access was made, by itself or by the kernel in its name: a stack grows only near it
Decision handle(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer);

/// The first line of the table above, for faults of any instruction of the kernel (arch/fault_info.h: set_page_fault_handler()).
/// @return whether it fits
bool resolve_shared_range(const FaultInfo& fault);

/// How many faults went which way. The kernel keeps one for all, a process one of its own.
struct Counters {
    uint32_t outcomes[kOutcomes] = {};
    uint32_t hows[kHows] = {};
    uint32_t stack_growths = 0;
    uint32_t neighbours = 0;

    uint32_t of(Outcome outcome) const { return outcomes[static_cast<unsigned>(outcome)]; }
    uint32_t of(How how) const { return hows[static_cast<unsigned>(how)]; }
    uint32_t faults() const { return outcomes[0] + outcomes[1] + outcomes[2] + outcomes[3]; }
};

inline void count(Counters& counters, const Decision& decision) {
    ++counters.outcomes[static_cast<unsigned>(decision.outcome)];
    ++counters.hows[static_cast<unsigned>(decision.how)];
    counters.stack_growths += decision.stack_grew;
    counters.neighbours += decision.neighbours;
}

/// Since the boot.
const Counters& counters();

} // namespace mm::fault
