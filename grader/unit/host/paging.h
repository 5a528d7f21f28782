/// @file
/// The paging hardware, as far as a host test needs it: CR3, a TLB that remembers, and a list of what it was told to forget.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "lib/address.h"
#include "mm/paging/page_table.h"

namespace host {

/// Makes the kernel's page directory as mm/paging/kernel_map.cpp does: identity mapping with large global pages, page 0 absent, page
/// tables for the windows of temporary mappings and stacks.
void build_kernel_directory();

/// Loads CR3: forgets all translations that are not global.
void load_directory(mm::PageDirectory directory);

/// What a piece told the CPU, in order.
struct Event {
    enum class Kind { InvalidatePage, Flush, FlushIncludingGlobal } kind;
    VirtAddr page;  ///< Of InvalidatePage.
};
/// The events since the last call of this.
std::vector<Event> take_events();

/// One translation that the CPU remembers.
struct Cached {
    uint32_t pde;
    uint32_t pte;  ///< 0 for a large page.
    bool operator==(const Cached&) const = default;
};

/// Reads the two entries for an address from the tables of a directory; pte is 0 without a table.
Cached walk(mm::PageDirectory directory, VirtAddr address);
/// Whether these entries map something.
bool is_present(Cached entries);

/// The CPU uses the address through the active directory, and remembers the translation when there is one.
void touch(VirtAddr address);
/// The pages that the CPU remembers, by their address, and how.
const std::map<uint32_t, Cached>& remembered();

} // namespace host
