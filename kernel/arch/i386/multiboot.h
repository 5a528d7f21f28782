/// @file
/// What the boot loader hands over: Multiboot 1, as the specification 0.6.96 has it (section numbers below are its own).
/// Everything lies at physical addresses, and paging is off when the kernel starts (3.2).
#pragma once

#include <cstdint>

namespace i386::multiboot {

inline constexpr uint32_t kBootMagic = 0x2BADB002; ///< In EAX when a Multiboot loader started us (3.2).

/// Bits of Info::flags: which fields the loader filled in (3.3).
enum Flag : uint32_t {
    kHasMemory = 1u << 0,
    kHasCommandLine = 1u << 2,
    kHasModules = 1u << 3,
    kHasMemoryMap = 1u << 6,
    kHasLoaderName = 1u << 9,
};

/// The information block (3.3).
struct Info {
    uint32_t flags;
    uint32_t memory_lower_kib; ///< KiB from address 0.
    uint32_t memory_upper_kib; ///< KiB from 1 MiB up to the first hole.
    uint32_t boot_device;
    uint32_t command_line; ///< Address of a string that ends with 0.
    uint32_t module_count;
    uint32_t modules; ///< Address of an array of Module.
    uint32_t symbols[4];
    uint32_t memory_map_length; ///< Bytes.
    uint32_t memory_map;        ///< Address of the first MemoryMapEntry.
    uint32_t drives_length;
    uint32_t drives;
    uint32_t configuration_table;
    uint32_t loader_name; ///< Address of a string that ends with 0.
    uint32_t apm_table;
};
static_assert(sizeof(Info) == 72);

/// A file that the loader put into memory, at a page boundary because our header asks for it (3.1.2).
struct Module {
    uint32_t begin;        ///< First byte.
    uint32_t end;          ///< One past the last.
    uint32_t command_line; ///< Address of its string; ours names the module ("script").
    uint32_t reserved;
};
static_assert(sizeof(Module) == 16);

/// An entry of the memory map. `size` does not count itself: the next entry is at this + size + 4, and a loader may make
/// entries longer than what we know of them.
struct __attribute__((packed)) MemoryMapEntry {
    uint32_t size;
    uint64_t base;
    uint64_t length;
    uint32_t kind; ///< 1 is usable memory; everything else is not.
};
static_assert(sizeof(MemoryMapEntry) == 24);

} // namespace i386::multiboot
