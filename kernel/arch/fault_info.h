/// @file
/// A page fault, decoded once. Whoever resolves faults reads this and no register.
#pragma once

#include <cstdint>

#include "lib/address.h"

/// What the CPU said about a page fault: CR2 and the error code (Intel SDM 3A, 4.7), as fields.
struct FaultInfo {
    VirtAddr address;     ///< That was accessed (CR2).
    VirtAddr instruction; ///< That accessed it (EIP): it runs again when the fault is resolved.
    bool present;         ///< The page is there and its rights forbid the access; otherwise a level was not present.
    bool write;           ///< A write; otherwise a read or an instruction fetch (the i386 does not tell these apart).
    bool user;            ///< By ring 3; otherwise by the kernel.
    bool reserved_bit;    ///< An entry has a bit set that must be 0.

    /// The instruction itself could not be fetched.
    bool is_fetch() const { return address == instruction && !write; }
};

/// Decides about page faults: true when it has made the access possible, so that the instruction may run again.
using PageFaultHandler = bool (*)(const FaultInfo& fault);

/// Sets who is asked first about every page fault of the kernel. What nobody resolves is a panic. `nullptr` asks nobody.
void set_page_fault_handler(PageFaultHandler handler);

/// Gives addresses in [begin, end) a name in panics: a fault there is reported as `what` ("kernel stack overflow") in place of
/// the general words. `what` must live for ever. Up to 16 ranges; on overlap the latest one counts.
void name_fault_range(VirtAddr begin, VirtAddr end, const char* what);

/// As name_fault_range(), for words that are found only when the fault has happened; asked when no named range holds the address.
/// Returns null when there is nothing special about it. The words stay valid until the next call.
using FaultNamer = const char* (*)(VirtAddr address);
void set_fault_namer(FaultNamer namer);

/// Prints what the page tables of `directory` say about `address`. The floor above knows page tables; panics ask it through here.
using PageWalkPrinter = void (*)(PhysAddr directory, VirtAddr address);
void set_page_walk_printer(PageWalkPrinter printer);
