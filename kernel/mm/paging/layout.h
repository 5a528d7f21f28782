/// @file
/// Fixed addresses of the kernel in virtual memory. docs/architecture.md draws the whole map.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"

namespace mm {

/// Where vmalloc hands out memory: the first part of the shared range.
inline constexpr uint32_t kVmallocBegin = 0xC000'0000;
inline constexpr uint32_t kVmallocEnd = 0xE000'0000;

/// Device registers and device memory (mmio.h).
inline constexpr uint32_t kMmioBegin = 0xE000'0000;
inline constexpr uint32_t kMmioEnd = 0xF000'0000;

/// The window of temporary mappings, one page table wide.
inline constexpr uint32_t kKmapBegin = 0xF000'0000;
inline constexpr size_t kKmapSlots = 16;  ///< Temporary mappings at one time.

/// Kernel stacks, each with a page below it that is never mapped: an overflow faults instead of spoiling what lies there.
inline constexpr uint32_t kStacksBegin = 0xF040'0000;
inline constexpr uint32_t kStacksEnd = 0xF140'0000;  ///< Its four page tables are made at boot: a stack cannot learn of one by a page fault.
inline constexpr size_t kStackPages = 4;  ///< Of one stack, without its guard page.
inline constexpr uint32_t kBootStackGuard = kStacksBegin;
inline constexpr uint32_t kBootStackBegin = kBootStackGuard + kPageSize;
inline constexpr uint32_t kBootStackEnd = kBootStackBegin + kStackPages * kPageSize;

} // namespace mm
