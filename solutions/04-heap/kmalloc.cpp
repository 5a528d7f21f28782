/// Reference solution of lab 04-heap, second half: memory of any size.
///
/// | request                                  | served by                                                              |
/// |------------------------------------------|------------------------------------------------------------------------|
/// | up to 4096 bytes                         | the cache of the smallest size class that has room                     |
/// | the same, at a multiple of more than 8   | the cache of the smallest power of two that is no less than either     |
/// | more                                     | a block of its own: a run of frames, or an area of vmalloc's           |
///
/// Four classes to each doubling (eight up to 64), so that no more than a fifth of a block is lost, of most less than a tenth.
/// A table leads from a size to its class: one load, whatever the size.
#include "mm/heap/kmalloc.h"

#include <array>

#include "config.h"
#include "lib/address.h"
#include "lib/memory.h"

namespace mm {

namespace slab {
// What slab.cpp does for kmalloc beyond its contract.
Result<Cache*> create_for_kmalloc(const Description& description);
Result<void*> allocate_for_kmalloc(Cache* cache, size_t bytes, CallSite site);
Result<void*> allocate_block(size_t bytes, size_t alignment, CallSite site);
Result<void> free_for_kmalloc(void* block, CallSite site);
struct BlockSize {
    size_t bytes; ///< As asked for; without CONFIG_MEMORY_DEBUGGING the same as room.
    size_t room;  ///< That it could have.
};
Result<BlockSize> size_of_block(void* block, CallSite site);
void resize_block(void* block, size_t bytes, CallSite site);
Result<void> start_kmalloc_caches();
} // namespace slab

namespace {

struct Class {
    size_t size;
    const char* name;
};

constexpr std::array kClasses = {
    Class{8, "kmalloc 8"},       Class{16, "kmalloc 16"},     Class{24, "kmalloc 24"},     Class{32, "kmalloc 32"},
    Class{40, "kmalloc 40"},     Class{48, "kmalloc 48"},     Class{56, "kmalloc 56"},     Class{64, "kmalloc 64"},
    Class{80, "kmalloc 80"},     Class{96, "kmalloc 96"},     Class{112, "kmalloc 112"},   Class{128, "kmalloc 128"},
    Class{160, "kmalloc 160"},   Class{192, "kmalloc 192"},   Class{224, "kmalloc 224"},   Class{256, "kmalloc 256"},
    Class{320, "kmalloc 320"},   Class{384, "kmalloc 384"},   Class{448, "kmalloc 448"},   Class{512, "kmalloc 512"},
    Class{640, "kmalloc 640"},   Class{768, "kmalloc 768"},   Class{896, "kmalloc 896"},   Class{1024, "kmalloc 1024"},
    Class{1280, "kmalloc 1280"}, Class{1536, "kmalloc 1536"}, Class{1792, "kmalloc 1792"}, Class{2048, "kmalloc 2048"},
    Class{2560, "kmalloc 2560"}, Class{3072, "kmalloc 3072"}, Class{3584, "kmalloc 3584"}, Class{4096, "kmalloc 4096"},
};

/// Blocks at a multiple of their size.
constexpr std::array kAlignedClasses = {
    Class{16, "kmalloc aligned 16"},     Class{32, "kmalloc aligned 32"},     Class{64, "kmalloc aligned 64"},
    Class{128, "kmalloc aligned 128"},   Class{256, "kmalloc aligned 256"},   Class{512, "kmalloc aligned 512"},
    Class{1024, "kmalloc aligned 1024"}, Class{2048, "kmalloc aligned 2048"}, Class{4096, "kmalloc aligned 4096"},
};

constexpr size_t kMaxClass = kClasses.back().size;
static_assert(kMaxClass <= kMaxObjectSize && kAlignedClasses.back().size == kMaxClass);

/// Entry (bytes + 7) / 8 is the class of a request.
constexpr std::array<uint8_t, kMaxClass / 8 + 1> kClassOf = [] {
    std::array<uint8_t, kMaxClass / 8 + 1> table{};
    for (size_t i = 0, chosen = 0; i < table.size(); ++i) {
        if (i * 8 > kClasses[chosen].size) ++chosen;
        table[i] = static_cast<uint8_t>(chosen);
    }
    return table;
}();

constinit std::array<slab::Cache*, kClasses.size()> caches{};
constinit std::array<slab::Cache*, kAlignedClasses.size()> aligned_caches{};

/// A block of a class. Without debugging nobody needs to know how much of it was asked for.
Result<void*> allocate_small(slab::Cache* cache, [[maybe_unused]] size_t bytes, CallSite site) {
    if constexpr (CONFIG_MEMORY_DEBUGGING) return slab::allocate_for_kmalloc(cache, bytes, site);
    return slab::allocate(cache, site);
}

} // namespace

/// Makes the caches. Called by slab::initialize(); those made last are shown first.
Result<void> slab::start_kmalloc_caches() {
    for (size_t i = kAlignedClasses.size(); i-- > 0;)
        aligned_caches[i] = TRY(slab::create_for_kmalloc({kAlignedClasses[i].name, kAlignedClasses[i].size, kAlignedClasses[i].size}));
    for (size_t i = kClasses.size(); i-- > 0;) caches[i] = TRY(slab::create_for_kmalloc({kClasses[i].name, kClasses[i].size}));
    return {};
}

Result<void*> kmalloc(size_t bytes, CallSite site) {
    if (bytes - 1 < kMaxClass) return allocate_small(caches[kClassOf[(bytes + 7) / 8]], bytes, site); // 0 - 1 is large
    return bytes == 0 ? Error::InvalidArgument : slab::allocate_block(bytes, kHeapAlignment, site);
}

Result<void*> kmalloc_aligned(size_t bytes, size_t alignment, CallSite site) {
    if (bytes == 0 || alignment == 0 || alignment > kPageSize || (alignment & (alignment - 1)) != 0) return Error::InvalidArgument;
    if (alignment <= kHeapAlignment) return kmalloc(bytes, site);
    for (size_t i = 0; i < kAlignedClasses.size(); ++i) {
        if (kAlignedClasses[i].size >= bytes && kAlignedClasses[i].size >= alignment) return allocate_small(aligned_caches[i], bytes, site);
    }
    return slab::allocate_block(bytes, alignment, site);
}

Result<void*> krealloc(void* block, size_t bytes, CallSite site) {
    if (block == nullptr) return kmalloc(bytes, site);
    if (bytes == 0) return Error::InvalidArgument;
    const slab::BlockSize old = TRY(slab::size_of_block(block, site));
    const bool fits = bytes <= old.room;
    if (!fits || bytes < old.room / 2) { // a block that is too large moves as well, if it can
        const auto moved = kmalloc(bytes, site);
        if (!moved.is_error()) {
            memcpy(moved.value(), block, bytes < old.bytes ? bytes : old.bytes);
            TRY(kfree(block, site));
            return moved;
        }
        if (!fits) return moved;
    }
    slab::resize_block(block, bytes, site);
    return block;
}

Result<void> kfree(void* block, CallSite site) { return slab::free_for_kmalloc(block, site); }

} // namespace mm
