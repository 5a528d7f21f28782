/// @file
/// The two entries that the CPU reads for an address, read again for a report. Probes every word, because the page tables may
/// be what is broken.
#pragma once

#include "lib/address.h"

namespace i386 {

/// Prints PDE and PTE of `address` in the page directory at `directory`, decoded.
void print_page_walk(PhysAddr directory, VirtAddr address);

} // namespace i386
