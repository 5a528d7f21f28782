/// @file
/// Keeps the directories' copies of the kernel's shared entries up to date.
#pragma once

#include "arch/fault_info.h"

namespace mm::shared_range {

/// Registers with the page fault handler.
///
/// page_table::map(), vmalloc and mmio may add a page table to the shared range of kernel_directory() when other directories exist. They
/// learn of it here, at their first access: the fault copies the missing PDE and the access is repeated. Only additions need
/// this, because a page table of the shared range is never taken away again.
void initialize();

/// The handler itself, for the dispatcher of page faults (mm/fault/page_fault.h) that takes its place.
/// @return whether the active directory only lacked the entry, and has it now
bool resolve(const FaultInfo& fault);

} // namespace mm::shared_range
