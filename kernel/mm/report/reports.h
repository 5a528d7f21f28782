/// @file
/// What the memory subsystem says about itself on the console, for people.
#pragma once

#include "lib/address.h"
#include "lib/format.h"
#include "mm/fault/page_fault.h"
#include "mm/paging/page_table.h"

namespace mm {
class AddressSpace;
}

namespace mm::report {

/// The firmware's memory map, what sanitise() made of it, and every reserved range with its owner.
void memory_map();

/// Per zone: frames of memory, frames that are free (those of the frame cache as well), watermarks.
void zones();

/// Where memory is: all of it is reserved, free, in the frame cache, or in use.
void memory();

/// Per zone and order: free runs, and how much of the free memory is too fragmented for such a request. Says so when the frame
/// allocator does not know runs.
void free_runs();

/// The frame table, summed up as runs of frames with the same use.
void frames();

/// The pages of a directory as runs of equal size and rights: virtual range, physical range, rights; or the slots of swapped pages.
void page_tables(PageDirectory directory);

/// The two entries that the CPU reads for one address, decoded. Trusts nothing: works on broken tables too.
void walk(PageDirectory directory, VirtAddr address);

/// Every area of vmalloc with its address, size, state and (with CONFIG_MEMORY_DEBUGGING) caller, every mapping of device memory,
/// and a summary.
void vmallocinfo();

/// The lines about vmalloc and mmio in meminfo.
void vmalloc_summary();

/// Every cache with its objects, frames, and how much of its frames' memory its objects use; a summary.
void slabinfo();

/// The lines about the heap in meminfo.
void heap_summary();

/// What is to be said about a page fault at `address` when that lies where vmalloc or mmio map: whose guard page it is, or whose
/// freed area. nullptr for any other address. For set_fault_namer().
const char* explain_vmalloc_fault(VirtAddr address);

/// The areas of an address space, one a line, as /proc/PID/maps on Linux: range, rights, sharing, sizes, residents, backing.
void maps(const AddressSpace* space, TextWriter write, void* context);
/// The same, on the console.
void maps(const AddressSpace* space);

/// Page faults, how they ended and what resolved them: of a process, or of all.
void faults(const fault::Counters& counters);

/// What the memory subsystem counts: page faults, frames.
void vmstat();

/// The swap area, its slots, the policy, and what the reclaimer did.
void swap();

/// What a page fault of the kernel at a user address came close to, in the active address space. nullptr for any other address. For
/// set_fault_namer().
const char* explain_user_fault(VirtAddr address);

/// Has panics about a page show the walk.
void explain_faults();

} // namespace mm::report
