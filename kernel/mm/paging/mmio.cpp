#include "mm/paging/mmio.h"

#include "config.h"
#include "lib/panic.h"
#include "mm/paging/kernel_window.h"
#include "mm/paging/layout.h"
#include "mm/paging/virtual_ranges.h"
#include "mm/physical/frame_table.h"

namespace mm::mmio {

namespace {

constexpr Rights kRights{Access::ReadWrite, Privilege::Supervisor, Scope::Global};

// Indices into VirtualRange::note.
constexpr size_t kPhysical = 0; ///< The first byte's physical address.
constexpr size_t kCaching = 1;

/// The PC's screen memory and ROMs. It is reserved like memory that is taken, and yet it is nobody's memory.
constexpr FrameRange kLowDevices = {FrameNumber(0xA0), FrameNumber(0x100)};

constinit VirtualRanges mappings(kMmioBegin, kMmioEnd);

bool is_memory(FrameNumber frame) {
    if (kLowDevices.contains(frame) || frame.value() >= frame_table::frame_count()) return false;
    return frame_table::info(frame).use != FrameUse::NotMemory;
}

bool any_is_memory(FrameNumber first, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        if (is_memory(first + i)) return true;
    }
    return false;
}

/// With the page attribute table as it is after a reset, PCD and PWT together are the strict kind of "uncacheable" (Intel SDM
/// 3A, tables 12-11 and 12-12): no range register (MTRR) can make the CPU combine writes there.
constexpr uint32_t bits_of(Caching caching) {
    using namespace entry_bits;
    return caching == Caching::Uncached ? kCacheDisable | kWriteThrough : kWriteThrough;
}

void write_entries(const VirtualRange& range, FrameNumber first, Caching caching) {
    FrameNumber frame = first;
    kernel_window::for_each_entry(range.begin, range.pages, [&](Pte& entry) {
        KASSERT("nobody else maps pages where mmio does", !entry.is_present());
        entry = Pte::from_word(Pte::present(frame, kRights).word() | bits_of(caching));
        ++frame;
    });
}

/// The address of the mapping's first byte, as map() returned it.
VirtAddr first_byte(const VirtualRange& range) { return range.begin + range.note[kPhysical] % kPageSize; }

} // namespace

Result<void*> map(PhysAddr physical, size_t bytes, Caching caching) {
    if (bytes == 0 || (caching != Caching::Uncached && caching != Caching::WriteThrough)) return Error::InvalidArgument;
    const PhysAddr last = physical + (bytes - 1);
    if (last < physical) return Error::OutOfRange;
    const FrameNumber first = FrameNumber::containing(physical);
    const size_t pages = FrameNumber::containing(last).value() - first.value() + 1;
    if (any_is_memory(first, pages)) return Error::InvalidArgument;
    if (!CONFIG_PAGING) return pointer_to<void>(VirtAddr(physical.value()));
    VirtualRange* const range = TRY(mappings.take(pages));
    const Result<void> tables = kernel_window::add_tables(range->begin, pages);
    if (tables.is_error()) {
        mappings.give_back(range);
        return tables.error();
    }
    range->note[kPhysical] = physical.value();
    range->note[kCaching] = static_cast<uint32_t>(caching);
    write_entries(*range, first, caching);
    return pointer_to<void>(first_byte(*range));
}

Result<void> unmap(void* address) {
    if (!CONFIG_PAGING) return {};
    VirtualRange* const range = mappings.find(address_of(address));
    if (!range || first_byte(*range) != address_of(address)) return Error::NotMapped;
    kernel_window::for_each_entry(range->begin, range->pages, [](Pte& entry) { entry = Pte::empty(); });
    kernel_window::forget(range->begin, range->pages);
    mappings.give_back(range);
    return {};
}

bool contains(const void* address) {
    return address_of(address).value() >= kMmioBegin && address_of(address).value() < kMmioEnd;
}

void for_each(void (*visit)(void* context, const Mapping& mapping), void* context) {
    for (const VirtualRange* range = mappings.first(); range; range = mappings.next(range)) {
        visit(context, {.address = pointer_to<void>(first_byte(*range)),
                        .physical = PhysAddr(range->note[kPhysical]),
                        .pages = range->pages,
                        .caching = static_cast<Caching>(range->note[kCaching])});
    }
}

} // namespace mm::mmio
