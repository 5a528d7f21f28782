/// @file
/// Ticks of one function, call by call. For the operations of `make bench`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "arch/cpu.h"

namespace bench {

inline constexpr size_t kMaxSamples = 1024;

class Samples {
public:
    void clear() { count_ = 0; }
    void add(uint64_t ticks) { values_[count_++ % kMaxSamples] = static_cast<uint32_t>(ticks); }
    uint32_t median() {
        const size_t count = std::min(count_, kMaxSamples);
        std::sort(values_, values_ + count);
        return count ? values_[count / 2] : 0;
    }
    uint32_t worst() const {
        const size_t count = std::min(count_, kMaxSamples);
        return count ? *std::max_element(values_, values_ + count) : 0;
    }

private:
    uint32_t values_[kMaxSamples] = {};
    size_t count_ = 0;
};

/// What two readings of the clock measure when nothing lies between them.
inline uint64_t clock_overhead() {
    const uint64_t before = Cpu::ticks();
    return Cpu::ticks() - before;
}

} // namespace bench
