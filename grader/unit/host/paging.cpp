#include "host/paging.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mm/paging/layout.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/boot_memory.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/zone.h"

namespace host {

namespace {

using mm::entry_bits::kGlobal;

constexpr mm::Rights kKernelPage{mm::Access::ReadWrite, mm::Privilege::Supervisor, mm::Scope::Global};

FrameNumber kernel_frame;
FrameNumber active_frame;
std::map<uint32_t, Cached> tlb;
std::vector<Event> events;

uint32_t* words_of(FrameNumber frame) { return pointer_to<uint32_t>(VirtAddr(frame.address().value())); }

FrameNumber take_table() {
    const FrameNumber frame = mm::boot_memory::take(1, "kernel page tables").begin;
    std::memset(words_of(frame), 0, kPageSize);
    return frame;
}

bool is_large(uint32_t pde) { return mm::Pde::from_word(pde).is_large_page(); }
bool is_global(Cached entries) { return (is_large(entries.pde) ? entries.pde : entries.pte) & kGlobal; }

} // namespace

void build_kernel_directory() {
    kernel_frame = active_frame = take_table();
    uint32_t* const directory = words_of(kernel_frame);
    const uint32_t end = std::min(mm::boot_memory::end_of_memory().value(), mm::zone_frames(mm::Zone::Normal).end.value());
    for (uint32_t page = 0; page < end; page += kPagesPerLargePage)
        directory[page / kPagesPerLargePage] = mm::Pde::large_page(FrameNumber(page), kKernelPage).word();
    const FrameNumber first = take_table();
    for (uint32_t page = 1; page < kPagesPerLargePage; ++page)
        words_of(first)[page] = mm::Pte::present(FrameNumber(page), kKernelPage).word();
    const auto add = [directory](uint32_t address, FrameNumber table) {
        directory[VirtAddr(address).directory_index()] =
            mm::Pde::table(table, mm::Access::ReadWrite, mm::Privilege::Supervisor).word();
    };
    add(0, first);
    add(mm::kKmapBegin, take_table());
    add(mm::kStacksBegin, take_table());
}

void load_directory(mm::PageDirectory directory) {
    active_frame = directory.frame;
    std::erase_if(tlb, [](const auto& page) { return !is_global(page.second); });
}

std::vector<Event> take_events() { return std::exchange(events, {}); }

Cached walk(mm::PageDirectory directory, VirtAddr address) {
    const uint32_t pde = words_of(directory.frame)[address.directory_index()];
    if (!(pde & mm::entry_bits::kPresent) || is_large(pde)) return {pde, 0};
    return {pde, words_of(FrameNumber::containing(PhysAddr(pde)))[address.table_index()]};
}

bool is_present(Cached entries) { return is_large(entries.pde) || (entries.pde & entries.pte & mm::entry_bits::kPresent); }

void touch(VirtAddr address) {
    const Cached entries = walk({active_frame}, address);
    if (is_present(entries)) tlb[align_down(address.value(), kPageSize)] = entries;
}

const std::map<uint32_t, Cached>& remembered() { return tlb; }

} // namespace host

namespace mm {

PageDirectory kernel_directory() { return {host::kernel_frame}; }
PageDirectory active_directory() { return {host::active_frame}; }

namespace tlb {

void invalidate_page(VirtAddr address) {
    using namespace host;
    events.push_back({Event::Kind::InvalidatePage, address});
    const auto covers = [address](const auto& page) {
        const uint32_t size = is_large(page.second.pde) ? kLargePageSize : kPageSize;
        return align_down(page.first, size) == align_down(address.value(), size);
    };
    std::erase_if(host::tlb, covers);
}

void flush() {
    host::events.push_back({host::Event::Kind::Flush, {}});
    host::load_directory(active_directory());
}

void flush_including_global() {
    host::events.push_back({host::Event::Kind::FlushIncludingGlobal, {}});
    host::tlb.clear();
}

} // namespace tlb
} // namespace mm
