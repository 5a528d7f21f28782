/// @file
/// The translation lookaside buffer: the CPU's memory of recent page walks. It is not kept coherent with the page tables; who
/// changes an entry must forget the old one (Intel SDM 3A, 4.10.4).
#pragma once

#include <cstdint>

#include "lib/address.h"

namespace mm::tlb {

/// Forgets the translation of one page, global or not; all of a large page if `address` lies in one (INVLPG).
void invalidate_page(VirtAddr address);

/// Forgets every translation that is not global (reloads CR3). Hundreds of later accesses pay for it.
void flush();

/// Forgets everything, global pages included (toggles CR4.PGE).
void flush_including_global();

/// Makes the CPU use this page directory. Nothing is loaded, and nothing forgotten, when it does already.
void switch_to(PhysAddr directory);

/// Tells the counters of a switch that leaves the directory as it is: a kernel thread runs in whichever is there.
void keep_directory();

/// How often what was forgotten, since the boot.
struct Counters {
    uint32_t pages = 0;                 ///< invalidate_page()
    uint32_t flushes = 0;               ///< flush()
    uint32_t flushes_with_global = 0;   ///< flush_including_global()
    uint32_t switches = 0;              ///< switch_to() another directory: forgets what flush() does.
    uint32_t switches_without = 0;      ///< Switches that forgot nothing: to the same directory, or to a kernel thread.
};

const Counters& counters();

} // namespace mm::tlb
