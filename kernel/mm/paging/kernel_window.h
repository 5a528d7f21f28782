/// @file
/// Page table entries of the windows that the kernel maps by itself: vmalloc's and mmio's. Not through lab 02's piece, which
/// looks after the TLB at every call; who writes here does that himself, for many pages at a time.
#pragma once

#include <algorithm>
#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/paging/page_table.h"
#include "mm/paging/pte.h"
#include "mm/physical/frame_memory.h"

namespace mm::kernel_window {

/// Up to so many pages are forgotten one by one; more of them by one flush, which costs the same for any number. The flush is not
/// free: whatever the kernel touches next is walked for again.
inline constexpr size_t kSingleInvalidations = 32;

/// Sees to it that these pages have page tables. A new one goes into kernel_directory() only; other directories learn of it by a
/// page fault (shared_range.h). Once it is there it stays for ever, since they point to it, too.
/// @return Error::OutOfMemory when there is no frame for a page table; nothing has changed then
Result<void> add_tables(VirtAddr begin, size_t pages);

/// Calls `visit(Pte&)` for each of these pages, lowest address first. They have page tables.
template <typename Visit>
void for_each_entry(VirtAddr begin, size_t pages, Visit visit) {
    while (pages > 0) {
        const size_t here = std::min<size_t>(pages, kPagesPerLargePage - begin.table_index());
        const FrameNumber table = frame_memory(kernel_directory().frame).as<Pde>()[begin.directory_index()].frame();
        const FrameMemory memory = frame_memory(table);
        Pte* const entries = memory.as<Pte>() + begin.table_index();
        for (size_t i = 0; i < here; ++i) visit(entries[i]);
        begin = begin + here * kPageSize;
        pages -= here;
    }
}

/// Makes the TLB forget these pages: up to kSingleInvalidations singly, more by a flush of everything.
void forget(VirtAddr begin, size_t pages);

} // namespace mm::kernel_window
