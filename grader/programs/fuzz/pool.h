/// @file
/// Addresses, numbers and names that are worth passing to the kernel: mostly what is valid right now, and every edge.
#pragma once

#include <cstddef>
#include <cstdint>

#include "random.h"

class Pool {
public:
    explicit Pool(Random random) : random_(random) {}

    /// Any byte worth a pointer. Seldom in the fuzzer's own variables: it would not go on for long.
    uint32_t address();
    /// The begin of a page, mostly mapped.
    uint32_t page();
    uint32_t length();
    /// For Break: mostly near the last one, as anything far above takes all memory there is.
    uint32_t heap_end();
    uint32_t path();
    /// A path for Exec; programs only when asked for.
    uint32_t program_path(bool programs);
    uint32_t argument_list();
    uint32_t file();
    uint32_t shared();
    /// A number with a meaning for the call, or one bit more.
    uint32_t flags(const uint32_t* known, size_t count);

    /// What calls have brought.
    void add_region(uint32_t begin, uint32_t bytes);
    void add_break(uint32_t end) { break_ = end; }
    void add_file(uint32_t file) { files_[random_.below(kFiles)] = file; }
    void add_shared(uint32_t number, uint32_t bytes);
    uint32_t shared_bytes(uint32_t number) const { return number < kShared ? shared_bytes_[number] : 0; }

    /// Whether a change of these pages would end the fuzzer: its program, and its stack.
    static bool is_own(uint32_t begin, uint32_t bytes);

private:
    static constexpr size_t kRegions = 24, kFiles = 8, kShared = 8;
    struct Region {
        uint32_t begin, bytes;
    };
    uint32_t near(uint32_t address);

    Random random_;
    Region regions_[kRegions] = {};
    uint32_t break_ = 0;
    uint32_t files_[kFiles] = {2, 2, 0, 0, 0, 0, 0, 0};
    uint32_t shared_bytes_[kShared] = {};
};
