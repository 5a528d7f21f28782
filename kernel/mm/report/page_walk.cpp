// The two entries that the CPU reads for an address, read again for a report. Every word is probed first, because the page
// tables may be what is broken: panics call this too.
#include <optional>

#include "arch/cpu.h"
#include "arch/fault_info.h"
#include "lib/format.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/paging/pte.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/zone.h"
#include "mm/report/reports.h"

namespace mm::report {
namespace {

/// A word of physical memory. Low memory is read where it is identity mapped, if it still is.
std::optional<uint32_t> physical_word(PhysAddr address) {
    uint32_t word;
    if (address.value() < kIdentityEnd) {
        if (!Cpu::try_read(VirtAddr(address.value()), word)) return std::nullopt;
        return word;
    }
    const FrameMemory memory = frame_memory(FrameNumber::containing(address));
    const auto at = reinterpret_cast<uint32_t>(memory.as<uint8_t>()) + address.value() % kPageSize;
    if (!Cpu::try_read(VirtAddr(at), word)) return std::nullopt;
    return word;
}

void print_bits(uint32_t word) {
    using namespace entry_bits;
    print(" {}, {}", word & kWritable ? "writable" : "read-only", word & kUser ? "user" : "kernel only");
    if (word & kGlobal) print(", global");
    if (word & kCacheDisable) print(", not cached");
    if (word & kAccessed) print(", accessed");
}

void print_entry(const char* level, uint32_t index, PhysAddr at, uint32_t word) {
    print("  {} {4} at {x8} = {x8}:", level, index, at, word);
    if (!(word & entry_bits::kPresent))
        print(" not present");
    else
        print_bits(word);
}

void print_table_entry(PhysAddr table, VirtAddr address) {
    const PhysAddr at = table + address.table_index() * sizeof(Pte);
    const auto word = physical_word(at);
    if (!word) {
        print("  PTE {4} at {x8} cannot be read: no such memory\n", address.table_index(), at);
        return;
    }
    const Pte pte = Pte::from_word(*word);
    print_entry("PTE", address.table_index(), at, pte.word());
    if (pte.is_present()) print("{}, frame at {x8}", pte.is_dirty() ? ", dirty" : "", pte.frame().address());
    if (pte.is_swapped()) print(", swapped to slot {}", pte.slot().value());
    print("\n");
}

} // namespace

void walk(PageDirectory where, VirtAddr address) {
    const PhysAddr directory = where.frame.address();
    print("page tables for {x8}, directory at {x8}\n", address, directory);
    const PhysAddr at = directory + address.directory_index() * sizeof(Pde);
    const auto word = physical_word(at);
    if (!word) {
        print("  PDE {4} at {x8} cannot be read: no such memory\n", address.directory_index(), at);
        return;
    }
    const Pde pde = Pde::from_word(*word);
    print_entry("PDE", address.directory_index(), at, pde.word());
    if (pde.is_large_page()) print("{}, 4 MiB at {x8}", pde.is_dirty() ? ", dirty" : "", pde.frame().address());
    if (pde.is_table()) print(", table at {x8}", pde.frame().address());
    print("\n");
    if (pde.is_table()) print_table_entry(pde.frame().address(), address);
}

void explain_faults() {
    set_page_walk_printer([](PhysAddr directory, VirtAddr address) { walk({FrameNumber::containing(directory)}, address); });
    set_fault_namer([](VirtAddr address) {
        if (const char* const words = kernel_stacks::explain_fault(address)) return words;
        const char* const words = explain_vmalloc_fault(address);
        return words ? words : explain_user_fault(address);
    });
}

} // namespace mm::report
