// Free lists through the objects, and nothing kept for later.
//
//     small:  | Slab | object --> free --+   object   +-> free --> end |      one frame
//                                        +------------+
//     big:    | Big  | object .............................. |                a run of frames, or an area of vmalloc
//
// With debugging, each small object has a Tag before it, which holds the link, the size that was asked for, and the sites. Without, the
// link lies in the free object, or behind it where a constructor has been at work. A slab whose last object is freed goes back at
// once, and so does a big block: shrink() never finds anything to do.
//
// A bit for each frame says whether a Slab or a Big begins it. What the caller's pointer points to is read only where that is so.
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
Result<void*> block_allocate(size_t bytes, size_t alignment, CallSite site);
Result<size_t> block_size(void* block, CallSite site);
bool block_resize(void* block, size_t bytes, CallSite site);
Result<void> block_free(void* block, CallSite site);

namespace {

constexpr bool kDebugging = CONFIG_MEMORY_DEBUGGING;
constexpr size_t kGuard = kDebugging ? kRedZone : 0;
constexpr uint8_t kRedByte = 0x99;
constexpr size_t kTooMuch = 1u << 30;

constexpr uint16_t kClassSizes[] = {16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 504, 672, 1008, 2032};
constexpr size_t kClasses = sizeof(kClassSizes) / sizeof(kClassSizes[0]);

// What is remembered of an object with debugging; of a small one, in front of it.
struct Tag {
#if CONFIG_MEMORY_DEBUGGING
    uint8_t* next_free;
    uint32_t size;
    bool in_use;
    CallSite allocated, freed;
#endif
};

enum class Shape : uint32_t { Slab, BigRun, BigArea };

// Both begin with their shape and their cache.
struct Slab {
    Shape shape;
    Cache* cache;
    Slab* next;      // slabs with room are in their cache's list `roomy`, the others in `full`
    Slab* previous;
    uint8_t* free;   // first object of the list
    uint32_t fresh;  // objects from this one on were never handed out, and are in no list
    uint32_t in_use;
};

struct Big {
    Shape shape;
    Cache* cache;
    Big* next;
    Big* previous;
    Big* next_area;  // all that lie in vmalloc's range
    uint8_t* object;
    size_t size;
    size_t pages;
    Tag tag;
};

constexpr size_t kTagBytes = kDebugging ? align_up(sizeof(Tag) + kGuard, kHeapAlignment) : 0;
constexpr size_t kBigBytes = align_up(sizeof(Big) + kGuard, kHeapAlignment);

template <typename Node>
void add(Node*& list, Node* node) {
    node->next = list;
    node->previous = nullptr;
    if (list) list->previous = node;
    list = node;
}

template <typename Node>
void remove(Node*& list, Node* node) {
    (node->previous ? node->previous->next : list) = node->next;
    if (node->next) node->next->previous = node->previous;
}

} // namespace

struct Cache {
    const char* name;
    size_t size;
    size_t alignment;
    void (*construct)(void*);
    size_t first;    // offset of the first object
    size_t stride;   // from object to object
    size_t objects;  // of a slab; 0 if every object is a big block
    size_t link;     // offset of the link in a free object, without debugging
    Slab* roomy;
    Slab* full;
    Big* bigs;
    size_t in_use;
    size_t capacity;
    size_t pages;
    Cache* next;
};

namespace {

constinit Cache classes[kClasses + 1] = {}; // the last is that of kmalloc's big blocks
constinit Cache* caches = nullptr;
constinit Big* areas = nullptr;
constinit uint32_t begins[kIdentityEnd / kPageSize / 32] = {};

constexpr const char* kNames[kClasses + 1] = {
    "kmalloc-16", "kmalloc-24", "kmalloc-32", "kmalloc-48", "kmalloc-64", "kmalloc-96", "kmalloc-128", "kmalloc-192",
    "kmalloc-256", "kmalloc-384", "kmalloc-504", "kmalloc-672", "kmalloc-1008", "kmalloc-2032", "kmalloc"};

bool is_class(const Cache* cache) { return cache >= classes && cache <= classes + kClasses; }

// -- objects --------------------------------------------------------------------------------------------------------------

// Any object of ours. Small: slab and index; big: its header.
struct Place {
    Slab* slab = nullptr;
    Big* big = nullptr;
    uint8_t* object = nullptr;
    bool in_use = false;

