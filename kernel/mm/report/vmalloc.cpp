#include "mm/paging/vmalloc.h"

#include "config.h"
#include "lib/format.h"
#include "mm/paging/layout.h"
#include "mm/paging/mmio.h"
#include "mm/report/reports.h"

namespace mm::report {

namespace {

/// "fill_buffer() at kernel/mm/report/vmalloc.cpp:12", or nothing when it is not known.
void format_site(std::span<char> text, [[maybe_unused]] CallSite site) {
    text[0] = 0;
#if CONFIG_MEMORY_DEBUGGING
    if (site.function) format_into(text, "{}() at {}:{}", site.function, site.file, site.line);
#endif
}

void print_area(void*, const vmalloc::Area& area) {
    char site[100];
    format_site(site, area.allocated);
    print("  {x8} {6} pages {10} bytes  {}  {}\n", address_of(area.address), area.pages, area.pages * kPageSize,
          area.is_freed ? "freed " : "in use", site);
}

void print_mapping(void*, const mmio::Mapping& mapping) {
    print("  {x8} {6} pages {10} bytes  device memory at {x8}, {}\n", address_of(mapping.address), mapping.pages,
          mapping.pages * kPageSize, mapping.physical,
          mapping.caching == mmio::Caching::Uncached ? "not cached" : "write-through");
}

size_t mapped_pages() {
    size_t pages = 0;
    mmio::for_each([](void* sum, const mmio::Mapping& mapping) { *static_cast<size_t*>(sum) += mapping.pages; }, &pages);
    return pages;
}

char fault_words[140]; ///< The answer of explain_vmalloc_fault(), for a panic, which comes once.

const char* explain_area(const vmalloc::Found& found) {
    const vmalloc::Area& area = found.area;
    char site[100];
    format_site(site, area.allocated);
    const char* const of = site[0] ? " of " : "";
    switch (found.place) {
    case vmalloc::Place::Guard:
        format_into(fault_words, "guard page behind the {}vmalloc area of {} pages{}{}", area.is_freed ? "freed " : "",
                    area.pages, of, site);
        return fault_words;
    case vmalloc::Place::Gone:
        format_into(fault_words, "use after free of the vmalloc area of {} pages{}{}", area.pages, of, site);
        return fault_words;
    case vmalloc::Place::Nothing: return "no vmalloc area is there";
    case vmalloc::Place::Area: return nullptr; // its pages are mapped: the tables themselves must say why
    }
    return nullptr;
}

} // namespace

void vmallocinfo() {
    print("vmalloc areas\n");
    vmalloc::for_each(print_area, nullptr);
    print("device memory\n");
    mmio::for_each(print_mapping, nullptr);
    vmalloc_summary();
}

void vmalloc_summary() {
    const vmalloc::Statistics now = vmalloc::statistics();
    print("vmalloc: {} areas, {} KiB in use; freed, but not yet unmapped: {} areas, {} KiB\n", now.areas, now.pages * 4,
          now.lazy_areas, now.lazy_pages * 4);
    print("         {} KiB of addresses; {} purges, {} of them flushed the whole TLB\n", (kVmallocEnd - kVmallocBegin) / 1024,
          now.purges, now.full_flushes);
    print("device memory: {} KiB mapped\n", mapped_pages() * 4);
}

const char* explain_vmalloc_fault(VirtAddr address) {
    const void* const at = pointer_to<void>(address);
    if (vmalloc::contains(at) && address.value() < kVmallocBegin + kPageSize) return "guard page before the first vmalloc area";
    if (vmalloc::contains(at)) return explain_area(vmalloc::find(at));
    return mmio::contains(at) ? "no device memory is mapped there" : nullptr;
}

} // namespace mm::report
