#include "mm/paging/kmap.h"

#include <bit>
#include <cstdint>

#include "arch/cpu.h"
#include "lib/panic.h"
#include "mm/paging/layout.h"
#include "mm/paging/pte.h"
#include "mm/physical/frame_memory.h"

namespace mm::kmap {

namespace {

Pte* entries = nullptr;      ///< The window's page table, at its identity-mapped address.
uint32_t taken_slots = 0;    ///< Bit i is set while slot i is in use.
static_assert(kKmapSlots <= 32);

constexpr Rights kTemporary{Access::ReadWrite, Privilege::Supervisor, Scope::Global};

} // namespace

void initialize(FrameNumber page_table) {
    entries = reinterpret_cast<Pte*>(page_table.address().value());
    set_temporary_mapper({.map = map, .unmap = unmap});
}

void* map(FrameNumber frame) {
    const unsigned slot = static_cast<unsigned>(std::countr_one(taken_slots));
    KASSERT("a temporary mapping is free: frame_memory() objects are short-lived", slot < kKmapSlots);
    taken_slots |= 1u << slot;
    entries[slot] = Pte::present(frame, kTemporary);
    return reinterpret_cast<void*>(kKmapBegin + slot * kPageSize);
}

void unmap(void* address) {
    const auto at = reinterpret_cast<uint32_t>(address);
    if (at < kKmapBegin || at >= kKmapBegin + kKmapSlots * kPageSize) return;
    const uint32_t slot = (at - kKmapBegin) / kPageSize;
    entries[slot] = Pte::empty();
    Cpu::invalidate_page(VirtAddr(at));
    taken_slots &= ~(1u << slot);
}

} // namespace mm::kmap
