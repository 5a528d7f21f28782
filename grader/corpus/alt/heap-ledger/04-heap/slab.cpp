// Pages that hold objects and nothing else; all that is known about them stands elsewhere.
//
//     page:    | object | object | object | object | ... |          one frame (or an area of vmalloc, for what needs more)
//     ledger:  | Slab: cache, page, bits of the objects in use |   36 in a frame
//     tags:    | Tag of object 0 | of object 1 | ... |             only with debugging: size asked for, sites
//
// A frame's entry in the frame table holds the number of its Slab. Whatever stands there in a frame of somebody else's: a Slab with
// that number either does not exist or names another page. Areas of vmalloc are found by a hash table over their first page.
#include "mm/heap/slab.h"

#include <bit>

#include "config.h"
#include "lib/address.h"
#include "lib/memory.h"
#include "mm/heap/finding.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace mm::slab {

// Also used by kmalloc.cpp, which declares them for itself. Class kBlockClasses is that of large blocks, each an area of its own.
inline constexpr size_t kBlockClasses = 15;
struct BlockPlace {
    size_t block_class;
    size_t size;  // as asked for; without debugging all that there is room for
    size_t room;  // behind the block's first byte
};
size_t block_room(size_t block_class);
Result<void*> block_allocate(size_t block_class, size_t bytes, size_t alignment, CallSite site);
Result<BlockPlace> block_find(void* block, CallSite site);
void block_resize(void* block, size_t bytes, CallSite site);
Result<void> block_free(void* block, CallSite site);

namespace {

constexpr bool kDebugging = CONFIG_MEMORY_DEBUGGING;
constexpr size_t kGuard = kDebugging ? kRedZone : 0;
constexpr uint8_t kRedByte = 0x5E;
constexpr size_t kMostObjects = kPageSize / kHeapAlignment;
constexpr size_t kSpareSlabs = 2; // empty ones that a cache keeps by itself

// What kmalloc's classes take of a page, guards included.
constexpr uint16_t kStrides[kBlockClasses] = {32, 48, 64, 80, 96, 128, 168, 224, 256, 336, 512, 680, 1024, 2048, 4096};
constexpr const char* kClassNames[kBlockClasses] = {
    "kmalloc-32", "kmalloc-48", "kmalloc-64", "kmalloc-80", "kmalloc-96", "kmalloc-128", "kmalloc-168", "kmalloc-224",
    "kmalloc-256", "kmalloc-336", "kmalloc-512", "kmalloc-680", "kmalloc-1024", "kmalloc-2048", "kmalloc-4096"};

#if CONFIG_MEMORY_DEBUGGING
enum class TagState : uint16_t { NeverUsed = 0, InUse, Freed };
struct Tag {
    CallSite allocated, freed;
    uint16_t offset;  // of the object in its place, for the sake of its alignment
    TagState state;
    uint32_t size;
};
struct TagPage {
    TagPage* next;
    TagPage* previous;
    uint64_t used;  // a bit for each group of tags, one group for a slab
};
constexpr size_t kTags = (kPageSize - sizeof(TagPage)) / sizeof(Tag);
#endif

struct Slab {
    Cache* cache;      // null while the slab is being made
    uint8_t* memory;   // its page, or first page
    size_t pages;
    size_t first;      // offset of the first object
    uint32_t number;
    uint32_t in_use;
    Slab* next;        // in one of its cache's two lists; in no list while all objects are in use
    Slab* previous;
    Slab* next_far;    // in a chain of the hash table, if its memory is vmalloc's
#if CONFIG_MEMORY_DEBUGGING
    Tag* tags;
#endif
    uint32_t bits[kMostObjects / 32];
};

struct LedgerPage {
    LedgerPage* next;  // in the list of those with room
    LedgerPage* previous;
    uint32_t index;
    uint32_t count;
    uint64_t used;
};
constexpr size_t kSlabsPerPage = (kPageSize - sizeof(LedgerPage)) / sizeof(Slab);
static_assert(kSlabsPerPage < 64);
constexpr size_t kLedgerPages = 4096;
constexpr size_t kFarChains = 256;

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
    void (*construct)(void*);
    size_t stride;      // from object to object
    size_t first;       // offset of the first one
    size_t objects;     // of a slab
    size_t slab_pages;  // more than 1: from vmalloc; 0: each slab has as many as it needs
    size_t spare;       // empty slabs that it keeps
    Slab* partial;
    Slab* empty;
    size_t empties;
    size_t in_use;
    size_t capacity;
    size_t pages;
    Cache* next;
#if CONFIG_MEMORY_DEBUGGING
    TagPage* tag_pages;
#endif
};

