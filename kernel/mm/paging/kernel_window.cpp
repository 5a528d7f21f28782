#include "mm/paging/kernel_window.h"

#include "mm/paging/frame_chain.h"
#include "mm/paging/tlb.h"

namespace mm::kernel_window {

namespace {

/// Calls `visit(Pde&)` for each entry of kernel_directory() that these pages need and that is empty.
template <typename Visit>
void for_each_missing(VirtAddr begin, size_t pages, Visit visit) {
    const FrameMemory directory = frame_memory(kernel_directory().frame);
    const uint32_t last = (begin + (pages - 1) * kPageSize).directory_index();
    for (uint32_t i = begin.directory_index(); i <= last; ++i) {
        Pde& entry = directory.as<Pde>()[i];
        if (!entry.is_present()) visit(entry);
    }
}

} // namespace

Result<void> add_tables(VirtAddr begin, size_t pages) {
    size_t missing = 0;
    for_each_missing(begin, pages, [&](Pde&) { ++missing; });
    if (missing == 0) return {};
    FrameChain tables;
    TRY(tables.take(missing, Zone::Normal, Contents::Zeroed));
    for_each_missing(begin, pages, [&](Pde& entry) {
        entry = Pde::table(tables.pop(), Access::ReadWrite, Privilege::Supervisor);
    });
    return {};
}

void forget(VirtAddr begin, size_t pages) {
    if (pages > kSingleInvalidations) return tlb::flush_including_global();
    for (size_t i = 0; i < pages; ++i) tlb::invalidate_page(begin + i * kPageSize);
}

} // namespace mm::kernel_window
