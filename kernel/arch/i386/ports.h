/// @file
/// The I/O ports: the i386's second address space, for devices (Intel SDM 1, chapter 19).
#pragma once

#include <cstddef>
#include <cstdint>

namespace i386 {

inline void out_byte(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

inline void out_word(uint16_t port, uint16_t value) { asm volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }

inline uint8_t in_byte(uint16_t port) {
    uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/// Reads `count` 16-bit words from one port into memory.
inline void in_words(uint16_t port, void* words, size_t count) {
    asm volatile("rep insw" : "+D"(words), "+c"(count) : "d"(port) : "memory");
}

/// Writes `count` 16-bit words from memory to one port.
inline void out_words(uint16_t port, const void* words, size_t count) {
    asm volatile("rep outsw" : "+S"(words), "+c"(count) : "d"(port) : "memory");
}

} // namespace i386
