/// @file
/// The memory of the machine that the host tests pretend to be.
///
/// It lies in this process at the very addresses that it has in the kernel: the byte at physical address 0x123456 is the byte at
/// 0x123456 here. So identity-mapped memory is identity mapped, a pointer to it fits in 32 bits, and address_of(), pointer_to() and
/// frame_memory() need no second version. The test program itself is linked at kProgramBegin, out of the way and below 4 GiB
/// as well, so that even the address of a piece's own variable is one.
///
///     0x0001'0000 - 0x1FFF'FFFF   physical memory: readable where the machine has some, else any access is a fault
///     0x3000'0000 - 0x3FFF'FFFF   what vmalloc hands out
///     0x6000'0000                 the test program: code, and the pieces' variables
///
/// Memory that nobody may touch now is poisoned: AddressSanitizer then reports an access with the line that made it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"

namespace host {

inline constexpr uint32_t kMemoryBegin = 0x0001'0000;   ///< Linux keeps the addresses below (vm.mmap_min_addr) for null pointers.
inline constexpr uint32_t kMemoryEnd = 0x2000'0000;     ///< 512 MiB: the High zone begins in the middle.
inline constexpr uint32_t kVmallocWindow = 0x3000'0000;
inline constexpr uint32_t kVmallocWindowEnd = 0x4000'0000;

/// Takes the address ranges above. Ends the program with an explanation when somebody else has them. Once; later calls do nothing.
void reserve_addresses();

/// There is memory in these frames: makes them readable. (Zero at first; what is handed out later is not.)
void add_memory(FrameRange frames);

/// As add_memory(), for whole pages of the vmalloc window.
void add_pages(uint32_t begin, uint32_t bytes);

/// From now on an access is an error, until allow() is called.
void forbid(uint32_t begin, size_t bytes);
void allow(uint32_t begin, size_t bytes);
inline void forbid(FrameNumber frame) { forbid(frame.address().value(), kPageSize); }
inline void allow(FrameNumber frame) { allow(frame.address().value(), kPageSize); }

} // namespace host