namespace {

constinit LedgerPage* ledger[kLedgerPages] = {};
constinit LedgerPage* ledger_with_room = nullptr;
constinit size_t ledger_end = 0; // no page at or behind this index
constinit Slab* far_chains[kFarChains] = {};
constinit Cache block_caches[kBlockClasses + 1] = {};
constinit Cache of_caches = {};
constinit Cache* caches = nullptr;

uint32_t page_of(const void* address) { return address_of(address).value() >> kPageShift; }

// -- the ledger -----------------------------------------------------------------------------------------------------------

Slab* slab_at(LedgerPage* page, size_t slot) { return reinterpret_cast<Slab*>(page + 1) + slot; }

Slab* slab_by_number(uint32_t number) {
    LedgerPage* page = number / kSlabsPerPage < kLedgerPages ? ledger[number / kSlabsPerPage] : nullptr;
    const size_t slot = number % kSlabsPerPage;
    return page && (page->used >> slot & 1) ? slab_at(page, slot) : nullptr;
}

Result<void> extend_ledger() {
    auto* page = static_cast<LedgerPage*>(TRY(pages::get_free_page()));
    size_t index = 0;
    while (index < kLedgerPages && ledger[index]) ++index;
    if (index == kLedgerPages) {
        (void)pages::free(page);
        return Error::OutOfMemory;
    }
    *page = {nullptr, nullptr, static_cast<uint32_t>(index), 0, 0};
    ledger[index] = page;
    if (index >= ledger_end) ledger_end = index + 1;
    add(ledger_with_room, page);
    return {};
}

Result<Slab*> enter_slab() {
    if (!ledger_with_room) TRY(extend_ledger());
    LedgerPage* page = ledger_with_room;
    const auto slot = static_cast<size_t>(std::countr_one(page->used));
    page->used |= uint64_t{1} << slot;
    if (++page->count == kSlabsPerPage) remove(ledger_with_room, page);
    Slab* slab = slab_at(page, slot);
    *slab = {};
    slab->number = static_cast<uint32_t>(page->index * kSlabsPerPage + slot);
    return slab;
}

// Returns how many frames that gave back: 1 or none.
size_t strike_slab(Slab* slab) {
    LedgerPage* page = ledger[slab->number / kSlabsPerPage];
    if (page->count-- == kSlabsPerPage) add(ledger_with_room, page);
    page->used &= ~(uint64_t{1} << slab->number % kSlabsPerPage);
    if (page->count > 0) return 0;
    remove(ledger_with_room, page);
    ledger[page->index] = nullptr;
    (void)pages::free(page);
    return 1;
}

// Calls function(Slab&) for every slab that is complete; it may give that slab back.
template <typename Function>
void for_each_slab(Function function) {
    for (size_t i = 0; i < ledger_end; ++i) {
        for (size_t slot = 0; ledger[i] && slot < kSlabsPerPage; ++slot) {
            if ((ledger[i]->used >> slot & 1) == 0) continue;
            Slab* slab = slab_at(ledger[i], slot);
            if (slab->cache) function(*slab);
        }
    }
}

// -- tags, guards, poison -------------------------------------------------------------------------------------------------

uint8_t* place_of(const Slab& slab, size_t i) { return slab.memory + slab.first + i * slab.cache->stride; }
bool is_used(const Slab& slab, size_t i) { return (slab.bits[i / 32] >> i % 32 & 1) != 0; }

#if CONFIG_MEMORY_DEBUGGING
size_t groups_per_page(const Cache& cache) { return kTags / cache.objects < 64 ? kTags / cache.objects : 64; }

Result<void> take_tags(Cache& cache, Slab& slab) {
    const size_t groups = groups_per_page(cache);
    TagPage* page = cache.tag_pages;
    while (page && static_cast<size_t>(std::countr_one(page->used)) >= groups) page = page->next;
    if (!page) {
        page = static_cast<TagPage*>(TRY(pages::get_free_page()));
        page->used = 0;
        add(cache.tag_pages, page);
    }
    const auto group = static_cast<size_t>(std::countr_one(page->used));
    page->used |= uint64_t{1} << group;
    slab.tags = reinterpret_cast<Tag*>(page + 1) + group * cache.objects;
    for (size_t i = 0; i < cache.objects; ++i) slab.tags[i] = {};
    return {};
}

size_t drop_tags(Cache& cache, const Slab& slab) {
    auto* page = pointer_to<TagPage>(VirtAddr(align_down(address_of(slab.tags).value(), kPageSize)));
    const auto group = static_cast<size_t>(slab.tags - reinterpret_cast<Tag*>(page + 1)) / cache.objects;
    page->used &= ~(uint64_t{1} << group);
    remove(cache.tag_pages, page);
    if (page->used) {
        add(cache.tag_pages, page);
        return 0;
    }
    (void)pages::free(page);
    return 1;
}

uint8_t* object_at(const Slab& slab, size_t i) { return place_of(slab, i) + slab.tags[i].offset; }
size_t size_at(const Slab& slab, size_t i) { return slab.tags[i].size; }
CallSite allocated_at(const Slab& slab, size_t i) { return slab.tags[i].allocated; }

void put_guards(const Slab& slab, size_t i) {
    memset(object_at(slab, i) - kRedZone, kRedByte, kRedZone);
    memset(object_at(slab, i) + size_at(slab, i), kRedByte, kRedZone);
}

void start_use(Slab& slab, size_t i, size_t bytes, size_t offset, CallSite site) {
    slab.tags[i] = {site, {}, static_cast<uint16_t>(offset), TagState::InUse, static_cast<uint32_t>(bytes)};
    put_guards(slab, i);
}

uint8_t* first_wrong(uint8_t* from, const uint8_t* to, uint8_t wanted) {
    while (from < to && *from == wanted) ++from;
    return from < to ? from : nullptr;
}

size_t tell(FindingKind kind, const Slab& slab, size_t i, const uint8_t* damage, CallSite found) {
    const Tag& tag = slab.tags[i];
    findings::report({kind, object_at(slab, i), tag.size, slab.cache->name, damage, tag.allocated, tag.freed, found});
    return 1;
}

size_t check_guards(const Slab& slab, size_t i, CallSite found) {
    uint8_t* object = object_at(slab, i);
    uint8_t* end = object + size_at(slab, i);
    size_t findings = 0;
    if (const uint8_t* wrong = first_wrong(object - kRedZone, object, kRedByte))
        findings += tell(FindingKind::Underflow, slab, i, wrong, found);
    if (const uint8_t* wrong = first_wrong(end, end + kRedZone, kRedByte))
        findings += tell(FindingKind::Overflow, slab, i, wrong, found);
    if (findings) put_guards(slab, i);
    return findings;
}

void end_use(Slab& slab, size_t i, CallSite site) {
    slab.tags[i].state = TagState::Freed;
    slab.tags[i].freed = site;
    if (!slab.cache->construct) memset(object_at(slab, i), kFreedByte, size_at(slab, i));
}

size_t check_poison(const Slab& slab, size_t i, CallSite found) {
    if (slab.cache->construct || slab.tags[i].state != TagState::Freed) return 0;
    uint8_t* object = object_at(slab, i);
    const uint8_t* wrong = first_wrong(object, object + size_at(slab, i), kFreedByte);
    if (!wrong) return 0;
    memset(object, kFreedByte, size_at(slab, i));
    return tell(FindingKind::UseAfterFree, slab, i, wrong, found);
}
#else
Result<void> take_tags(Cache&, Slab&) { return {}; }
size_t drop_tags(Cache&, const Slab&) { return 0; }
uint8_t* object_at(const Slab& slab, size_t i) { return place_of(slab, i); }
size_t size_at(const Slab& slab, size_t) {
    return slab.cache->slab_pages == 0 ? slab.pages * kPageSize - slab.first : slab.cache->size;
}
CallSite allocated_at(const Slab&, size_t) { return {}; }
void start_use(Slab&, size_t, size_t, size_t, CallSite) {}
size_t check_guards(const Slab&, size_t, CallSite) { return 0; }
void end_use(Slab&, size_t, CallSite) {}
size_t check_poison(const Slab&, size_t, CallSite) { return 0; }
#endif

// -- slabs ----------------------------------------------------------------------------------------------------------------

Slab*& far_chain(uint32_t page) { return far_chains[page % kFarChains]; }

// Memory for the slab: `pages` of them, with the first object at `first`.
Result<void> take_memory(Slab& slab, size_t pages, size_t first) {
    slab.memory = static_cast<uint8_t*>(TRY(pages == 1 ? pages::get_free_page() : vmalloc::allocate(pages * kPageSize)));
    slab.pages = pages;
    slab.first = first;
    if (pages == 1) {
        frame_table::info(identity_frame(slab.memory)).link[0] = slab.number;
    } else {
        slab.next_far = far_chain(page_of(slab.memory));
        far_chain(page_of(slab.memory)) = &slab;
    }
    return {};
}

void drop_memory(Slab& slab) {
    if (slab.pages == 1) {
        (void)pages::free(slab.memory);
        return;
    }
    Slab** link = &far_chain(page_of(slab.memory));
    while (*link != &slab) link = &(*link)->next_far;
    *link = slab.next_far;
    (void)vmalloc::free(slab.memory);
}

// A new slab of the cache, in the list of the empty ones. Frames are asked for before anything is changed that shrink() looks at.
Result<Slab*> make_slab(Cache& cache, size_t pages, size_t first) {
    Slab* slab = TRY(enter_slab());
    if (const auto taken = take_memory(*slab, pages, first); taken.is_error()) {
        strike_slab(slab);
        return taken.error();
    }
    if (const auto taken = take_tags(cache, *slab); taken.is_error()) {
        drop_memory(*slab);
        strike_slab(slab);
        return taken.error();
    }
    slab->cache = &cache;
    cache.capacity += cache.objects;
    cache.pages += pages;
    ++cache.empties;
    add(cache.empty, slab);
    for (size_t i = 0; cache.construct && i < cache.objects; ++i) cache.construct(place_of(*slab, i));
    return slab;
}

// Gives a slab back in which nothing is in use; returns how many frames that were, with those that it was described in.
size_t drop_slab(Slab& slab) {
    Cache& cache = *slab.cache;
    const size_t pages = slab.pages;
    remove(cache.empty, &slab);
    --cache.empties;
    cache.pages -= pages;
    cache.capacity -= cache.objects;
    const size_t of_tags = drop_tags(cache, slab);
    drop_memory(slab);
    return pages + of_tags + strike_slab(&slab);
}

// The slab that has the page of an address, whatever address that is; null if none has.
Slab* slab_with(const void* address) {
    const uint32_t page = page_of(address);
    if (is_identity_address(address)) {
        Slab* slab = slab_by_number(frame_table::info(identity_frame(address)).link[0]);
        return slab && slab->cache && slab->pages == 1 && page_of(slab->memory) == page ? slab : nullptr;
    }
    if (!vmalloc::contains(address)) return nullptr;
    for (uint32_t first : {page, page - 1}) // an object begins in the first page of its area, or at the beginning of the second
        for (Slab* slab = far_chain(first); slab; slab = slab->next_far)
            if (slab->cache && page_of(slab->memory) == first && page < first + slab->pages) return slab;
    return nullptr;
}

struct Found {
    Slab* slab;  // null: no object begins there
    size_t index;
    bool is_in_use;
};

// The object, in use or free, that begins at an address.
Found find(const void* object) {
    Slab* slab = slab_with(object);
    if (!slab || object < slab->memory + slab->first) return {};
    const auto distance = static_cast<size_t>(static_cast<const uint8_t*>(object) - (slab->memory + slab->first));
    const size_t i = slab->cache->objects == 1 ? 0 : distance / slab->cache->stride;
    if (i >= slab->cache->objects || object_at(*slab, i) != object) return {};
    return {slab, i, is_used(*slab, i)};
}

Error refuse([[maybe_unused]] const Found& found, [[maybe_unused]] bool is_right_cache, [[maybe_unused]] void* object,
             [[maybe_unused]] CallSite site) {
#if CONFIG_MEMORY_DEBUGGING
    if (found.slab && is_right_cache && found.slab->tags[found.index].state == TagState::Freed) {
        tell(FindingKind::DoubleFree, *found.slab, found.index, nullptr, site);
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

// Takes a free object of a slab that has one.
void* take_object(Slab& slab, size_t bytes, size_t alignment, CallSite site) {
    Cache& cache = *slab.cache;
    size_t word = 0;
    while (~slab.bits[word] == 0) ++word;
    const size_t i = word * 32 + static_cast<size_t>(std::countr_one(slab.bits[word]));
    check_poison(slab, i, site);
    slab.bits[word] |= 1u << i % 32;
    if (slab.in_use++ == 0) {
        remove(cache.empty, &slab);
        --cache.empties;
        if (cache.objects > 1) add(cache.partial, &slab);
    } else if (slab.in_use == cache.objects) {
        remove(cache.partial, &slab);
    }
    ++cache.in_use;
    const uint32_t at = address_of(place_of(slab, i)).value();
    start_use(slab, i, bytes, align_up(at, static_cast<uint32_t>(alignment)) - at, site);
    return object_at(slab, i);
}

void give_object(const Found& found, CallSite site) {
    Slab& slab = *found.slab;
    Cache& cache = *slab.cache;
    check_guards(slab, found.index, site);
    end_use(slab, found.index, site);
    slab.bits[found.index / 32] &= ~(1u << found.index % 32);
    --cache.in_use;
    const bool was_full = slab.in_use == cache.objects;
    if (--slab.in_use > 0) {
        if (was_full) add(cache.partial, &slab);
        return;
    }
    if (!was_full) remove(cache.partial, &slab);
    add(cache.empty, &slab);
    if (++cache.empties > cache.spare) drop_slab(slab);
}

Result<void*> obtain(Cache& cache, size_t bytes, size_t alignment, CallSite site) {
    Slab* slab = cache.partial ? cache.partial : cache.empty;
    if (!slab) slab = TRY(make_slab(cache, cache.slab_pages, cache.first));
    return take_object(*slab, bytes, alignment, site);
}

// Plans the pages of a cache.
Cache plan(const char* name, size_t size, size_t alignment, void (*construct)(void*)) {
    Cache cache{};
    cache.name = name;
    cache.size = size;
    cache.construct = construct;
    cache.stride = align_up(static_cast<uint32_t>(size + 2 * kGuard), static_cast<uint32_t>(alignment));
    cache.first = align_up(kGuard, static_cast<uint32_t>(alignment));
    cache.slab_pages = (cache.first + size + kGuard + kPageSize - 1) / kPageSize;
    cache.objects = cache.slab_pages > 1 ? 1 : (kPageSize - cache.first - size - kGuard) / cache.stride + 1;
#if CONFIG_MEMORY_DEBUGGING
    if (cache.objects > kTags) cache.objects = kTags;
#endif
    cache.spare = kSpareSlabs;
    return cache;
}

bool is_block_cache(const Cache* cache) { return cache >= block_caches && cache <= block_caches + kBlockClasses; }

} // namespace

// -- what kmalloc is made of ----------------------------------------------------------------------------------------------

size_t block_room(size_t block_class) { return block_caches[block_class].size; }

Result<void*> block_allocate(size_t block_class, size_t bytes, size_t alignment, CallSite site) {
    Cache& cache = block_caches[block_class];
    if (block_class < kBlockClasses) return obtain(cache, bytes, kDebugging ? alignment : kHeapAlignment, site);
    const size_t first = align_up(kGuard, static_cast<uint32_t>(alignment));
    const size_t pages = (first + bytes + kGuard + kPageSize - 1) / kPageSize;
    return take_object(*TRY(make_slab(cache, pages < 2 ? 2 : pages, first)), bytes, kHeapAlignment, site);
}

Result<BlockPlace> block_find(void* block, CallSite site) {
    const Found found = find(block);
    const bool is_block = found.slab && is_block_cache(found.slab->cache);
    if (!is_block || !found.is_in_use) return refuse(found, is_block, block, site);
    const Slab& slab = *found.slab;
    const bool is_large = slab.cache->slab_pages == 0;
    const uint8_t* end = is_large ? slab.memory + slab.pages * kPageSize - kGuard : place_of(slab, found.index) + slab.cache->size;
    return BlockPlace{static_cast<size_t>(slab.cache - block_caches), size_at(slab, found.index),
                      static_cast<size_t>(end - static_cast<uint8_t*>(block))};
}

void block_resize([[maybe_unused]] void* block, [[maybe_unused]] size_t bytes, [[maybe_unused]] CallSite site) {
#if CONFIG_MEMORY_DEBUGGING
    const Found found = find(block);
    check_guards(*found.slab, found.index, site);
    start_use(*found.slab, found.index, bytes, found.slab->tags[found.index].offset, site);
#endif
}

Result<void> block_free(void* block, CallSite site) {
    if (!block) return {};
    const Found found = find(block);
    const bool is_block = found.slab && is_block_cache(found.slab->cache);
    if (!is_block || !found.is_in_use) return refuse(found, is_block, block, site);
    give_object(found, site);
    return {};
}

// -- the contract ---------------------------------------------------------------------------------------------------------

Result<void> initialize() {
    of_caches = plan("caches", sizeof(Cache), kHeapAlignment, nullptr);
    of_caches.spare = 0;
    for (size_t i = kBlockClasses + 1; i-- > 0;) {
        Cache& cache = block_caches[i];
        if (i < kBlockClasses) {
            cache = plan(kClassNames[i], kStrides[i] - 2 * kGuard, kHeapAlignment, nullptr);
        } else {
            cache.name = "kmalloc-large";
            cache.objects = 1;
        }
        cache.next = caches;
        caches = &cache;
    }
    return {};
}

Result<Cache*> create(const Description& wanted) {
    if (wanted.size == 0 || wanted.size > kMaxObjectSize) return Error::InvalidArgument;
    if (!std::has_single_bit(wanted.alignment) || wanted.alignment > kMaxObjectSize) return Error::InvalidArgument;
    const size_t alignment = wanted.alignment < kHeapAlignment ? kHeapAlignment : wanted.alignment;
    auto* cache = static_cast<Cache*>(TRY(obtain(of_caches, sizeof(Cache), kHeapAlignment, {})));
    *cache = plan(wanted.name, wanted.size, alignment, wanted.construct);
    cache->next = caches;
    caches = cache;
    return cache;
}

Result<void> destroy(Cache* cache) {
    if (cache->in_use != 0) return Error::Busy;
    while (cache->empty) drop_slab(*cache->empty);
    Cache** link = &caches;
    while (*link != cache) link = &(*link)->next;
    *link = cache->next;
    give_object(find(cache), {});
    return {};
}

Result<void*> allocate(Cache* cache, CallSite site) { return obtain(*cache, cache->size, kHeapAlignment, site); }

Result<void> free(Cache* cache, void* object, CallSite site) {
    if (!object) return {};
    const Found found = find(object);
    const bool is_right_cache = found.slab && found.slab->cache == cache;
    if (!is_right_cache || !found.is_in_use) return refuse(found, is_right_cache, object, site);
    give_object(found, site);
    return {};
}

size_t shrink() {
    size_t pages = 0;
    for_each_slab([&](Slab& slab) {
        if (slab.in_use == 0) pages += drop_slab(slab);
    });
    return pages;
}

size_t check() {
    size_t findings = 0;
    if (kDebugging) {
        for_each_slab([&](Slab& slab) {
            for (size_t i = 0; i < slab.cache->objects; ++i)
                findings += is_used(slab, i) ? check_guards(slab, i, {}) : check_poison(slab, i, {});
        });
    }
    return findings;
}

void for_each_object(void (*visit)(void* context, const Object& object), void* context) {
    for_each_slab([&](Slab& slab) {
        Cache& cache = *slab.cache;
        const bool is_kmallocs = &cache >= block_caches && &cache <= &block_caches[kBlockClasses];
        Cache* const owner = is_kmallocs || cache.construct ? nullptr : &cache;
        for (size_t i = 0; &cache != &of_caches && i < cache.objects; ++i)
            if (is_used(slab, i)) visit(context, {object_at(slab, i), size_at(slab, i), cache.name, allocated_at(slab, i), owner});
    });
}

void for_each_cache(void (*visit)(void* context, const Statistics& cache), void* context) {
    for (Cache* cache = caches; cache; cache = cache->next)
        visit(context, {cache->name, cache->size, cache->in_use, cache->capacity, cache->pages});
}

} // namespace mm::slab
