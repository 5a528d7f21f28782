/// @file
/// An address space for the lab whose piece shares pages and copies them: real page tables in the machine's memory, which the piece may
/// write itself, and the books beside them. What the piece may ask (mm/space/fault_services.h, mm/paging/page_table.h) is answered
/// strictly: what the kernel could not stand ends in a panic.
#pragma once

#include <cstddef>
#include <vector>

#include "mm/paging/page_table.h"
#include "mm/space/address_space.h"
#include "mm/space/areas.h"

namespace mm {

struct areas::Set {
    std::vector<Area> list;  ///< Lowest address first.
};

class AddressSpace {
public:
    /// An empty directory. @throws when there is no frame
    AddressSpace();
    /// Gives page tables and directory back; pages must be gone.
    ~AddressSpace();
    AddressSpace(const AddressSpace&) = delete;
    AddressSpace& operator=(const AddressSpace&) = delete;

    areas::Set areas;
    SpaceLimits limits;
    PageDirectory directory;
    size_t resident = 0;  ///< As add_page() and the piece count.
    size_t swapped = 0;   ///< Lab 09.
};

} // namespace mm

namespace host {

/// Takes the frame of zeros. After start_frames(), once.
void make_zero_frame();

/// The entry for a page, or null when there is no page table. It stays where it is until the page table goes.
uint32_t* entry_of(const mm::AddressSpace& space, VirtAddr page);

} // namespace host
