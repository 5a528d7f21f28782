/// @file
/// What a script can do with vmalloc and mmio. Both are the kernel's own, not a lab's piece: here the kernel itself is tested.
#include "guest/harness.h"
#include "lib/text.h"
#include "mm/paging/mmio.h"
#include "mm/paging/range_records.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/shrinker.h"
#include "mm/report/reports.h"

namespace {

using namespace mm;

void* pointer(harness::Call& call, size_t i) { return pointer_to<void>(VirtAddr(call.number(i))); }

void allocate(harness::Call& call) {
    const size_t bytes = call.number(0);
    call.enter_piece();
    const auto result = vmalloc::allocate(bytes);
    call.leave_piece();
    call.reply(result.error(), {address_of(result.value()).value()});
}

void free(harness::Call& call) {
    void* const address = pointer(call, 0);
    call.enter_piece();
    const auto result = vmalloc::free(address);
    call.leave_piece();
    call.reply(result);
}

void size(harness::Call& call) {
    const auto result = vmalloc::size(pointer(call, 0));
    call.reply(result.error(), {result.value()});
}

void purge(harness::Call& call) {
    call.enter_piece();
    const size_t released = vmalloc::purge();
    call.leave_piece();
    call.reply({released});
}

/// Memory is short: asks every shrinker. Without a clock, so that nothing else touches the TLB.
void shrink(harness::Call& call) { call.reply({shrinkers::shrink_all()}); }

/// areas, pages, lazy areas, lazy pages, purges, full flushes, frames that hold records
void statistics(harness::Call& call) {
    const vmalloc::Statistics now = vmalloc::statistics();
    call.reply({now.areas, now.pages, now.lazy_areas, now.lazy_pages, now.purges, now.full_flushes, range_records::frames()});
}

void check_invariants(harness::Call&) { vmalloc::check_invariants(); }

/// vmalloc.area I: address, pages and whether it was freed, of the I-th area by address.
void area(harness::Call& call) {
    struct Search {
        size_t left;
        vmalloc::Area found;
    } search{call.number(0), {}};
    const auto visit = [](void* context, const vmalloc::Area& area) {
        auto& search = *static_cast<Search*>(context);
        if (search.left-- == 0) search.found = area;
    };
    vmalloc::for_each(visit, &search);
    if (!search.found.address) return call.reply(Error::NotAllocated);
    call.reply({address_of(search.found.address).value(), search.found.pages, search.found.is_freed});
}

/// Whether vmalloc hands out memory there, and what the address belongs to (the number of vmalloc::Place).
void find(harness::Call& call) {
    void* const address = pointer(call, 0);
    const vmalloc::Found found = vmalloc::find(address);
    call.reply({vmalloc::contains(address), static_cast<uint32_t>(found.place), address_of(found.area.address).value()});
}

/// vmalloc.fill ADDRESS BYTES WORD: the word and its successors, one for each four bytes, through the MMU.
void fill(harness::Call& call) {
    auto* const words = static_cast<volatile uint32_t*>(pointer(call, 0));
    const uint32_t count = call.number(1) / sizeof(uint32_t), first = call.number(2);
    for (uint32_t i = 0; i < count; ++i) words[i] = first + i;
}

/// vmalloc.check ADDRESS BYTES WORD: how many words are not as vmalloc.fill left them.
void check(harness::Call& call) {
    const auto* const words = static_cast<const volatile uint32_t*>(pointer(call, 0));
    const uint32_t count = call.number(1) / sizeof(uint32_t), first = call.number(2);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count; ++i) wrong += words[i] != first + i;
    call.reply({wrong});
}

/// vmalloc.touch ADDRESS: writes a byte, come what may.
void touch(harness::Call& call) { *static_cast<volatile uint8_t*>(pointer(call, 0)) = 1; }

void report(harness::Call&) { report::vmallocinfo(); }

// Device memory.

/// mmio.map PHYSICAL BYTES uncached|write-through
void map_device(harness::Call& call) {
    const PhysAddr physical(call.number(0));
    const size_t bytes = call.number(1);
    const auto caching = text_equal(call.word(2), "uncached")        ? mmio::Caching::Uncached
                         : text_equal(call.word(2), "write-through") ? mmio::Caching::WriteThrough
                                                                     : mmio::Caching(call.number(2));
    const auto result = mmio::map(physical, bytes, caching);
    call.reply(result.error(), {address_of(result.value()).value()});
}

void unmap_device(harness::Call& call) { call.reply(mmio::unmap(pointer(call, 0))); }

HARNESS_VERB("vmalloc.allocate", allocate);
HARNESS_VERB("vmalloc.free", free);
HARNESS_VERB("vmalloc.size", size);
HARNESS_VERB("vmalloc.purge", purge);
HARNESS_VERB("vmalloc.shrink", shrink);
HARNESS_VERB("vmalloc.statistics", statistics);
HARNESS_VERB("vmalloc.invariants", check_invariants);
HARNESS_VERB("vmalloc.area", area);
HARNESS_VERB("vmalloc.find", find);
HARNESS_VERB("vmalloc.fill", fill);
HARNESS_VERB("vmalloc.check", check);
HARNESS_VERB("vmalloc.touch", touch);
HARNESS_VERB("vmalloc.report", report);
HARNESS_VERB("mmio.map", map_device);
HARNESS_VERB("mmio.unmap", unmap_device);

} // namespace
