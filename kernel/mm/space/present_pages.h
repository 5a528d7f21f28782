/// @file
/// Reading the page tables of a space: their format is the CPU's, whoever wrote them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "mm/paging/page_table.h"
#include "mm/paging/pte.h"
#include "mm/physical/frame_memory.h"
#include "mm/space/areas.h"

namespace mm::spaces {

/// One present page.
struct PresentPage {
    VirtAddr address;   ///< Of the page, or of the large page.
    FrameNumber frame;  ///< Its only, or first frame.
    PageSize size;
    Rights rights;
    bool is_dirty;

    constexpr size_t pages() const { return static_cast<uint32_t>(size) / kPageSize; }
};

inline constexpr Order kLargeOrder{10};

inline Pde directory_entry(PageDirectory directory, VirtAddr address) {
    return frame_memory(directory.frame).as<Pde>()[address.directory_index()];
}

inline void set_directory_entry(PageDirectory directory, VirtAddr address, Pde pde) {
    frame_memory(directory.frame).as<Pde>()[address.directory_index()] = pde;
}

/// One past the last page of the 4 MiB that `address` lies in, or `end` if that comes first.
inline VirtAddr slot_end(VirtAddr address, VirtAddr end) {
    return std::min(VirtAddr(align_down(address.value(), kLargePageSize)) + kLargePageSize, end);
}

inline bool is_present(PageDirectory directory, VirtAddr page) {
    const Pde pde = directory_entry(directory, page);
    return pde.is_table() ? frame_memory(pde.frame()).as<Pte>()[page.table_index()].is_present() : pde.is_present();
}

/// Shows every present page that begins in the range or lies across its begin, lowest first. `visit` may change entries of
/// pages that it has been shown, and must not change others, nor tables.
template <typename Visit>
void for_each_present(PageDirectory directory, AddressRange range, Visit visit) {
    for (VirtAddr slot = range.begin; slot < range.end; slot = slot_end(slot, range.end)) {
        const Pde pde = directory_entry(directory, slot);
        if (pde.is_large_page()) {
            const VirtAddr begin(align_down(slot.value(), kLargePageSize));
            visit(PresentPage{begin, pde.frame(), PageSize::Large, pde.rights(), pde.is_dirty()});
        }
        if (!pde.is_table()) continue;
        const FrameMemory table = frame_memory(pde.frame());
        const VirtAddr end = slot_end(slot, range.end);
        for (VirtAddr page = slot; page < end; page = page + kPageSize) {
            const Pte pte = table.as<Pte>()[page.table_index()];
            if (pte.is_present()) visit(PresentPage{page, pte.frame(), PageSize::Small, pte.rights(), pte.is_dirty()});
        }
    }
}

/// Shows every page of the range that has a swap entry, lowest first. `visit` may change these entries.
/// @param visit      (VirtAddr page, Pte& entry)
/// @param table_done (VirtAddr of one of its pages, how many were shown), after each page table that had any
template <typename Visit, typename TableDone>
void for_each_swapped(PageDirectory directory, AddressRange range, Visit visit, TableDone table_done) {
    for (VirtAddr slot = range.begin; slot < range.end; slot = slot_end(slot, range.end)) {
        const Pde pde = directory_entry(directory, slot);
        if (!pde.is_table()) continue;
        size_t count = 0;
        {
            const FrameMemory table = frame_memory(pde.frame());
            const VirtAddr end = slot_end(slot, range.end);
            for (VirtAddr page = slot; page < end; page = page + kPageSize) {
                Pte& entry = table.as<Pte>()[page.table_index()];
                if (!entry.is_swapped()) continue;
                visit(page, entry);
                ++count;
            }
        }
        if (count > 0) table_done(slot, count);
    }
}

} // namespace mm::spaces
