/// @file
/// The translation lookaside buffer: the CPU's memory of recent page walks. It is not kept coherent with the page tables; who
/// changes an entry must forget the old one (Intel SDM 3A, 4.10.4).
#pragma once

#include "lib/address.h"

namespace mm::tlb {

/// Forgets the translation of one page, global or not; all of a large page if `address` lies in one (INVLPG).
void invalidate_page(VirtAddr address);

/// Forgets every translation that is not global (reloads CR3). Hundreds of later accesses pay for it.
void flush();

/// Forgets everything, global pages included (toggles CR4.PGE).
void flush_including_global();

} // namespace mm::tlb