    explicit operator bool() const { return object != nullptr; }
    Cache& cache() const { return slab ? *slab->cache : *big->cache; }
};

uint8_t* object_at(const Slab& slab, size_t i) {
    return reinterpret_cast<uint8_t*>(const_cast<Slab*>(&slab)) + slab.cache->first + i * slab.cache->stride;
}

#if CONFIG_MEMORY_DEBUGGING
Tag& tag_of(uint8_t* object) { return *reinterpret_cast<Tag*>(object - kTagBytes); }
Tag& tag_of(const Place& place) { return place.slab ? tag_of(place.object) : place.big->tag; }
uint8_t*& next_free(const Slab&, uint8_t* object) { return tag_of(object).next_free; }
bool is_free(const Slab&, uint8_t* object) { return !tag_of(object).in_use; }
CallSite allocated_at(const Place& place) { return tag_of(place).allocated; }
size_t size_of(const Place& place) { return tag_of(place).size; }
#else
uint8_t*& next_free(const Slab& slab, uint8_t* object) { return *reinterpret_cast<uint8_t**>(object + slab.cache->link); }
bool is_free(const Slab& slab, uint8_t* object) {
    uint8_t* free = slab.free;
    while (free && free != object) free = next_free(slab, free);
    return free == object;
}
CallSite allocated_at(const Place&) { return {}; }
size_t size_of(const Place& place) { return place.slab ? place.slab->cache->size : place.big->size; }
#endif

// The object that begins at an address, in use or free, whatever address that is.
Place find(void* object) {
    const uint32_t address = address_of(object).value();
    if (address == 0) return {};
    void* page = pointer_to<void>(VirtAddr(align_down(address - 1, kPageSize))); // of a header, which is before its object
    if (is_identity_address(page)) {
        const uint32_t frame = identity_frame(page).value();
        if ((begins[frame / 32] >> frame % 32 & 1) == 0) return {};
    } else {
        const Big* area = areas;
        while (area && area != page) area = area->next_area;
        if (!area) return {};
    }
    Place place;
    if (*static_cast<Shape*>(page) != Shape::Slab) {
        place.big = static_cast<Big*>(page);
        place.object = place.big->object;
        place.in_use = true;
        return place.object == object ? place : Place{};
    }
    place.slab = static_cast<Slab*>(page);
    const Cache& cache = *place.slab->cache;
    if (object < object_at(*place.slab, 0)) return {};
    const size_t i = static_cast<size_t>(static_cast<uint8_t*>(object) - object_at(*place.slab, 0)) / cache.stride;
    if (i >= place.slab->fresh || object_at(*place.slab, i) != object) return {};
    place.object = object_at(*place.slab, i);
    place.in_use = !is_free(*place.slab, place.object);
    return place;
}

// -- debugging ------------------------------------------------------------------------------------------------------------

#if CONFIG_MEMORY_DEBUGGING
void tell(FindingKind kind, const Place& place, const uint8_t* damage, CallSite found) {
    const Tag& tag = tag_of(place);
    const bool was_freed = kind == FindingKind::UseAfterFree || kind == FindingKind::DoubleFree;
    findings::report({kind, place.object, tag.size, place.cache().name, damage, tag.allocated, was_freed ? tag.freed : CallSite{}, found});
}

const uint8_t* wrong_byte(const uint8_t* from, size_t length, uint8_t wanted) {
    while (length > 0 && *from == wanted) ++from, --length;
    return length > 0 ? from : nullptr;
}

void put_guards(const Place& place) {
    memset(place.object - kRedZone, kRedByte, kRedZone);
    memset(place.object + size_of(place), kRedByte, kRedZone);
}

size_t check_guards(const Place& place, CallSite found) {
    const uint8_t* before = wrong_byte(place.object - kRedZone, kRedZone, kRedByte);
    const uint8_t* behind = wrong_byte(place.object + size_of(place), kRedZone, kRedByte);
    if (before) tell(FindingKind::Underflow, place, before, found);
    if (behind) tell(FindingKind::Overflow, place, behind, found);
    put_guards(place);
    return (before ? 1 : 0) + (behind ? 1 : 0);
}

size_t check_poison(const Place& place, CallSite found) {
    if (place.cache().construct) return 0;
    const uint8_t* wrong = wrong_byte(place.object, size_of(place), kFreedByte);
    if (!wrong) return 0;
    tell(FindingKind::UseAfterFree, place, wrong, found);
    memset(place.object, kFreedByte, size_of(place));
    return 1;
}

void start_use(const Place& place, size_t bytes, CallSite site) {
    Tag& tag = tag_of(place);
    tag.size = static_cast<uint32_t>(bytes);
    tag.in_use = true;
    tag.allocated = site;
    put_guards(place);
}

void end_use(const Place& place, CallSite site) {
    check_guards(place, site);
    tag_of(place).in_use = false;
    tag_of(place).freed = site;
    if (!place.cache().construct) memset(place.object, kFreedByte, size_of(place));
}

Error refuse(const Place& place, bool is_own, void* object, CallSite site) {
    if (place && is_own) {
        tell(FindingKind::DoubleFree, place, nullptr, site);
    } else {
        Finding finding;
        finding.kind = FindingKind::ForeignFree;
        finding.object = object;
        finding.found = site;
        findings::report(finding);
    }
    return Error::NotAllocated;
}
#else
size_t check_guards(const Place&, CallSite) { return 0; }
size_t check_poison(const Place&, CallSite) { return 0; }
void start_use(const Place&, size_t, CallSite) {}
void end_use(const Place&, CallSite) {}
Error refuse(const Place&, bool, void*, CallSite) { return Error::NotAllocated; }
#endif

// -- small objects --------------------------------------------------------------------------------------------------------

void mark(const void* page, bool is_ours) {
    const uint32_t frame = identity_frame(page).value();
    if (is_ours) begins[frame / 32] |= 1u << frame % 32;
    else begins[frame / 32] &= ~(1u << frame % 32);
}

Result<void> add_slab(Cache& cache) {
    auto* slab = static_cast<Slab*>(TRY(pages::get_free_page()));
    mark(slab, true);
    *slab = {Shape::Slab, &cache, nullptr, nullptr, nullptr, 0, 0};
    add(cache.roomy, slab);
    cache.capacity += cache.objects;
    ++cache.pages;
    return {};
}

Result<void*> allocate_small(Cache& cache, size_t bytes, CallSite site) {
    if (!cache.roomy) TRY(add_slab(cache));
    Slab* slab = cache.roomy;
    Place place;
    place.slab = slab;
    place.object = slab->free;
    if (place.object) {
        slab->free = next_free(*slab, place.object);
        check_poison(place, site);
    } else {
        place.object = object_at(*slab, slab->fresh++);
        if (cache.construct) cache.construct(place.object);
    }
    if (++slab->in_use == cache.objects) {
        remove(cache.roomy, slab);
        add(cache.full, slab);
    }
    ++cache.in_use;
    start_use(place, bytes, site);
    return place.object;
}

void free_small(const Place& place, CallSite site) {
    Slab* slab = place.slab;
    Cache& cache = *slab->cache;
    end_use(place, site);
    --cache.in_use;
    remove(slab->in_use == cache.objects ? cache.full : cache.roomy, slab);
    if (--slab->in_use > 0) {
        next_free(*slab, place.object) = slab->free;
        slab->free = place.object;
        add(cache.roomy, slab);
        return;
    }
    cache.capacity -= cache.objects;
    --cache.pages;
    mark(slab, false);
    (void)pages::free(slab);
}

// -- big objects ----------------------------------------------------------------------------------------------------------

Order order_for(size_t pages) {
    uint32_t order = 0;
    while ((size_t{1} << order) < pages) ++order;
    return Order(order);
}

size_t pages_for(size_t bytes, size_t alignment) {
    return (align_up(kBigBytes, static_cast<uint32_t>(alignment)) + bytes + kGuard + kPageSize - 1) / kPageSize;
}

// A run if it is of just the right size or there is no vmalloc for it; else an area.
Result<Big*> take_big(size_t pages) {
    const Order order = order_for(pages);
    if (order <= kMaxOrder && order.frames() == pages) {
        const auto run = pages::allocate(order, Contents::Unspecified);
        if (!run.is_error()) {
            auto* big = static_cast<Big*>(run.value());
            big->shape = Shape::BigRun;
            mark(big, true);
            return big;
        }
    }
    auto* big = static_cast<Big*>(TRY(vmalloc::allocate(pages * kPageSize)));
    big->shape = Shape::BigArea;
    big->next_area = areas;
    areas = big;
    return big;
}

Result<void*> allocate_big(Cache& cache, size_t bytes, size_t alignment, CallSite site) {
    if (bytes >= kTooMuch) return Error::OutOfMemory;
    const size_t pages = pages_for(bytes, alignment);
    Big* big = TRY(take_big(pages));
    const uint32_t base = address_of(big).value();
    big->cache = &cache;
    big->pages = pages;
    big->size = bytes;
    big->object = pointer_to<uint8_t>(VirtAddr(align_up(base + kBigBytes, static_cast<uint32_t>(alignment))));
    add(cache.bigs, big);
    ++cache.in_use;
    ++cache.capacity;
    cache.pages += pages;
    if (cache.construct) cache.construct(big->object);
    Place place;
    place.big = big;
    place.object = big->object;
    start_use(place, bytes, site);
    return big->object;
}

void free_big(const Place& place, CallSite site) {
    Big* big = place.big;
    Cache& cache = *big->cache;
    end_use(place, site);
    remove(cache.bigs, big);
    --cache.in_use;
    --cache.capacity;
    cache.pages -= big->pages;
    if (big->shape == Shape::BigRun) {
        mark(big, false);
        (void)pages::free(big, order_for(big->pages));
        return;
    }
    Big** link = &areas;
    while (*link != big) link = &(*link)->next_area;
    *link = big->next_area;
    (void)vmalloc::free(big);
}

// -- caches ---------------------------------------------------------------------------------------------------------------

Result<void*> obtain(Cache& cache, size_t bytes, size_t alignment, CallSite site) {
    return cache.objects > 0 ? allocate_small(cache, bytes, site) : allocate_big(cache, bytes, alignment, site);
}

void give_back(const Place& place, CallSite site) {
    if (place.slab) free_small(place, site);
    else free_big(place, site);
}

Cache plan(const char* name, size_t size, size_t alignment, void (*construct)(void*)) {
    Cache cache{};
    cache.name = name;
    cache.size = size;
    cache.alignment = alignment;
    cache.construct = construct;
    size_t bytes = size + kGuard;
    if (!kDebugging) {
        cache.link = construct ? align_up(static_cast<uint32_t>(size), sizeof(void*)) : 0;
        if (bytes < cache.link + sizeof(void*)) bytes = cache.link + sizeof(void*);
    }
    cache.first = align_up(sizeof(Slab) + kTagBytes, static_cast<uint32_t>(alignment));
    cache.stride = align_up(static_cast<uint32_t>(kTagBytes + bytes), static_cast<uint32_t>(alignment));
    cache.objects = cache.first + bytes > kPageSize ? 0 : (kPageSize - cache.first - bytes) / cache.stride + 1;
    return cache;
}

template <typename Function>
void for_each_place(Function function) {
    for (Cache* cache = caches; cache; cache = cache->next) {
        for (Slab* list : {cache->roomy, cache->full})
            for (Slab* slab = list; slab; slab = slab->next)
                for (size_t i = 0; i < slab->fresh; ++i) function(find(object_at(*slab, i)));
        for (Big* big = cache->bigs; big; big = big->next) function(find(big->object));
    }
}

} // namespace

