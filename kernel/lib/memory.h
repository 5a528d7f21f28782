/// @file
/// Filling and copying memory. The first four are functions that the compiler calls by itself, even in freestanding code
/// (GCC manual, "Language Standards Supported"). All run at one tick per element in the emulator.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
void* memset(void* destination, int byte, size_t length);
void* memcpy(void* destination, const void* source, size_t length);
void* memmove(void* destination, const void* source, size_t length);
int memcmp(const void* left, const void* right, size_t length);
}

/// Writes `word` `count` times from `destination` on.
void fill_words(uint32_t* destination, uint32_t word, size_t count);

/// The first of `count` words that is not `word`; nullptr when all are.
const uint32_t* find_other_word(const uint32_t* words, uint32_t word, size_t count);
