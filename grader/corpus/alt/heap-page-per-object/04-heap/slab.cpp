// The simplest heap: every object has pages of its own.
//
//     page 0                                                    page 1, if there is one
//     +---------+----------+------------------+----------+--    -+
//     | Header  | red zone |      object      | red zone | ...   |
//     +---------+----------+------------------+----------+--    -+
//
// An object with the alignment of a page begins where page 1 does; the header is always in the page of the byte before the object.
// One bit for each identity-mapped page says whether a header of ours begins it, so that no pointer is followed on trust; blocks in
// vmalloc's range are in a list. Freed objects keep their pages until they are used again, or until shrink().
#include "mm/heap/slab.h"

#include "config.h"
#include "lib/address.h"
#include "lib/memory.h"
#include "mm/heap/finding.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"
#include "mm/physical/zone.h"

namespace mm::slab {

// Also used by kmalloc.cpp, which declares them for itself.
Result<void*> place(Cache& cache, size_t size, size_t alignment, CallSite site);
Result<void> take_back(Cache& cache, void* object, CallSite site);
Result<void*> resize(Cache& cache, void* object, size_t size, CallSite site);
Cache& cache_of_kmalloc();

namespace {

constexpr bool kDebugging = CONFIG_MEMORY_DEBUGGING;
constexpr uint8_t kRedByte = 0xA5;
constexpr size_t kGuard = kDebugging ? kRedZone : 0;
constexpr size_t kMostPages = 1u << 18; // 1 GiB: more than vmalloc has addresses

enum class Source : uint32_t { Frames, Vmalloc };

#if CONFIG_MEMORY_DEBUGGING
struct Sites {
    CallSite allocated, freed;
};
#endif

// What stands at the beginning of an object's first page.
struct Header {
    Cache* cache;
    uint8_t* object;
    size_t size;
    size_t pages;
    Source source;
    bool in_use;
    Header* next;      // in its cache's list of used or of freed objects
    Header* previous;
    Header* next_far;  // in the list of all blocks in vmalloc's range
#if CONFIG_MEMORY_DEBUGGING
    Sites sites;
#endif
};

constexpr size_t kFront = align_up(sizeof(Header) + kGuard, kHeapAlignment);

struct List {
    Header* first;

