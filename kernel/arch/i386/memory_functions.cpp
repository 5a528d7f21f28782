#include <cstdint>

#include "lib/memory.h"

// The string instructions: one tick per iteration in the emulator, microcoded for speed on real CPUs (Intel SDM 1, 7.3.9).
// All expect the direction flag clear, as the System V ABI promises.

namespace {

void fill_bytes(void*& to, uint32_t byte, size_t count) {
    asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(byte) : "memory");
}

void copy_words(void*& to, const void*& from, size_t count) {
    asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

void copy_bytes(void*& to, const void*& from, size_t count) {
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

} // namespace

void fill_words(uint32_t* destination, uint32_t word, size_t count) {
    asm volatile("rep stosl" : "+D"(destination), "+c"(count) : "a"(word) : "memory");
}

const uint32_t* find_other_word(const uint32_t* words, uint32_t word, size_t count) {
    if (count == 0) return nullptr;
    bool all_equal;
    asm volatile("repe scasl" : "+D"(words), "+c"(count), "=@cce"(all_equal) : "a"(word) : "memory");
    return all_equal ? nullptr : words - 1; // EDI has moved past the word that ended it
}

extern "C" {

void* memset(void* destination, int byte, size_t length) {
    const uint32_t word = static_cast<uint8_t>(byte) * 0x0101'0101u;
    fill_words(static_cast<uint32_t*>(destination), word, length / 4);
    void* to = static_cast<uint8_t*>(destination) + length / 4 * 4;
    fill_bytes(to, word, length % 4);
    return destination;
}

void* memcpy(void* destination, const void* source, size_t length) {
    void* to = destination;
    copy_words(to, source, length / 4);
    copy_bytes(to, source, length % 4);
    return destination;
}

void* memmove(void* destination, const void* source, size_t length) {
    if (destination <= source) return memcpy(destination, source, length);
    auto* to = static_cast<uint8_t*>(destination);
    auto* from = static_cast<const uint8_t*>(source);
    while (length-- > 0) {
        to[length] = from[length];
        asm volatile("" : : : "memory"); // keeps the compiler from recognising memmove and calling this very function
    }
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