// -- what kmalloc is made of ----------------------------------------------------------------------------------------------

Result<void*> block_allocate(size_t bytes, size_t alignment, CallSite site) {
    size_t i = 0;
    while (i < kClasses && (classes[i].size < bytes || alignment > kHeapAlignment)) ++i; // aligned blocks have pages of their own
    return obtain(classes[i], bytes, alignment, site);
}

Result<size_t> block_size(void* block, CallSite site) {
    const Place place = find(block);
    const bool is_own = place && is_class(&place.cache());
    if (!is_own || !place.in_use) return refuse(place, is_own, block, site);
    return size_of(place);
}

bool block_resize(void* block, size_t bytes, CallSite site) {
    const Place place = find(block);
    if (place.slab) {
        const Cache& cache = *place.slab->cache;
        if (bytes > cache.size || (&cache != classes && bytes <= (&cache)[-1].size)) return false;
    } else {
        const auto offset = static_cast<size_t>(place.object - reinterpret_cast<uint8_t*>(place.big));
        if (bytes >= kTooMuch || (offset + bytes + kGuard + kPageSize - 1) / kPageSize != place.big->pages) return false;
    }
    check_guards(place, site);
    if (place.big) place.big->size = bytes;
    start_use(place, bytes, site);
    return true;
}

