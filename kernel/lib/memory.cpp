#include "lib/memory.h"

#include <cstdint>

// Plain loops here would be turned back into calls of these very functions; -fno-tree-loop-distribute-patterns (Makefile)
// forbids that for this file.

extern "C" {

void* memset(void* destination, int byte, size_t length) {
    auto* bytes = static_cast<uint8_t*>(destination);
    const uint32_t word = static_cast<uint8_t>(byte) * 0x0101'0101u;
    size_t words = length / 4;
    for (auto* at = reinterpret_cast<uint32_t*>(bytes); words > 0; --words) *at++ = word;
    for (size_t i = length & ~size_t{3}; i < length; ++i) bytes[i] = static_cast<uint8_t>(byte);
    return destination;
}

void* memcpy(void* destination, const void* source, size_t length) {
    auto* to = static_cast<uint8_t*>(destination);
    auto* from = static_cast<const uint8_t*>(source);
    const size_t words = length / 4;
    for (size_t i = 0; i < words; ++i) reinterpret_cast<uint32_t*>(to)[i] = reinterpret_cast<const uint32_t*>(from)[i];
    for (size_t i = words * 4; i < length; ++i) to[i] = from[i];
    return destination;
}

void* memmove(void* destination, const void* source, size_t length) {
    auto* to = static_cast<uint8_t*>(destination);
    auto* from = static_cast<const uint8_t*>(source);
    if (to <= from) return memcpy(destination, source, length);
    while (length-- > 0) to[length] = from[length];
    return destination;
}

int memcmp(const void* left, const void* right, size_t length) {
    auto* a = static_cast<const uint8_t*>(left);
    auto* b = static_cast<const uint8_t*>(right);
    for (size_t i = 0; i < length; ++i) {
        if (a[i] != b[i]) return a[i] - b[i];
    }
    return 0;
}
}
