// Chooses a class for each block; slab.cpp has the classes.
#include "mm/heap/kmalloc.h"

#include <bit>

#include "config.h"
#include "lib/address.h"
#include "lib/memory.h"

namespace mm {

namespace slab {
inline constexpr size_t kBlockClasses = 15;
struct BlockPlace {
    size_t block_class;
    size_t size;
    size_t room;
};
size_t block_room(size_t block_class);
Result<void*> block_allocate(size_t block_class, size_t bytes, size_t alignment, CallSite site);
Result<BlockPlace> block_find(void* block, CallSite site);
void block_resize(void* block, size_t bytes, CallSite site);
Result<void> block_free(void* block, CallSite site);
} // namespace slab

namespace {

constexpr size_t kTooLarge = 1u << 30; // more than vmalloc has addresses

// The smallest class that has room. Without guards, the places of a class are aligned as its size is, if that is a power of two;
// with them, a block has to be moved up in its place by up to `alignment` - 8 bytes.
size_t class_for(size_t bytes, size_t alignment) {
    for (size_t i = 0; i < slab::kBlockClasses; ++i) {
        const size_t room = slab::block_room(i);
        if (CONFIG_MEMORY_DEBUGGING ? room >= bytes + alignment - kHeapAlignment
                                    : room >= bytes && is_aligned(static_cast<uint32_t>(room), static_cast<uint32_t>(alignment)))
            return i;
    }
    return slab::kBlockClasses;
}

} // namespace

Result<void*> kmalloc(size_t bytes, CallSite site) { return kmalloc_aligned(bytes, kHeapAlignment, site); }

Result<void*> kmalloc_aligned(size_t bytes, size_t alignment, CallSite site) {
    if (bytes == 0 || !std::has_single_bit(alignment) || alignment > kPageSize) return Error::InvalidArgument;
    if (bytes >= kTooLarge) return Error::OutOfMemory;
    if (alignment < kHeapAlignment) alignment = kHeapAlignment;
    return slab::block_allocate(class_for(bytes, alignment), bytes, alignment, site);
}

Result<void*> krealloc(void* block, size_t bytes, CallSite site) {
    if (!block) return kmalloc(bytes, site);
    if (bytes == 0) return Error::InvalidArgument;
    const slab::BlockPlace old = TRY(slab::block_find(block, site));
    const bool is_large = old.block_class == slab::kBlockClasses;
    const size_t block_class = bytes < kTooLarge ? class_for(bytes, kHeapAlignment) : slab::kBlockClasses;
    if (bytes <= old.room && block_class == old.block_class && !(is_large && bytes < old.room / 2)) {
        slab::block_resize(block, bytes, site);
        return block;
    }
    const auto moved = kmalloc(bytes, site);
    if (moved.is_error()) {
        if (bytes > old.room) return moved;
        slab::block_resize(block, bytes, site); // a smaller block always has room where it is
        return block;
    }
    memcpy(moved.value(), block, bytes < old.size ? bytes : old.size);
    TRY(slab::block_free(block, site));
    return moved;
}

Result<void> kfree(void* block, CallSite site) { return slab::block_free(block, site); }

} // namespace mm
