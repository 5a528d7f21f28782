/// @file
/// Numbers that are irregular enough for work at random. The host can reckon the same ones.
#pragma once

#include <cstdint>

namespace harness {

/// Marsaglia's xorshift ("Xorshift RNGs", 2003) with 32 bits of state.
class Random {
public:
    explicit Random(uint32_t seed) : state_(seed ? seed : 1) {}
    uint32_t next() {
        state_ ^= state_ << 13, state_ ^= state_ >> 17, state_ ^= state_ << 5;
        return state_;
    }
    uint32_t below(uint32_t bound) { return next() % bound; }

private:
    uint32_t state_;
};

} // namespace harness
