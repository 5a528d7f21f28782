/// @file
/// Measuring in user code: ticks of the CPU, many of them, and the median and worst of each lot.
#pragma once

#include "../debug.h"
#include "user/library.h"

inline constexpr size_t kMaxSamples = 512;

inline uint64_t now() {
    uint64_t ticks;
    asm volatile("rdtsc" : "=A"(ticks) : : "memory");
    return ticks;
}

/// What two readings of the clock measure when nothing lies between them.
inline uint32_t clock_overhead() {
    const uint64_t before = now();
    return static_cast<uint32_t>(now() - before);
}

/// In order of size.
class Samples {
public:
    void clear() { count_ = 0; }
    void add(uint32_t ticks) {
        size_t at = count_++;
        for (; at > 0 && values_[at - 1] > ticks; --at) values_[at] = values_[at - 1];
        values_[at] = ticks;
    }
    size_t count() const { return count_; }
    uint32_t median() const { return values_[count_ / 2]; }
    uint32_t worst() const { return values_[count_ - 1]; }
    uint32_t mean() const {
        uint64_t sum = 0;
        for (size_t i = 0; i < count_; ++i) sum += values_[i];
        return static_cast<uint32_t>(sum / count_);
    }
    /// Forgets the smaller ones.
    void keep_above(uint32_t ticks) {
        size_t kept = 0;
        for (size_t i = 0; i < count_; ++i) {
            if (values_[i] > ticks) values_[kept++] = values_[i];
        }
        count_ = kept;
    }
    /// "NAME MEDIAN WORST": a line for grader/bench.py.
    void print(const char* name) const { printf("%s %u %u\n", name, median(), worst()); }

private:
    uint32_t values_[kMaxSamples] = {};
    size_t count_ = 0;
};

inline constinit Samples samples;

[[noreturn]] inline void fail(const char* what, int error) {
    printf("error %s: %s\n", what, error_text(error));
    exit(1);
}

inline int check(const char* what, int result) {
    if (result < 0) fail(what, result);
    return result;
}

/// Private memory that nobody has touched.
inline char* map_pages(size_t count) {
    void* const pages = mmap(nullptr, count * kPageBytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
    if (is_error(pages)) fail("mmap", -abi::ENOMEM);
    return static_cast<char*>(pages);
}

/// The measurement of which one round runs between two checkpoints, for a tick profile (grader/tick_profile.py), or nullptr.
inline constinit const char* profiled = nullptr;
inline constexpr size_t kProfiledRound = 20;

inline bool is_wanted(const char* name) { return profiled && strcmp(profiled, name) == 0; }

/// Samples of `work`, which gets the number of the round.
template <typename Work>
void measure(const char* name, size_t rounds, Work work) {
    const uint32_t overhead = clock_overhead();
    samples.clear();
    for (size_t i = 0; i < rounds; ++i) {
        const bool is_profiled = i == kProfiledRound && is_wanted(name);
        if (is_profiled) checkpoint("begin");
        const uint64_t before = now();
        work(i);
        samples.add(static_cast<uint32_t>(now() - before) - overhead);
        if (is_profiled) checkpoint("end");
    }
    samples.print(name);
}
