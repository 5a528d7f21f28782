/// @file
/// Memory-mapped I/O: device registers and device memory as the kernel sees them. Linux's ioremap().
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"

namespace mm::mmio {

/// How the CPU may cache what it reads and writes (PCD and PWT in the PTE; Intel SDM 3A, 4.9 and 12.5).
enum class Caching {
    Uncached,      ///< Registers: every access reaches the device, in order.
    WriteThrough,  ///< Device memory, such as a frame buffer: reads may be cached, writes reach the device.
};

/// Maps `bytes` bytes of the device's memory from `physical` on, which need not be aligned; supervisor, writable, global.
/// @return the address of the first byte
///         Error::InvalidArgument  0 bytes, or any of it is memory of the machine, which has an owner already
///         Error::OutOfRange       it wraps past 4 GiB
///         Error::OutOfMemory      no page table, or no addresses left. Nothing has changed.
Result<void*> map(PhysAddr physical, size_t bytes, Caching caching);

/// Ends a mapping. @return Error::NotMapped when map() did not return this address
Result<void> unmap(void* address);

/// One mapping, as for_each() shows it: whole pages.
struct Mapping {
    void* address;
    PhysAddr physical;
    size_t pages;
    Caching caching;
};

/// Whether the address lies where map() maps.
bool contains(const void* address);

/// Shows every mapping, lowest address first.
void for_each(void (*visit)(void* context, const Mapping& mapping), void* context);

} // namespace mm::mmio