    void add(Header* header) {
        header->next = first;
        header->previous = nullptr;
        if (first) first->previous = header;
        first = header;
    }
    void remove(Header* header) {
        (header->previous ? header->previous->next : first) = header->next;
        if (header->next) header->next->previous = header->previous;
    }
};

} // namespace

struct Cache {
    const char* name;
    size_t size;
    size_t alignment;
    void (*construct)(void*);
    List used;
    List freed;
    size_t in_use;
    size_t blocks;
    size_t pages;
    Cache* next;
};

namespace {

constinit Cache kmalloc_cache = {"kmalloc", kMaxObjectSize, kHeapAlignment, nullptr, {}, {}, 0, 0, 0, nullptr};
constinit Cache* caches = &kmalloc_cache;
constinit Header* far_blocks = nullptr;
constinit uint32_t begins[kIdentityEnd / kPageSize / 32] = {};

CallSite allocated_site([[maybe_unused]] const Header& header) {
#if CONFIG_MEMORY_DEBUGGING
    return header.sites.allocated;
#else
    return {};
#endif
}

void remember_allocated([[maybe_unused]] Header& header, [[maybe_unused]] CallSite site) {
#if CONFIG_MEMORY_DEBUGGING
    header.sites = {site, {}};
#endif
}

void remember_freed([[maybe_unused]] Header& header, [[maybe_unused]] CallSite site) {
#if CONFIG_MEMORY_DEBUGGING
    header.sites.freed = site;
#endif
}

// -- finding a block ------------------------------------------------------------------------------------------------------

void mark(const Header* header, bool is_ours) {
    const uint32_t page = identity_frame(header).value();
    if (is_ours) begins[page / 32] |= 1u << page % 32;
    else begins[page / 32] &= ~(1u << page % 32);
}

// The header of the object at an address, whatever address that is; null when no object of ours, used or freed, begins there.
Header* find(const void* object) {
    const VirtAddr address = address_of(object);
    if (address.value() == 0) return nullptr;
    Header* header = pointer_to<Header>(VirtAddr(align_down(address.value() - 1, kPageSize)));
    if (is_identity_address(header)) {
        const uint32_t page = identity_frame(header).value();
        if ((begins[page / 32] >> page % 32 & 1) == 0) return nullptr;
    } else {
        Header* known = far_blocks;
        while (known && known != header) known = known->next_far;
        if (!known) return nullptr;
    }
    return header->object == object ? header : nullptr;
}

// -- guards ---------------------------------------------------------------------------------------------------------------

Finding finding_about(FindingKind kind, const Header& header, CallSite found) {
    return {kind, header.object, header.size, header.cache->name, nullptr, allocated_site(header), {}, found};
}

uint8_t* first_wrong(uint8_t* from, size_t length, uint8_t wanted) {
    for (size_t i = 0; i < length; ++i)
        if (from[i] != wanted) return from + i;
    return nullptr;
}

void set_guards(Header& header) {
    if constexpr (!kDebugging) return;
    memset(header.object - kRedZone, kRedByte, kRedZone);
    memset(header.object + header.size, kRedByte, kRedZone);
}

// Reports and repairs damaged red zones.
size_t check_guards(Header& header, CallSite found) {
    if constexpr (!kDebugging) return 0;
    size_t findings = 0;
    const struct { FindingKind kind; uint8_t* from; } zones[] = {
        {FindingKind::Underflow, header.object - kRedZone}, {FindingKind::Overflow, header.object + header.size}};
    for (const auto& zone : zones) {
        const uint8_t* wrong = first_wrong(zone.from, kRedZone, kRedByte);
        if (!wrong) continue;
        Finding finding = finding_about(zone.kind, header, found);
        finding.damage = wrong;
        findings::report(finding);
        ++findings;
    }
    if (findings) set_guards(header);
    return findings;
}

void poison(Header& header) {
    if (kDebugging && !header.cache->construct) memset(header.object, kFreedByte, header.size);
}

// Reports and repairs what was written to a freed object.
size_t check_poison([[maybe_unused]] Header& header, [[maybe_unused]] CallSite found) {
#if CONFIG_MEMORY_DEBUGGING
    if (header.cache->construct) return 0;
    if (const uint8_t* wrong = first_wrong(header.object, header.size, kFreedByte)) {
        Finding finding = finding_about(FindingKind::UseAfterFree, header, found);
        finding.damage = wrong;
        finding.freed = header.sites.freed;
        findings::report(finding);
        poison(header);
        return 1;
    }
#endif
    return 0;
}

Error refuse([[maybe_unused]] const Cache& cache, [[maybe_unused]] void* object, [[maybe_unused]] CallSite site) {
#if CONFIG_MEMORY_DEBUGGING
    const Header* header = find(object);
    if (header && header->cache == &cache && !header->in_use) {
        Finding finding = finding_about(FindingKind::DoubleFree, *header, site);
        finding.freed = header->sites.freed;
        findings::report(finding);
    } else {
        Finding finding;
        finding.kind = FindingKind::ForeignFree;
        finding.object = object;
        finding.found = site;
        findings::report(finding);
    }
#endif
    return Error::NotAllocated;
}

// -- pages ----------------------------------------------------------------------------------------------------------------

// The order of a run of exactly so many pages; above kMaxOrder when there is none.
Order exact_order(size_t pages) {
    uint32_t order = 0;
    while (order <= kMaxOrder.value() && (size_t{1} << order) != pages) ++order;
    return Order(order);
}

Result<Header*> take_pages(size_t pages) {
    const Order order = exact_order(pages);
    if (order <= kMaxOrder) {
        const auto run = order == Order(0) ? pages::get_free_page() : pages::allocate(order, Contents::Unspecified);
        if (!run.is_error()) {
            auto* header = static_cast<Header*>(run.value());
            mark(header, true);
            header->source = Source::Frames;
            return header;
        }
        if (order == Order(0)) return Error::OutOfMemory;
    }
    auto* header = static_cast<Header*>(TRY(vmalloc::allocate(pages * kPageSize)));
    header->source = Source::Vmalloc;
    header->next_far = far_blocks;
    far_blocks = header;
    return header;
}

void give_pages(Header* header) {
    Cache& cache = *header->cache;
    cache.freed.remove(header);
    cache.pages -= header->pages;
    --cache.blocks;
    if (header->source == Source::Frames) {
        mark(header, false);
        (void)pages::free(header, exact_order(header->pages));
        return;
    }
    Header** link = &far_blocks;
    while (*link != header) link = &(*link)->next_far;
    *link = header->next_far;
    (void)vmalloc::free(header);
}

size_t offset_for(const Header* header, size_t alignment) {
    const uint32_t base = address_of(header).value();
    return align_up(base + kFront, static_cast<uint32_t>(alignment)) - base;
}

size_t pages_for(size_t size, size_t alignment) {
    const size_t front = align_up(kFront, static_cast<uint32_t>(alignment));
    return (front + size + kGuard + kPageSize - 1) / kPageSize;
}

size_t shrink_cache(Cache& cache) {
    size_t given = 0;
    while (Header* header = cache.freed.first) {
        given += header->pages;
        give_pages(header);
    }
    return given;
}

// A freed block of the cache with so many pages; null when there is none.
Header* freed_block(Cache& cache, size_t pages, CallSite site) {
    Header* header = cache.freed.first;
    while (header && header->pages != pages) header = header->next;
    if (!header) return nullptr;
    check_poison(*header, site);
    cache.freed.remove(header);
    return header;
}

Result<Header*> new_block(Cache& cache, size_t pages) {
    auto taken = take_pages(pages);
    if (taken.is_error() && shrink() > 0) taken = take_pages(pages);
    Header* header = TRY(taken);
    header->cache = &cache;
    header->pages = pages;
    cache.pages += pages;
    ++cache.blocks;
    return header;
}

} // namespace

Result<void*> place(Cache& cache, size_t size, size_t alignment, CallSite site) {
    if (size > kMostPages * kPageSize) return Error::OutOfMemory;
    if (alignment < kHeapAlignment) alignment = kHeapAlignment;
    const size_t pages = pages_for(size, alignment);
    Header* header = freed_block(cache, pages, site);
    const bool is_new = header == nullptr;
    if (is_new) header = TRY(new_block(cache, pages));
    header->object = reinterpret_cast<uint8_t*>(header) + offset_for(header, alignment);
    header->size = size;
    header->in_use = true;
    remember_allocated(*header, site);
    if (is_new && cache.construct) cache.construct(header->object);
    set_guards(*header);
    cache.used.add(header);
    ++cache.in_use;
    return header->object;
}

Result<void> take_back(Cache& cache, void* object, CallSite site) {
    if (!object) return {};
    Header* header = find(object);
    if (!header || header->cache != &cache || !header->in_use) return refuse(cache, object, site);
    check_guards(*header, site);
    header->in_use = false;
    remember_freed(*header, site);
    poison(*header);
    cache.used.remove(header);
    cache.freed.add(header);
    --cache.in_use;
    return {};
}

Result<void*> resize(Cache& cache, void* object, size_t size, CallSite site) {
    Header* header = find(object);
    if (!header || header->cache != &cache || !header->in_use) return refuse(cache, object, site);
    const auto offset = static_cast<size_t>(header->object - reinterpret_cast<uint8_t*>(header));
    if (size <= kMostPages * kPageSize && (offset + size + kGuard + kPageSize - 1) / kPageSize == header->pages) {
        check_guards(*header, site);
        header->size = size;
        remember_allocated(*header, site);
        set_guards(*header);
        return object;
    }
    void* moved = TRY(place(cache, size, kHeapAlignment, site));
    memcpy(moved, object, size < header->size ? size : header->size);
    (void)take_back(cache, object, site);
    return moved;
}

Cache& cache_of_kmalloc() { return kmalloc_cache; }

Result<void> initialize() { return {}; }

Result<Cache*> create(const Description& wanted) {
    if (wanted.size == 0 || wanted.size > kMaxObjectSize) return Error::InvalidArgument;
    if (wanted.alignment == 0 || wanted.alignment > kMaxObjectSize) return Error::InvalidArgument;
    if ((wanted.alignment & (wanted.alignment - 1)) != 0) return Error::InvalidArgument;
    auto* cache = static_cast<Cache*>(TRY(pages::get_free_page()));
    *cache = {wanted.name, wanted.size, wanted.alignment, wanted.construct, {}, {}, 0, 0, 0, caches};
    caches = cache;
    return cache;
}

Result<void> destroy(Cache* cache) {
    if (cache->in_use != 0) return Error::Busy;
    shrink_cache(*cache);
    Cache** link = &caches;
    while (*link != cache) link = &(*link)->next;
    *link = cache->next;
    return pages::free(cache);
}

Result<void*> allocate(Cache* cache, CallSite site) { return place(*cache, cache->size, cache->alignment, site); }

Result<void> free(Cache* cache, void* object, CallSite site) { return take_back(*cache, object, site); }

size_t shrink() {
    size_t given = 0;
    for (Cache* cache = caches; cache; cache = cache->next) given += shrink_cache(*cache);
    return given;
}

size_t check() {
    size_t findings = 0;
    for (Cache* cache = caches; cache; cache = cache->next) {
        for (Header* header = cache->used.first; header; header = header->next) findings += check_guards(*header, {});
        for (Header* header = cache->freed.first; header; header = header->next) findings += check_poison(*header, {});
    }
    return findings;
}

void for_each_object(void (*visit)(void* context, const Object& object), void* context) {
    for (Cache* cache = caches; cache; cache = cache->next)
        for (Header* header = cache->used.first; header; header = header->next)
            visit(context, {header->object, header->size, cache->name, allocated_site(*header),
                            cache == &kmalloc_cache || cache->construct ? nullptr : cache});
}

void for_each_cache(void (*visit)(void* context, const Statistics& cache), void* context) {
    for (Cache* cache = caches; cache; cache = cache->next)
        visit(context, {cache->name, cache->size, cache->in_use, cache->blocks, cache->pages});
}

} // namespace mm::slab
