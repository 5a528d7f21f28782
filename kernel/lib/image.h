/// @file
/// Where the kernel's own image lies: the addresses that link.ld defines, as numbers. Virtual and physical are the same here.
#pragma once

#include <cstdint>

extern "C" const char kernel_begin[], kernel_end[], text_begin[], text_end[], rodata_begin[], rodata_end[], harness_begin[],
    harness_end[];

namespace image {

inline uint32_t address_of(const char* symbol) { return reinterpret_cast<uint32_t>(symbol); }

inline uint32_t begin() { return address_of(kernel_begin); }
inline uint32_t end() { return address_of(kernel_end); }
inline uint32_t text_begin() { return address_of(::text_begin); }
inline uint32_t text_end() { return address_of(::text_end); }
inline uint32_t rodata_begin() { return address_of(::rodata_begin); }
inline uint32_t rodata_end() { return address_of(::rodata_end); }
inline uint32_t harness_begin() { return address_of(::harness_begin); }
inline uint32_t harness_end() { return address_of(::harness_end); }

} // namespace image
