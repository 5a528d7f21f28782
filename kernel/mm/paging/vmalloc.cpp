#include "mm/paging/vmalloc.h"

#include "mm/paging/layout.h"

namespace mm::vmalloc {

Result<void*> allocate(size_t bytes, CallSite) { return bytes == 0 ? Error::InvalidArgument : Error::OutOfMemory; }
Result<void> free(void* address) {
    if (address == nullptr) return {};
    return Error::NotAllocated;
}
Result<size_t> size(const void*) { return Error::NotAllocated; }
bool contains(const void* address) {
    return address_of(address).value() >= kVmallocBegin && address_of(address).value() < kVmallocEnd;
}
size_t purge() { return 0; }
void for_each(void (*)(void* context, const Area& area), void*) {}

} // namespace mm::vmalloc
