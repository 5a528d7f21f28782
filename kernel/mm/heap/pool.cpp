#include "mm/heap/pool.h"

#include "lib/panic.h"
#include "mm/heap/kmalloc.h"

namespace mm {

Result<void> Pool::initialize(const char* name, size_t object_size, size_t reserve) {
    KASSERT("a pool is initialized once", cache_ == nullptr);
    if (reserve > SIZE_MAX / sizeof(void*)) return Error::OutOfMemory;
    cache_ = TRY(slab::create({name, object_size}));
    reserve_ = reserve;
    const auto stack = reserve > 0 ? kmalloc(reserve * sizeof(void*)) : Result<void*>(nullptr);
    kept_ = static_cast<void**>(stack.value());
    if (!stack.is_error() && refill()) return {};
    empty();
    return Error::OutOfMemory;
}

bool Pool::refill(CallSite site) {
    while (set_aside_ < reserve_) {
        const auto object = slab::allocate(cache_, site);
        if (object.is_error()) return false;
        kept_[set_aside_++] = object.value();
    }
    return true;
}

void Pool::empty() {
    while (set_aside_ > 0) KASSERT("what a pool has set aside is its cache's", !slab::free(cache_, kept_[--set_aside_]).is_error());
    KASSERT("a pool's own memory can be freed", !kfree(kept_).is_error());
    KASSERT("nobody has objects of the pool", !slab::destroy(cache_).is_error());
    cache_ = nullptr;
    kept_ = nullptr;
    reserve_ = 0;
}

Result<void> Pool::destroy() {
    if (in_use_ > 0) return Error::Busy;
    if (cache_) empty();
    return {};
}

Result<void*> Pool::allocate(CallSite site) {
    auto object = slab::allocate(cache_, site);
    if (object.is_error() && set_aside_ > 0) object = kept_[--set_aside_];
    if (!object.is_error()) ++in_use_;
    return object;
}

/// Through the cache, even when the object is to be kept: so a pool's objects are checked, and poisoned, as all others are. There
/// is room for the reserve's next object, as one has just been freed.
Result<void> Pool::free(void* object, CallSite site) {
    TRY(slab::free(cache_, object, site));
    if (object == nullptr) return {};
    --in_use_;
    refill();
    return {};
}

} // namespace mm
