/// @file
/// Where the drivers take their decisions from: a pseudo-random generator in the tests, a fuzzer's bytes in `make fuzz`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace host {

/// A stream of choices. The same seed, or the same bytes, give the same choices.
class Source {
public:
    /// Endless; SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
    explicit Source(uint64_t seed) : state_(seed), endless_(true) {}
    /// Ends with the bytes.
    explicit Source(std::span<const uint8_t> bytes) : bytes_(bytes) {}

    /// Whether there is nothing more to decide.
    bool at_end() const { return !endless_ && at_ >= bytes_.size(); }

    /// A number below `bound`, which is not 0. 0 at the end of the bytes.
    uint64_t below(uint64_t bound) {
        if (endless_) return word() % bound;
        return take(bound <= 0x100 ? 1 : bound <= 0x1'0000 ? 2 : 4) % bound; // no more bytes than needed: inputs stay short
    }
    /// A number from `first` to `last`, both included.
    uint64_t between(uint64_t first, uint64_t last) { return first + below(last - first + 1); }
    /// True once in `n` times.
    bool one_in(uint64_t n) { return below(n) == 0; }

    uint64_t word() {
        if (!endless_) return take(4);
        uint64_t z = (state_ += 0x9E37'79B9'7F4A'7C15);
        z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9;
        z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EB;
        return z ^ (z >> 31);
    }
    uint8_t byte() { return static_cast<uint8_t>(endless_ ? word() : take(1)); }

private:
    uint64_t take(size_t count) {
        uint64_t value = 0;
        for (size_t i = 0; i < count && at_ < bytes_.size(); ++i) value = value << 8 | bytes_[at_++];
        return value;
    }

    uint64_t state_ = 0;
    std::span<const uint8_t> bytes_;
    size_t at_ = 0;
    bool endless_ = false;
};

} // namespace host
