/// @file
/// The kernel's own map, made once at boot: identity mapping, temporary mappings, kernel stacks.
///
/// It is written by the kernel itself, not through lab 02's page_table::map(): a kernel whose paging piece is broken still
/// boots, and can still say what is broken.
#pragma once

#include "lib/address.h"
#include "mm/paging/page_table.h"

namespace mm {

/// [begin, end) of the stack that the boot, and later the monitor, run on. With paging it lies in the shared range with a guard page
/// below it; without, anywhere in memory.
struct BootStack {
    VirtAddr begin;
    VirtAddr end;
};
BootStack boot_stack();

} // namespace mm

namespace mm::kernel_map {

/// Builds the kernel's page directory in frames from boot_memory::take(). Before paging is on.
///
/// - Page 0 is absent (CONFIG_MEMORY_PROTECTION): null pointers fault.
/// - Kernel text and constants are read-only, all else below the end of low memory may be written. All pages are global.
/// - 4 MiB pages where all 1024 pages have the same rights (CONFIG_LARGE_PAGES), tables of 4 KiB pages elsewhere.
/// - The window of temporary mappings, and that of kernel stacks, have their page tables; the boot's stack is there.
void build();

/// Turns paging on with the directory that build() made.
void activate();

/// One past the last identity-mapped byte.
uint32_t identity_end();

/// Changes the access of the identity-mapped pages of the kernel's image in [begin, end), which must have page tables (the
/// image always has). Forgets their translations.
void set_image_access(VirtAddr begin, VirtAddr end, Access access);

} // namespace mm::kernel_map
