/// @file
/// All chance comes from one number, so that a run repeats.
#pragma once

#include <cstddef>
#include <cstdint>

/// Marsaglia's xorshift.
class Random {
public:
    explicit constexpr Random(uint32_t seed) : state_(mix(seed)) {}

    uint32_t word() {
        state_ ^= state_ << 13, state_ ^= state_ >> 17, state_ ^= state_ << 5;
        return state_;
    }
    uint32_t below(uint32_t bound) { return word() % bound; }
    bool one_in(uint32_t n) { return below(n) == 0; }
    template <typename T, size_t kCount>
    const T& pick(const T (&values)[kCount]) { return values[below(kCount)]; }
    /// Another sequence, which this one decides.
    Random branch() { return Random(word()); }

private:
    /// Wellons's lowbias32: near seeds, far states.
    static constexpr uint32_t mix(uint32_t x) {
        x ^= x >> 16, x *= 0x7FEB352D, x ^= x >> 15, x *= 0x846CA68B, x ^= x >> 16;
        return x ? x : 1;
    }
    uint32_t state_;
};
