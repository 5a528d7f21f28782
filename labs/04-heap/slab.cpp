/// @file
/// Lab 04-heap, first half: object caches. The contract is kernel/mm/heap/slab.h; the handout beside this file leads the way.
/// Functions, types and variables of your own go into the unnamed namespace; what kmalloc.cpp is to call as well goes into
/// mm::slab, declared in both files.
#include "mm/heap/slab.h"

#include "config.h"
#include "lib/piece.h"

namespace mm::slab {

/// What one cache remembers: name, size, alignment, constructor, its slabs, and whatever makes finding a free object quick.
struct Cache {};

/// Step 1: nothing to do yet is fine, `return {};`. Later: caches for kmalloc's size classes, and the one that struct Cache lies in.
Result<void> initialize() { not_implemented("04-heap", "initialize"); }

/// Step 3. Refuse first: size, alignment. Then memory for the Cache.
Result<Cache*> create(const Description& /* description */) { not_implemented("04-heap", "create"); }

/// Step 3. Busy while any object is in use, in whatever slab; otherwise every slab goes back, and the Cache.
Result<void> destroy(Cache* /* cache */) { not_implemented("04-heap", "destroy"); }

/// Step 3: an object of a slab that has one free, else a new slab. Step 4: constructed. Step 7: guarded, and looked at.
Result<void*> allocate(Cache* /* cache */, CallSite /* site */) { not_implemented("04-heap", "allocate"); }

/// Step 3: null is fine; find the slab, then the object. Step 7: its guards. Step 9: whatever is no object in use of this cache.
Result<void> free(Cache* /* cache */, void* /* object */, CallSite /* site */) { not_implemented("04-heap", "free"); }

/// Step 10. Until then `return 0;`.
size_t shrink() { not_implemented("04-heap", "shrink"); }

/// Step 7. Until then `return 0;`.
size_t check() { not_implemented("04-heap", "check"); }

/// Step 8. Until then an empty body will do.
void for_each_object(void (* /* visit */)(void* context, const Object& object), void* /* context */) {
    not_implemented("04-heap", "for_each_object");
}

/// Step 3: name, size, objects in use, room, frames of each cache.
void for_each_cache(void (* /* visit */)(void* context, const Statistics& cache), void* /* context */) {
    not_implemented("04-heap", "for_each_cache");
}

} // namespace mm::slab
