/// @file
/// A fuzzer's bytes as calls of a frame allocator. One process serves all inputs, and an allocator starts only once: each input
/// gives back what it took, and everything must be as before.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"

/// LLVMFuzzerTestOneInput() of labs 01 and 03, which differ in the orders that they serve.
int fuzz_frames(const uint8_t* data, size_t size, Order served);
