/// @file
/// Uses mm::slab and mm::kmalloc at random, and knows what every block holds and every call must answer: lab 04, tests and fuzzer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/journal.h"
#include "host/source.h"
#include "mm/heap/finding.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"

namespace host {

/// Addresses that no heap hands out, and that no heap may touch: nothing is mapped there, or it is somebody else's.
std::vector<void*> strange_addresses();

/// Findings that were reported since the last call of this, oldest first; at most as many as are kept.
std::vector<mm::Finding> new_findings();

/// A place in the source for calls of the tests' own; `number` tells them apart.
CallSite site(uint32_t number);

class HeapDriver {
public:
    /// Starts where slab::initialize() ends.
    HeapDriver(Source& source, std::string what);

    /// One call, chosen at random.
    void step();
    /// Frees all blocks, ends all caches, shrinks, and compares the frames in use with those at the start.
    void finish();
    /// Looks at the contents of all blocks, and at what the heap says of itself.
    void check_all();

private:
    struct Cache {
        mm::slab::Cache* piece;
        std::unique_ptr<std::string> name;
        size_t size;
        size_t alignment;
        bool constructed;
        size_t in_use = 0;
    };
    struct Block {
        void* address;
        size_t size;
        uint8_t fill;
        Cache* cache;      ///< nullptr: kmalloc's.
        uint32_t site;
    };
    void create();
    void destroy();
    void allocate_object();
    void allocate_block();
    void reallocate();
    void free_one();
    void free_badly();
    void damage();
    void shrink();

    void added(const Block& block, size_t alignment);
    Error give_back(Cache* cache, void* address, uint32_t site);
    void refuse(Cache* cache, void* address, const char* why, bool was_object);
    void check_contents(const Block& block, const char* when);
    void expect_no_finding();
    void expect_finding(mm::FindingKind kind, const Block& block, size_t damage, uint32_t found);
    bool may_fail(Error error);
    size_t random_size();
    Block remove(size_t index);

    Source& source_;
    Journal journal_;
    std::vector<std::unique_ptr<Cache>> caches_;
    std::vector<Block> blocks_;
    std::map<uint32_t, size_t> extents_;  ///< Size of each block by its address.
    size_t held_bytes_ = 0;
    size_t frames_at_start_;
    uint32_t next_site_ = 1;
    uint32_t next_name_ = 1;
    size_t steps_ = 0;
    bool short_of_memory_ = false;
};

} // namespace host
