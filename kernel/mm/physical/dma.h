/// @file
/// Memory that an ISA device can reach: below 16 MiB, in one piece, and not across a multiple of 64 KiB, where the address
/// counter of the DMA controller wraps (Intel 8237A data sheet: 16 address bits, the page register does not count).
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"

namespace mm::dma {

inline constexpr size_t kBoundary = 64 * 1024;
inline constexpr uint32_t kEnd = 16u << 20;

/// A buffer, as the device and as the kernel see it.
struct Buffer {
    PhysAddr physical;
    void* address;
    size_t bytes;   ///< As asked for.
};

/// @return Error::InvalidArgument for 0 bytes, Error::OutOfRange for more than kBoundary, Error::OutOfMemory (or Error::Unsupported with
///         an allocator of single frames, for more than a page)
Result<Buffer> allocate(size_t bytes);

/// @return Error::NotAllocated when it is no buffer in use
Result<void> free(const Buffer& buffer);

} // namespace mm::dma
