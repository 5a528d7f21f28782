// Blocks are objects of a cache whose objects have any size (slab.cpp).
#include "mm/heap/kmalloc.h"

#include "lib/address.h"

namespace mm {

namespace slab {
Result<void*> place(Cache& cache, size_t size, size_t alignment, CallSite site);
Result<void> take_back(Cache& cache, void* object, CallSite site);
Result<void*> resize(Cache& cache, void* object, size_t size, CallSite site);
Cache& cache_of_kmalloc();
} // namespace slab

Result<void*> kmalloc(size_t bytes, CallSite site) { return kmalloc_aligned(bytes, kHeapAlignment, site); }

Result<void*> kmalloc_aligned(size_t bytes, size_t alignment, CallSite site) {
    if (bytes == 0 || alignment == 0 || alignment > kPageSize || (alignment & (alignment - 1)) != 0) return Error::InvalidArgument;
    return slab::place(slab::cache_of_kmalloc(), bytes, alignment, site);
}

Result<void*> krealloc(void* block, size_t bytes, CallSite site) {
    if (!block) return kmalloc(bytes, site);
    if (bytes == 0) return Error::InvalidArgument;
    return slab::resize(slab::cache_of_kmalloc(), block, bytes, site);
}

Result<void> kfree(void* block, CallSite site) { return slab::take_back(slab::cache_of_kmalloc(), block, site); }

} // namespace mm
