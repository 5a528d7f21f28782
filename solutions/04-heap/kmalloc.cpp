/// Reference solution of lab 04-heap, second half: memory of any size.
#include "mm/heap/kmalloc.h"

namespace mm {

Result<void*> kmalloc(size_t, CallSite) { return Error::Unsupported; }
Result<void*> kmalloc_aligned(size_t, size_t, CallSite) { return Error::Unsupported; }
Result<void*> krealloc(void*, size_t, CallSite) { return Error::Unsupported; }
Result<void> kfree(void*, CallSite) { return Error::Unsupported; }

} // namespace mm