Result<void> block_free(void* block, CallSite site) {
    if (!block) return {};
    const Place place = find(block);
    const bool is_own = place && is_class(&place.cache());
    if (!is_own || !place.in_use) return refuse(place, is_own, block, site);
    give_back(place, site);
    return {};
}

// -- the contract ---------------------------------------------------------------------------------------------------------

Result<void> initialize() {
    for (size_t i = kClasses + 1; i-- > 0;) {
        classes[i] = plan(kNames[i], i < kClasses ? kClassSizes[i] : 2 * kPageSize, kHeapAlignment, nullptr);
        classes[i].next = caches;
        caches = &classes[i];
    }
    return {};
}

// A cache has a page of its own.
Result<Cache*> create(const Description& wanted) {
    if (wanted.size == 0 || wanted.size > kMaxObjectSize) return Error::InvalidArgument;
    if (wanted.alignment == 0 || wanted.alignment > kMaxObjectSize || (wanted.alignment & (wanted.alignment - 1)) != 0)
        return Error::InvalidArgument;
    auto* cache = static_cast<Cache*>(TRY(pages::get_free_page()));
    *cache = plan(wanted.name, wanted.size, wanted.alignment < kHeapAlignment ? kHeapAlignment : wanted.alignment, wanted.construct);
    cache->next = caches;
    caches = cache;
    return cache;
}

