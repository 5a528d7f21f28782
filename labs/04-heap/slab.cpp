/// @file
/// Lab 04-heap, first half: object caches. The contract is kernel/mm/heap/slab.h; the handout beside this file leads the way.
/// Functions, types and variables of your own go into the unnamed namespace.
#include "mm/heap/slab.h"

#include "config.h"
#include "lib/piece.h"

namespace mm::slab {

/// What one cache remembers.
struct Cache {};

Result<void> initialize() { not_implemented("04-heap", "initialize"); }

Result<Cache*> create(const Description& /* description */) { not_implemented("04-heap", "create"); }

Result<void> destroy(Cache* /* cache */) { not_implemented("04-heap", "destroy"); }

Result<void*> allocate(Cache* /* cache */, CallSite /* site */) { not_implemented("04-heap", "allocate"); }

Result<void> free(Cache* /* cache */, void* /* object */, CallSite /* site */) { not_implemented("04-heap", "free"); }

size_t shrink() { not_implemented("04-heap", "shrink"); }

size_t check() { not_implemented("04-heap", "check"); }

void for_each_object(void (* /* visit */)(void* context, const Object& object), void* /* context */) {
    not_implemented("04-heap", "for_each_object");
}

void for_each_cache(void (* /* visit */)(void* context, const Statistics& cache), void* /* context */) {
    not_implemented("04-heap", "for_each_cache");
}

} // namespace mm::slab
