/// @file
/// What the boot loader told us, copied out of its memory so that nothing of the loader has to be kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"
#include "mm/physical/memory_map.h"

/// A file that the loader put into memory beside the kernel.
struct BootModule {
    static constexpr size_t kMaxName = 32;
    char name[kMaxName];  ///< The module's string, such as "script"; cut to fit.
    PhysAddr begin;
    uint32_t length;      ///< Bytes.
};

struct BootInformation {
    static constexpr size_t kMaxCommandLine = 256;
    static constexpr size_t kMaxModules = 4;

    char command_line[kMaxCommandLine];
    mm::MemoryMapEntry memory_map[mm::memory_map::kMaxEntries];
    size_t memory_map_entries;
    BootModule modules[kMaxModules];
    size_t module_count;

    std::span<const mm::MemoryMapEntry> map() const { return {memory_map, memory_map_entries}; }
    std::span<const BootModule> files() const { return {modules, module_count}; }
};

/// Reads the loader's information block. Call it first of all, before anything can overwrite the loader's memory. Panics when
/// no Multiboot loader started the kernel or it gave no memory map.
void read_boot_information(uint32_t magic, uint32_t address);

/// What read_boot_information() found.
const BootInformation& boot_information();
