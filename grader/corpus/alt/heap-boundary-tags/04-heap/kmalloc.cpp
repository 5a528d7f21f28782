// The blocks are those of one set of arenas, in any size (slab.cpp).
#include "mm/heap/kmalloc.h"

#include <bit>

#include "lib/address.h"

namespace mm {

namespace slab {
Result<void*> take(Cache& cache, size_t bytes, size_t alignment, CallSite site);
Result<void> give(Cache& cache, void* object, CallSite site);
Result<void*> resize(Cache& cache, void* object, size_t bytes, CallSite site);
Cache& kmalloc_arenas();
} // namespace slab

Result<void*> kmalloc(size_t bytes, CallSite site) { return kmalloc_aligned(bytes, kHeapAlignment, site); }

Result<void*> kmalloc_aligned(size_t bytes, size_t alignment, CallSite site) {
    if (bytes == 0 || !std::has_single_bit(alignment) || alignment > kPageSize) return Error::InvalidArgument;
    return slab::take(slab::kmalloc_arenas(), bytes, alignment, site);
}

Result<void*> krealloc(void* block, size_t bytes, CallSite site) {
    if (!block) return kmalloc(bytes, site);
    if (bytes == 0) return Error::InvalidArgument;
    return slab::resize(slab::kmalloc_arenas(), block, bytes, site);
}

Result<void> kfree(void* block, CallSite site) { return slab::give(slab::kmalloc_arenas(), block, site); }

} // namespace mm
