/// @file
/// The four functions that the compiler calls by itself, even in freestanding code (GCC manual, "Language Standards").
/// The string instructions count as one tick per element in the emulator, and are microcoded to be fast on real CPUs.
#pragma once

#include <cstddef>

extern "C" {
void* memset(void* destination, int byte, size_t length);
void* memcpy(void* destination, const void* source, size_t length);
void* memmove(void* destination, const void* source, size_t length);
int memcmp(const void* left, const void* right, size_t length);
}
