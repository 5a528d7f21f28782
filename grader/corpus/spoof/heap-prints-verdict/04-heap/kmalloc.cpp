/// The same block for everybody.
#include "mm/heap/kmalloc.h"

namespace mm {

namespace {
alignas(4096) unsigned char block[8192];
}

Result<void*> kmalloc(size_t bytes, CallSite) {
    if (bytes == 0) return Error::InvalidArgument;
    if (bytes > 1u << 28) return Error::OutOfMemory;
    return static_cast<void*>(block);
}
Result<void*> kmalloc_aligned(size_t bytes, size_t alignment, CallSite site) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > 4096) return Error::InvalidArgument;
    return kmalloc(bytes, site);
}
Result<void*> krealloc(void*, size_t bytes, CallSite site) { return kmalloc(bytes, site); }
Result<void> kfree(void*, CallSite) { return {}; }

} // namespace mm
