/// @file
/// What lies where in the user range, before chance moves it (CONFIG_ASLR).
///
///     0x10000000  executable arena   text and constants; the code segment ends with the last executable page
///     0x20000000  data arena         the image's variables, kImageDataOffset above its text
///                 heap               begins at random behind the image's variables, grows up (brk)
///                 mappings           from a random top down (mmap, shared memory)
///     0xBF000000  stacks             each with a guard page below
///     0xC0000000  end
///
/// There is no bit in these page tables that forbids execution, so the line between the two arenas does: whatever may be written lies
/// above every address that may be executed, and the limit of the user code segment is drawn between them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mm/paging/page_table.h"
#include "mm/space/areas.h"

namespace mm {

inline constexpr uint32_t kExecutableBegin = kUserBegin;
inline constexpr uint32_t kExecutableEnd = 0x2000'0000;
inline constexpr uint32_t kDataBegin = kExecutableEnd;
inline constexpr uint32_t kStacksArenaBegin = 0xBF00'0000;
inline constexpr uint32_t kStacksArenaEnd = kUserEnd;

/// How far above its text a program's variables lie; user programs are linked so (kernel/user/program.ld).
inline constexpr uint32_t kImageDataOffset = kDataBegin - kExecutableBegin;

/// How many bits of chance each part gets, in pages.
inline constexpr unsigned kImageEntropy = 12;
inline constexpr unsigned kHeapEntropy = 10;
inline constexpr unsigned kMappingEntropy = 14;
inline constexpr unsigned kStackEntropy = 11;

} // namespace mm
