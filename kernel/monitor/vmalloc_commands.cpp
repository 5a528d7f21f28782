#include "lib/format.h"
#include "mm/paging/mmio.h"
#include "mm/paging/vmalloc.h"
#include "mm/report/reports.h"
#include "monitor/command.h"

namespace {

Result<void> show_areas(const Words&) {
    mm::report::vmallocinfo();
    return {};
}

Result<void> allocate(const Words& words) {
    const uint32_t bytes = TRY(words.number(0));
    const void* const address = TRY(mm::vmalloc::allocate(bytes));
    print("{x8}, {} bytes\n", address_of(address), TRY(mm::vmalloc::size(address)));
    return {};
}

Result<void> free(const Words& words) {
    const VirtAddr address(TRY(words.number(0)));
    TRY(mm::vmalloc::free(pointer_to<void>(address)));
    return {};
}

Result<void> purge(const Words&) {
    print("{} frames given back\n", mm::vmalloc::purge());
    return {};
}

Result<mm::mmio::Caching> caching_argument(const Words& words) {
    if (words.count() < 3 || words.is(2, "uncached")) return mm::mmio::Caching::Uncached;
    if (words.is(2, "write-through")) return mm::mmio::Caching::WriteThrough;
    return Error::InvalidArgument;
}

Result<void> map_device(const Words& words) {
    const PhysAddr physical(TRY(words.number(0)));
    const uint32_t bytes = TRY(words.number(1));
    const mm::mmio::Caching caching = TRY(caching_argument(words));
    print("{x8}\n", address_of(TRY(mm::mmio::map(physical, bytes, caching))));
    return {};
}

Result<void> unmap_device(const Words& words) {
    const VirtAddr address(TRY(words.number(0)));
    return mm::mmio::unmap(pointer_to<void>(address));
}

constexpr Command kCommands[] = {
    {"vmallocinfo", "", "areas of vmalloc, and device memory", show_areas},
    {"vmalloc purge", "", "take freed areas apart now", purge},
    {"vmalloc", "BYTES", "an area of single frames", allocate},
    {"vfree", "ADDRESS", "give it back; unmapped later", free},
    {"ioremap", "PHYS BYTES [CACHING]", "map device memory: uncached or write-through", map_device},
    {"iounmap", "ADDRESS", "end such a mapping", unmap_device},
};

} // namespace

std::span<const Command> vmalloc_commands() { return kCommands; }
