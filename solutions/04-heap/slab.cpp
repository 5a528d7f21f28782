/// Reference solution of lab 04-heap, first half: object caches.
#include "mm/heap/slab.h"

namespace mm::slab {

struct Cache {};

Result<void> initialize() { return {}; }
Result<Cache*> create(const Description&) { return Error::Unsupported; }
Result<void> destroy(Cache*) { return Error::Unsupported; }
Result<void*> allocate(Cache*, CallSite) { return Error::Unsupported; }
Result<void> free(Cache*, void*, CallSite) { return Error::Unsupported; }
size_t shrink() { return 0; }
size_t check() { return 0; }
void for_each_object(void (*)(void* context, const Object& object), void*) {}
void for_each_cache(void (*)(void* context, const Statistics& cache), void*) {}

} // namespace mm::slab
