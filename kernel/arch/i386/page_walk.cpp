#include "arch/i386/page_walk.h"

#include <optional>

#include "arch/cpu.h"
#include "arch/i386/probe.h"
#include "lib/format.h"
#include "mm/paging/pte.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/zone.h"

namespace i386 {
namespace {

/// A word of physical memory. Low memory is read where it is identity mapped, if it still is.
std::optional<uint32_t> physical_word(PhysAddr address) {
    uint32_t word;
    if (address.value() < mm::kIdentityEnd) {
        if (!try_read(VirtAddr(address.value()), word)) return std::nullopt;
        return word;
    }
    const mm::FrameMemory memory = mm::frame_memory(FrameNumber::containing(address));
    const auto at = reinterpret_cast<uint32_t>(memory.as<uint8_t>()) + address.value() % kPageSize;
    if (!try_read(VirtAddr(at), word)) return std::nullopt;
    return word;
}

void print_bits(uint32_t word) {
    using namespace mm::entry_bits;
    print(" {}, {}", word & kWritable ? "writable" : "read-only", word & kUser ? "user" : "kernel only");
    if (word & kGlobal) print(", global");
    if (word & kCacheDisable) print(", not cached");
    if (word & kAccessed) print(", accessed");
}

void print_entry(const char* level, uint32_t index, PhysAddr at, uint32_t word) {
    print("  {} {4} at {x8} = {x8}:", level, index, at, word);
    if (!(word & mm::entry_bits::kPresent))
        print(" not present");
    else
        print_bits(word);
}

void print_table_entry(PhysAddr table, VirtAddr address) {
    const PhysAddr at = table + address.table_index() * sizeof(mm::Pte);
    const auto word = physical_word(at);
    if (!word) {
        print("  PTE {4} at {x8} cannot be read: no such memory\n", address.table_index(), at);
        return;
    }
    const mm::Pte pte = mm::Pte::from_word(*word);
    print_entry("PTE", address.table_index(), at, pte.word());
    if (pte.is_present()) print("{}, frame at {x8}", pte.is_dirty() ? ", dirty" : "", pte.frame().address());
    print("\n");
}

} // namespace

void print_page_walk(PhysAddr directory, VirtAddr address) {
    print("page tables for {x8}, directory at {x8}\n", address, directory);
    const PhysAddr at = directory + address.directory_index() * sizeof(mm::Pde);
    const auto word = physical_word(at);
    if (!word) {
        print("  PDE {4} at {x8} cannot be read: no such memory\n", address.directory_index(), at);
        return;
    }
    const mm::Pde pde = mm::Pde::from_word(*word);
    print_entry("PDE", address.directory_index(), at, pde.word());
    if (pde.is_large_page()) print("{}, 4 MiB at {x8}", pde.is_dirty() ? ", dirty" : "", pde.frame().address());
    if (pde.is_table()) print(", table at {x8}", pde.frame().address());
    print("\n");
    if (pde.is_table()) print_table_entry(pde.frame().address(), address);
}

} // namespace i386
