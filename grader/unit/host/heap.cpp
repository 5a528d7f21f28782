#include "host/heap.h"

#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "host/arena.h"
#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"

namespace mm::slab {

struct Cache {
    Description description;
    size_t in_use = 0;
};

} // namespace mm::slab

namespace {

using mm::slab::Cache;

constexpr size_t kGap = 32;                      ///< Forbidden bytes around every object.
constexpr size_t kQuarantine = 2000;             ///< So many objects of a size are freed before the first is used again.
constexpr uint32_t kChunk = 1 << 20;             ///< Memory is opened in such pieces.

struct Object {
    size_t size;
    Cache* cache;  ///< null: a block of kmalloc's
};

std::map<uint32_t, Object> objects;              ///< In use, by address.
std::map<size_t, std::deque<uint32_t>> freed;    ///< By rounded size, oldest first.
std::vector<std::unique_ptr<Cache>> caches;
uint32_t next_address = host::kVmallocWindow;
uint32_t opened = host::kVmallocWindow;
size_t request_count = 0;
size_t allowed = SIZE_MAX;

bool may_serve() {
    ++request_count;
    if (allowed == SIZE_MAX) return true;
    return allowed > 0 && allowed-- > 0;
}

uint32_t fresh_address(size_t bytes) {
    auto& old = freed[bytes];
    if (old.size() > kQuarantine) {
        const uint32_t address = old.front();
        old.pop_front();
        return address;
    }
    host::reserve_addresses();
    while (next_address + bytes + 2 * kPageSize > opened) {
        KASSERT("the host's heap has room", opened + kChunk <= host::kVmallocWindowEnd);
        host::add_pages(opened, kChunk);
        host::forbid(opened, kChunk);
        opened += kChunk;
    }
    const uint32_t address = next_address + kGap;
    next_address = align_up(static_cast<uint32_t>(address + bytes + kGap), kGap);
    return address;
}

Result<void*> serve(size_t bytes, size_t alignment, Cache* cache) {
    if (!may_serve() || bytes > 64 * kChunk) return Error::OutOfMemory;
    const size_t rounded = alignment <= kGap ? align_up(static_cast<uint32_t>(bytes), mm::kHeapAlignment) : bytes + alignment;
    const uint32_t address = align_up(fresh_address(rounded), static_cast<uint32_t>(alignment < kGap ? mm::kHeapAlignment : alignment));
    host::allow(address, bytes);
    void* const object = pointer_to<void>(VirtAddr(address));
    std::memset(object, 0xA5, bytes);
    objects[address] = {bytes, cache};
    if (cache) ++cache->in_use;
    return object;
}

Result<void> take_back(void* object, const Cache* cache) {
    if (!object) return {};
    const auto found = objects.find(address_of(object).value());
    if (found == objects.end() || found->second.cache != cache) PANIC("something was given to the heap that is no object in use of this cache");
    const auto [address, what] = *found;
    if (what.cache) --what.cache->in_use;
    host::forbid(address, what.size);
    freed[align_up(static_cast<uint32_t>(what.size), mm::kHeapAlignment)].push_back(address);
    objects.erase(found);
    return {};
}

bool is_power_of_two(size_t number) { return number != 0 && (number & (number - 1)) == 0; }

} // namespace

namespace host::heap {

size_t in_use() { return objects.size(); }
size_t requests() { return request_count; }
void fail_after(size_t count) { allowed = count; }
void fail_never() { allowed = SIZE_MAX; }

} // namespace host::heap

namespace mm {

Result<void*> kmalloc_aligned(size_t bytes, size_t alignment, CallSite) {
    if (bytes == 0 || !is_power_of_two(alignment) || alignment > kPageSize) return Error::InvalidArgument;
    return serve(bytes, alignment, nullptr);
}

Result<void*> kmalloc(size_t bytes, CallSite) { return bytes == 0 ? Result<void*>(Error::InvalidArgument) : serve(bytes, kHeapAlignment, nullptr); }

Result<void> kfree(void* block, CallSite) { return take_back(block, nullptr); }

Result<void*> krealloc(void* block, size_t bytes, CallSite) {
    if (bytes == 0) return Error::InvalidArgument;
    void* const moved = TRY(serve(bytes, kHeapAlignment, nullptr));
    if (!block) return moved;
    const auto found = objects.find(address_of(block).value());
    KASSERT("krealloc() gets a block in use", found != objects.end() && !found->second.cache);
    std::memcpy(moved, block, found->second.size < bytes ? found->second.size : bytes);
    TRY(take_back(block, nullptr));
    return moved;
}

namespace slab {

Result<Cache*> create(const Description& description) {
    if (description.size == 0 || description.size > kMaxObjectSize) return Error::InvalidArgument;
    if (!is_power_of_two(description.alignment) || description.alignment > kMaxObjectSize) return Error::InvalidArgument;
    if (!may_serve()) return Error::OutOfMemory;
    caches.push_back(std::make_unique<Cache>(Cache{description}));
    return caches.back().get();
}

Result<void> destroy(Cache* cache) {
    if (cache->in_use > 0) return Error::Busy;
    std::erase_if(caches, [cache](const auto& one) { return one.get() == cache; });
    return {};
}

Result<void*> allocate(Cache* cache, CallSite) {
    void* const object = TRY(serve(cache->description.size, cache->description.alignment, cache));
    if (cache->description.construct) cache->description.construct(object);
    return object;
}

Result<void> free(Cache* cache, void* object, CallSite) { return take_back(object, cache); }

size_t shrink() { return 0; }
size_t check() { return 0; }

} // namespace slab
} // namespace mm
