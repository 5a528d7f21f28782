/// @file
/// Numbers that look like chance and repeat with their seed: for placing things, never for secrets.
#pragma once

#include <cstdint>

/// A sequence of 32-bit numbers: a counter that goes round all 2^32 values (Weyl sequence), each value stirred until every bit of it
/// depends on every bit of the counter. (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, for the
/// scheme; the constants of the 32-bit mixer are those of Wellons' hash-prospector.)
class Random {
public:
    constexpr explicit Random(uint32_t seed = 0) : counter_(seed) {}

    constexpr uint32_t next() {
        counter_ += 0x9E37'79B9; // 2^32 divided by the golden ratio, odd
        uint32_t word = counter_;
        word = (word ^ (word >> 16)) * 0x21F0'AAAD;
        word = (word ^ (word >> 15)) * 0x735A'2D97;
        return word ^ (word >> 15);
    }

    /// The next number's highest `count` bits, 1 to 32.
    constexpr uint32_t bits(unsigned count) { return next() >> (32 - count); }

private:
    uint32_t counter_;
};

/// The kernel's own sequence: one number for each program that starts, so that a boot with the same seed places everything alike.
void seed_random(uint32_t seed);
uint32_t next_random();
