// Blocks are objects of the classes in slab.cpp, or big blocks.
#include "mm/heap/kmalloc.h"

#include "lib/address.h"
#include "lib/memory.h"

namespace mm {

namespace slab {
Result<void*> block_allocate(size_t bytes, size_t alignment, CallSite site);
Result<size_t> block_size(void* block, CallSite site);
bool block_resize(void* block, size_t bytes, CallSite site);
Result<void> block_free(void* block, CallSite site);
} // namespace slab

Result<void*> kmalloc(size_t bytes, CallSite site) { return kmalloc_aligned(bytes, kHeapAlignment, site); }

Result<void*> kmalloc_aligned(size_t bytes, size_t alignment, CallSite site) {
    if (bytes == 0 || alignment == 0 || alignment > kPageSize || (alignment & (alignment - 1)) != 0) return Error::InvalidArgument;
    return slab::block_allocate(bytes, alignment < kHeapAlignment ? kHeapAlignment : alignment, site);
}

Result<void*> krealloc(void* block, size_t bytes, CallSite site) {
    if (!block) return kmalloc(bytes, site);
    if (bytes == 0) return Error::InvalidArgument;
    const size_t old = TRY(slab::block_size(block, site));
    if (slab::block_resize(block, bytes, site)) return block;
    void* moved = TRY(kmalloc(bytes, site));
    memcpy(moved, block, old < bytes ? old : bytes);
    TRY(slab::block_free(block, site));
    return moved;
}

Result<void> kfree(void* block, CallSite site) { return slab::block_free(block, site); }

} // namespace mm
