/// @file
/// Fixed-size pools: objects of one size with a reserve, for work that must not fail half-way (writing a page out to free its
/// frame needs a request object, and memory is short just then). As Linux's mempools.
#pragma once

#include <cstddef>

#include "lib/call_site.h"
#include "lib/result.h"
#include "mm/heap/slab.h"

namespace mm {

/// A cache of its own, and `reserve` objects set aside. Holds no memory until initialize().
///
/// allocate() cannot fail while fewer than `reserve` objects are in use, whatever the state of memory.
class Pool {
public:
    constexpr Pool() = default;
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// Once, or again after destroy().
    /// @param name  lives as long as the pool
    /// @return as slab::create(); Error::OutOfMemory when the reserve cannot be filled, and nothing is held then
    Result<void> initialize(const char* name, size_t object_size, size_t reserve);

    /// Gives everything back. @return Error::Busy while objects are in use; nothing has changed then
    Result<void> destroy();

    /// An object from the cache while there is memory, from the reserve when there is none.
    /// @return Error::OutOfMemory when the reserve is used up as well
    Result<void*> allocate(CallSite site = CallSite::here());

    /// Takes an object back: into the reserve until that is full, then into the cache. Errors as slab::free().
    Result<void> free(void* object, CallSite site = CallSite::here());

    size_t in_use() const { return in_use_; }
    size_t reserve() const { return reserve_; }       ///< Objects that should be set aside.
    size_t set_aside() const { return set_aside_; }   ///< Objects that are.

private:
    bool refill(CallSite site = CallSite::here()); ///< Whether the reserve is full now.
    void empty();                                  ///< Gives all memory back.

    slab::Cache* cache_ = nullptr;
    void** kept_ = nullptr;   ///< The reserve: a stack of set_aside_ objects.
    size_t reserve_ = 0;
    size_t set_aside_ = 0;
    size_t in_use_ = 0;
};

} // namespace mm