Result<void> destroy(Cache* cache) {
    if (cache->in_use != 0) return Error::Busy;
    Cache** link = &caches;
    while (*link != cache) link = &(*link)->next;
    *link = cache->next;
    return pages::free(cache);
}

Result<void*> allocate(Cache* cache, CallSite site) { return obtain(*cache, cache->size, cache->alignment, site); }

Result<void> free(Cache* cache, void* object, CallSite site) {
    if (!object) return {};
    const Place place = find(object);
    const bool is_own = place && &place.cache() == cache;
    if (!is_own || !place.in_use) return refuse(place, is_own, object, site);
    give_back(place, site);
    return {};
}

size_t shrink() { return 0; }

size_t check() {
    size_t findings = 0;
    for_each_place([&](const Place& place) { findings += place.in_use ? check_guards(place, {}) : check_poison(place, {}); });
    return findings;
}

void for_each_object(void (*visit)(void* context, const Object& object), void* context) {
    for_each_place([&](const Place& place) {
        Cache& cache = place.cache();
        const bool is_kmallocs = &cache >= classes && &cache <= &classes[kClasses];
        Cache* const owner = is_kmallocs || cache.construct ? nullptr : &cache;
        if (place.in_use) visit(context, {place.object, size_of(place), cache.name, allocated_at(place), owner});
    });
}

void for_each_cache(void (*visit)(void* context, const Statistics& cache), void* context) {
    for (Cache* cache = caches; cache; cache = cache->next)
        visit(context, {cache->name, cache->size, cache->in_use, cache->capacity, cache->pages});
}

} // namespace mm::slab
