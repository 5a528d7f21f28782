/// @file
/// The one dispatcher of page faults. Each fault is decoded once (FaultInfo), what cannot be resolved is rejected in order, the rest is
/// resolved, and all are counted.
///
///     in the shared range, by the kernel, and only the active directory lacks the entry   -> Resolved (shared_range.h)
///     not in the user range                                                               -> Signal, KernelAddress (NullPointer below 4 KiB)
///     in no area                                                                          -> Signal, NotMapped (GuardPage, StackLimit)
///     the area forbids it                                                                 -> Signal, NotReadable, NotWritable, NotExecutable
///     the page is there and allows it: another look at the page tables found it so        -> Retry
///     the page can be made present                                                        -> Resolved
///     it cannot: no memory, past the end of the file, the disk failed                     -> OutOfMemory; Signal (bus)
///
/// Who gets a Signal is not decided here: user code gets it; the kernel, copying from or to user memory, takes its fix-up; a fault of
/// the kernel anywhere else is a panic.
#pragma once

#include <cstdint>

#include "arch/fault_info.h"
#include "mm/space/address_space.h"

namespace mm::fault {

enum class Outcome : uint8_t {
    Resolved,     ///< The page is there now: run the instruction again.
    Retry,        ///< It was there before: a stale TLB entry, or somebody else was faster.
    Signal,       ///< The access is wrong; `reason` says why.
    OutOfMemory,  ///< It is right, and there is no memory for it.
};

enum class Reason : uint8_t {
    None,
    NullPointer,     ///< The first page.
    KernelAddress,   ///< Outside the user range.
    NotMapped,       ///< In no area.
    GuardPage,       ///< In the free page below an area, where a stack or a buffer ran over.
    NotReadable,     ///< The area forbids it.
    NotWritable,
    NotExecutable,
    PastEnd,         ///< Behind the last page of the mapped file: SIGBUS.
    Device,          ///< The file could not be read: SIGBUS.
};

struct Decision {
    Outcome outcome = Outcome::Signal;
    Reason reason = Reason::None;
};

/// Decides about one fault in `space` (null: there is none, and nothing in the user range can be resolved).
Decision handle(AddressSpace* space, const FaultInfo& fault);

/// "write to read-only memory"; for death messages.
const char* reason_text(Reason reason);

/// Since the boot.
struct Statistics {
    uint32_t faults, resolved, retries, signals, out_of_memory;
};
Statistics statistics();

} // namespace mm::fault
