// Boundary tags (Knuth, The Art of Computer Programming 1, 2.5), with segregated free lists.
//
//     arena:  | Arena | bits | Block  object | Block  free ...... | Block  object | end |
//
// An arena is some pages in a row: a run of frames, one frame, or an area of vmalloc. It is cut into blocks without a gap between
// them; each knows its size and that of the block before, so that a freed one is joined with its free neighbours at once. Every
// cache has arenas of its own, and so has kmalloc.
//
// Nothing is believed that a caller's pointer points to: the frame table says how far behind its arena's beginning a frame lies,
// a hash table whether there is an arena, and the arena's bits whether a block begins there. With debugging, a second map of bits
// keeps the freed blocks that were joined: their headers, sites and poison stay where they are until the memory is handed out.
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

// Also used by kmalloc.cpp, which declares them for itself.
Result<void*> take(Cache& cache, size_t bytes, size_t alignment, CallSite site);
Result<void> give(Cache& cache, void* object, CallSite site);
Result<void*> resize(Cache& cache, void* object, size_t bytes, CallSite site);
Cache& kmalloc_arenas();

namespace {

constexpr bool kDebugging = CONFIG_MEMORY_DEBUGGING;
constexpr size_t kGuard = kDebugging ? kRedZone : 0;
constexpr uint8_t kRedByte = 0xBD;
constexpr size_t kBins = 48;
constexpr size_t kMappedPages = 8;      // blocks begin in these first pages of an arena; the last of them may reach further
constexpr size_t kTooMuch = 1u << 30;   // more than vmalloc has addresses
constexpr size_t kBuckets = 1024;
constexpr size_t kSparePages = 8;       // an empty arena is kept if it is no larger, and the only empty one of its cache

struct Block {
    uint32_t size;      // with this header; a multiple of 8, plus 1 while in use
    uint32_t previous;  // size of the block before, 0 for the arena's first
#if CONFIG_MEMORY_DEBUGGING
    uint32_t requested;
    Block* next_free;
    Block* previous_free;
    CallSite allocated;
    CallSite freed;
#endif
};

// Where the bytes of a free object must not be touched, the links are in the header, else in the object.
#if CONFIG_MEMORY_DEBUGGING
using Links = Block;
#else
struct Links {
    Block* next_free;
    Block* previous_free;
};
#endif

constexpr size_t kHead = align_up(sizeof(Block) + kGuard, kHeapAlignment);
constexpr size_t kLeastObject = kDebugging ? kHeapAlignment : sizeof(Links);
constexpr size_t kLeastBlock = align_up(kHead + kLeastObject + kGuard, kHeapAlignment);
constexpr size_t kEndTag = 2 * sizeof(uint32_t);
constexpr size_t kBitsPerPage = kPageSize / kHeapAlignment;

enum class Map { Used, Dead };

struct Arena {
    Cache* cache;
    Arena* next;
    Arena* previous;
    Arena* next_in_bucket;
    size_t pages;
    size_t in_use;
    size_t capacity;
    uint32_t order;  // of its run; kOfVmalloc if it is none
};
constexpr uint32_t kOfVmalloc = ~0u;

constexpr size_t mapped_pages(size_t pages) { return pages < kMappedPages ? pages : kMappedPages; }
constexpr size_t map_words(size_t pages) { return mapped_pages(pages) * kBitsPerPage / 32; }
constexpr size_t first_offset(size_t pages) {
    return align_up(sizeof(Arena) + map_words(pages) * sizeof(uint32_t) * (kDebugging ? 2 : 1), kHeapAlignment);
}

} // namespace

struct Cache {
    const char* name;
    size_t size;
    size_t alignment;
    void (*construct)(void*);
    size_t preferred_pages;
    Arena* arenas;
    size_t empty_arenas;
    size_t in_use;
    size_t capacity;
    size_t pages;
    Cache* next;
    uint64_t bins_with_blocks;
    Block* bins[kBins];
};

namespace {

constinit Cache of_kmalloc = {"kmalloc", 0, kHeapAlignment, nullptr, 4, nullptr, 0, 0, 0, 0, nullptr, 0, {}};
constinit Cache of_caches = {"caches", sizeof(Cache), kHeapAlignment, nullptr, 1, nullptr, 0, 0, 0, 0, nullptr, 0, {}};
constinit Cache* caches = nullptr;
constinit Arena* buckets[kBuckets] = {};

uint8_t* bytes_of(void* start) { return static_cast<uint8_t*>(start); }
const uint8_t* bytes_of(const void* start) { return static_cast<const uint8_t*>(start); }

// -- blocks ---------------------------------------------------------------------------------------------------------------

size_t size_of(const Block* block) { return block->size & ~1u; }
bool in_use(const Block* block) { return (block->size & 1) != 0; }
uint8_t* object_of(Block* block) { return bytes_of(block) + kHead; }
Block* block_behind(Block* block) { return reinterpret_cast<Block*>(bytes_of(block) + size_of(block)); }
Block* block_before(Block* block) { return reinterpret_cast<Block*>(bytes_of(block) - block->previous); }

void set_size(Block* block, size_t size, uint32_t used) {
    block->size = static_cast<uint32_t>(size) | used;
    block_behind(block)->previous = static_cast<uint32_t>(size);
}

size_t block_size(size_t bytes) {
    return align_up(static_cast<uint32_t>(kHead + (bytes < kLeastObject ? kLeastObject : bytes) + kGuard), kHeapAlignment);
}

// Where a block whose object is aligned may begin at or behind `from`, leaving either nothing before it or enough for a block.
uint32_t aligned_begin(uint32_t from, size_t alignment) {
    uint32_t begin = align_up(from + kHead, static_cast<uint32_t>(alignment)) - kHead;
    while (begin != from && begin - from < kLeastBlock) begin += static_cast<uint32_t>(alignment);
    return begin;
}

// -- the bits of an arena -------------------------------------------------------------------------------------------------

uint32_t* map_of(const Arena* arena, Map map) {
    auto* words = reinterpret_cast<uint32_t*>(const_cast<Arena*>(arena) + 1);
    return map == Map::Used ? words : words + map_words(arena->pages);
}

size_t bit_of(const Arena* arena, const void* block) {
    return static_cast<size_t>(bytes_of(block) - bytes_of(arena)) / kHeapAlignment;
}
bool can_begin(const Arena* arena, const void* block) { return bit_of(arena, block) < map_words(arena->pages) * 32; }
bool test(const Arena* arena, Map map, const Block* block) {
    const size_t bit = bit_of(arena, block);
    return (map_of(arena, map)[bit / 32] >> bit % 32 & 1) != 0;
}
void set(const Arena* arena, Map map, const Block* block) {
    const size_t bit = bit_of(arena, block);
    map_of(arena, map)[bit / 32] |= 1u << bit % 32;
}
void clear(const Arena* arena, Map map, const Block* block) {
    const size_t bit = bit_of(arena, block);
    map_of(arena, map)[bit / 32] &= ~(1u << bit % 32);
}

// The first block of the map at or behind bit `from`; null if there is none.
Block* next_marked(Arena* arena, Map map, size_t from) {
    const uint32_t* words = map_of(arena, map);
    for (size_t i = from / 32; i < map_words(arena->pages); ++i) {
        const uint32_t word = i == from / 32 ? words[i] & ~0u << from % 32 : words[i];
        if (word != 0)
            return reinterpret_cast<Block*>(bytes_of(arena) + (i * 32 + static_cast<size_t>(std::countr_zero(word))) * kHeapAlignment);
    }
    return nullptr;
}
Block* first_marked(Arena* arena, Map map) { return next_marked(arena, map, 0); }
Block* next_marked(Arena* arena, Map map, Block* behind) { return next_marked(arena, map, bit_of(arena, behind) + 1); }

// -- finding the arena of an address --------------------------------------------------------------------------------------

uint32_t page_of(const void* address) { return address_of(address).value() >> kPageShift; }
Arena*& bucket(uint32_t page) { return buckets[page % kBuckets]; }

Arena* arena_that_begins(uint32_t page) {
    Arena* arena = bucket(page);
    while (arena && page_of(arena) != page) arena = arena->next_in_bucket;
    return arena;
}

Arena* arena_of(const void* address) {
    const uint32_t page = page_of(address);
    if (is_identity_address(address)) {
        const uint32_t distance = frame_table::info(identity_frame(address)).link[0]; // anything, if the frame is not ours
        Arena* arena = arena_that_begins(page - distance);
        return arena && distance < arena->pages ? arena : nullptr;
    }
    if (!vmalloc::contains(address)) return nullptr;
    for (uint32_t distance = 0; distance <= kMappedPages; ++distance) { // an object may begin in the page behind its header's
        Arena* arena = arena_that_begins(page - distance);
        if (arena) return distance < arena->pages ? arena : nullptr;
    }
    return nullptr;
}

// The block whose object begins at an address, if the map has it; null for any other address.
Block* find(const void* object, Map map) {
    Arena* arena = arena_of(object);
    if (!arena || !is_aligned(address_of(object).value(), kHeapAlignment)) return nullptr;
    auto* block = reinterpret_cast<Block*>(bytes_of(const_cast<void*>(object)) - kHead);
    if (bytes_of(block) < bytes_of(arena) + first_offset(arena->pages) || !can_begin(arena, block)) return nullptr;
    return test(arena, map, block) ? block : nullptr;
}

// -- guards and poison ----------------------------------------------------------------------------------------------------

#if CONFIG_MEMORY_DEBUGGING
const uint8_t* first_wrong(const uint8_t* from, size_t length, uint8_t wanted) {
    for (; length > 0; --length, ++from)
        if (*from != wanted) return from;
    return nullptr;
}

size_t tell(FindingKind kind, const Cache& cache, Block* block, const uint8_t* damage, CallSite found) {
    const bool was_freed = kind == FindingKind::UseAfterFree || kind == FindingKind::DoubleFree;
    findings::report({kind, object_of(block), block->requested, cache.name, damage, block->allocated,
                      was_freed ? block->freed : CallSite{}, found});
    return 1;
}

void put_guards(Block* block) {
    memset(object_of(block) - kRedZone, kRedByte, kRedZone);
    memset(object_of(block) + block->requested, kRedByte, kRedZone);
}

void start_use(Block* block, size_t bytes, CallSite site) {
    block->requested = static_cast<uint32_t>(bytes);
    block->allocated = site;
    put_guards(block);
}

size_t check_guards(const Cache& cache, Block* block, CallSite found) {
    const uint8_t* before = first_wrong(object_of(block) - kRedZone, kRedZone, kRedByte);
    const uint8_t* behind = first_wrong(object_of(block) + block->requested, kRedZone, kRedByte);
    size_t findings = 0;
    if (before) findings += tell(FindingKind::Underflow, cache, block, before, found);
    if (behind) findings += tell(FindingKind::Overflow, cache, block, behind, found);
    if (findings) put_guards(block);
    return findings;
}

void end_use(const Arena* arena, Block* block, CallSite site) {
    block->freed = site;
    memset(object_of(block), kFreedByte, block->requested);
    set(arena, Map::Dead, block);
}

size_t check_poison(const Cache& cache, Block* block, CallSite found) {
    const uint8_t* damage = first_wrong(object_of(block), block->requested, kFreedByte);
    if (!damage) return 0;
    tell(FindingKind::UseAfterFree, cache, block, damage, found);
    memset(object_of(block), kFreedByte, block->requested);
    return 1;
}

// The bytes [from, to) are about to be used: freed objects there are looked at for the last time.
void bury_dead(Arena* arena, Block* from_block, const uint8_t* from, const uint8_t* to, CallSite site) {
    Block* dead = next_marked(arena, Map::Dead, bit_of(arena, from_block));
    while (dead && bytes_of(dead) < to) {
        if (object_of(dead) + dead->requested > from) {
            check_poison(*arena->cache, dead, site);
            clear(arena, Map::Dead, dead);
        }
        dead = next_marked(arena, Map::Dead, dead);
    }
}

Error refuse(const Cache& cache, void* object, CallSite site) {
    Block* dead = find(object, Map::Dead);
    if (dead && arena_of(object)->cache == &cache) {
        tell(FindingKind::DoubleFree, cache, dead, nullptr, site);
    } else {
        Finding finding;
        finding.kind = FindingKind::ForeignFree;
        finding.object = object;
        finding.found = site;
        findings::report(finding);
    }
    return Error::NotAllocated;
}

size_t requested_size(const Block* block) { return block->requested; }
CallSite allocated_at(const Block* block) { return block->allocated; }
#else
void start_use(Block*, size_t, CallSite) {}
size_t check_guards(const Cache&, Block*, CallSite) { return 0; }
void end_use(const Arena*, Block*, CallSite) {}
void bury_dead(Arena*, Block*, const uint8_t*, const uint8_t*, CallSite) {}
Error refuse(const Cache&, void*, CallSite) { return Error::NotAllocated; }
size_t requested_size(const Block* block) { return size_of(block) - kHead; }
CallSite allocated_at(const Block*) { return {}; }
#endif

// -- free lists -----------------------------------------------------------------------------------------------------------

Links& links(Block* block) {
#if CONFIG_MEMORY_DEBUGGING
    return *block;
#else
    return *reinterpret_cast<Links*>(object_of(block));
#endif
}

// Four bins for each power of two, from 16 bytes on; what is too large for all is in the last.
size_t bin_of(size_t size) {
    const auto log = static_cast<uint32_t>(std::bit_width(static_cast<uint32_t>(size)) - 1);
    const size_t bin = (log - 4) * 4 + (size >> (log - 2) & 3);
    return bin < kBins ? bin : kBins - 1;
}

void add_free(Cache& cache, Block* block) {
    const size_t bin = bin_of(size_of(block));
    links(block).next_free = cache.bins[bin];
    links(block).previous_free = nullptr;
    if (cache.bins[bin]) links(cache.bins[bin]).previous_free = block;
    cache.bins[bin] = block;
    cache.bins_with_blocks |= uint64_t{1} << bin;
}

void remove_free(Cache& cache, Block* block) {
    const size_t bin = bin_of(size_of(block));
    Block* next = links(block).next_free;
    Block* previous = links(block).previous_free;
    (previous ? links(previous).next_free : cache.bins[bin]) = next;
    if (next) links(next).previous_free = previous;
    if (!cache.bins[bin]) cache.bins_with_blocks &= ~(uint64_t{1} << bin);
}

// Cuts off what the block has behind `size` bytes, if that makes a block, and joins it with a free one behind.
void cut_tail(Arena* arena, Block* block, size_t size) {
    auto* tail = reinterpret_cast<Block*>(bytes_of(block) + size);
    Block* behind = block_behind(block);
    size_t left = size_of(block) - size;
    const bool joins = left > 0 && !in_use(behind);
    if (joins ? !can_begin(arena, tail) : left < kLeastBlock || !can_begin(arena, tail)) return;
    if (joins) {
        remove_free(*arena->cache, behind);
        left += size_of(behind);
    }
    set_size(block, size, block->size & 1);
    set_size(tail, left, 0);
    add_free(*arena->cache, tail);
}

// A free block that has room, and where in it the new block would begin; null if there is none.
Block* search(Cache& cache, size_t size, size_t alignment, Block*& begin) {
    uint64_t bins = cache.bins_with_blocks & ~uint64_t{0} << bin_of(size);
    for (; bins != 0; bins &= bins - 1) {
        for (Block* block = cache.bins[std::countr_zero(bins)]; block; block = links(block).next_free) {
            const uint32_t from = address_of(block).value();
            const uint32_t at = aligned_begin(from, alignment);
            begin = pointer_to<Block>(VirtAddr(at));
            if (at - from + size <= size_of(block) && can_begin(arena_of(block), begin)) return block;
        }
    }
    return nullptr;
}

// -- arenas ---------------------------------------------------------------------------------------------------------------

// How many blocks of a size an arena of so many pages has room for.
size_t room(size_t pages, size_t size, size_t alignment) {
    const size_t end = pages * kPageSize - kEndTag;
    size_t count = 0;
    for (size_t at = first_offset(pages);; at += size, ++count) {
        at = aligned_begin(static_cast<uint32_t>(at), alignment);
        if (at + size > end || at >= mapped_pages(pages) * kPageSize) return count;
    }
}

size_t fewest_pages(size_t size, size_t alignment) {
    size_t pages = size / kPageSize + 1;
    while (room(pages, size, alignment) == 0) ++pages;
    return pages;
}

uint32_t order_for(size_t pages) { return static_cast<uint32_t>(std::bit_width(pages - 1)); }

Result<Arena*> run_arena(size_t pages) {
    const uint32_t order = order_for(pages);
    if (order > kMaxOrder.value()) return Error::OutOfMemory;
    const auto run = order == 0 ? pages::get_free_page() : pages::allocate(Order(order), Contents::Unspecified);
    if (run.is_error()) return Error::OutOfMemory; // Unsupported is no answer of ours
    auto* arena = static_cast<Arena*>(run.value());
    arena->pages = size_t{1} << order;
    arena->order = order;
    for (uint32_t i = 0; i < arena->pages; ++i) frame_table::info(identity_frame(arena) + i).link[0] = i;
    return arena;
}

Result<Arena*> vmalloc_arena(size_t pages) {
    auto* arena = static_cast<Arena*>(TRY(vmalloc::allocate(pages * kPageSize)));
    arena->pages = pages;
    arena->order = kOfVmalloc;
    return arena;
}

Result<Arena*> pages_for(const Cache& cache, size_t size, size_t alignment) {
    const size_t fewest = fewest_pages(size, alignment);
    if (cache.preferred_pages > fewest) {
        const auto preferred = run_arena(cache.preferred_pages);
        if (!preferred.is_error()) return preferred;
    }
    const bool run_fits_well = (size_t{1} << order_for(fewest)) - fewest <= fewest / 4;
    const auto first = run_fits_well ? run_arena(fewest) : vmalloc_arena(fewest);
    if (!first.is_error() || fewest == 1) return first;
    return run_fits_well ? vmalloc_arena(fewest) : run_arena(fewest);
}

// Gets an arena in which a block of this size has room.
Result<void> grow(Cache& cache, size_t size, size_t alignment) {
    Arena* arena = TRY(pages_for(cache, size, alignment));
    arena->cache = &cache;
    arena->in_use = 0;
    arena->capacity = cache.size == 0 ? 0 : room(arena->pages, size, alignment);
    arena->next = cache.arenas;
    arena->previous = nullptr;
    if (cache.arenas) cache.arenas->previous = arena;
    cache.arenas = arena;
    arena->next_in_bucket = bucket(page_of(arena));
    bucket(page_of(arena)) = arena;
    memset(arena + 1, 0, first_offset(arena->pages) - sizeof(Arena));
    cache.pages += arena->pages;
    cache.capacity += arena->capacity;
    ++cache.empty_arenas;

    auto* block = reinterpret_cast<Block*>(bytes_of(arena) + first_offset(arena->pages));
    block->previous = 0;
    set_size(block, arena->pages * kPageSize - first_offset(arena->pages) - kEndTag, 0);
    block_behind(block)->size = 1;
    add_free(cache, block);
    return {};
}

// Gives back an arena in which nothing is in use.
size_t drop(Arena* arena) {
    Cache& cache = *arena->cache;
    remove_free(cache, reinterpret_cast<Block*>(bytes_of(arena) + first_offset(arena->pages)));
    (arena->previous ? arena->previous->next : cache.arenas) = arena->next;
    if (arena->next) arena->next->previous = arena->previous;
    Arena** link = &bucket(page_of(arena));
    while (*link != arena) link = &(*link)->next_in_bucket;
    *link = arena->next_in_bucket;
    const size_t pages = arena->pages;
    cache.pages -= pages;
    cache.capacity -= arena->capacity;
    --cache.empty_arenas;
    if (arena->order == kOfVmalloc) {
        (void)vmalloc::free(arena);
        return pages;
    }
    for (uint32_t i = 0; i < pages; ++i) frame_table::info(identity_frame(arena) + i).link[0] = 0;
    (void)pages::free(arena, Order(arena->order));
    return pages;
}

size_t drop_empty(Cache& cache) {
    size_t pages = 0;
    for (Arena* arena = cache.arenas; arena;) {
        Arena* next = arena->next;
        if (arena->in_use == 0) pages += drop(arena);
        arena = next;
    }
    return pages;
}

template <typename Function>
void for_all_arenas(Function function) {
    for (Arena* arena = of_kmalloc.arenas; arena; arena = arena->next) function(arena);
    for (Cache* cache = caches; cache; cache = cache->next)
        for (Arena* arena = cache->arenas; arena; arena = arena->next) function(arena);
}

} // namespace

Result<void*> take(Cache& cache, size_t bytes, size_t alignment, CallSite site) {
    if (bytes >= kTooMuch) return Error::OutOfMemory;
    if (alignment < kHeapAlignment) alignment = kHeapAlignment;
    const size_t size = block_size(bytes);
    Block* block = nullptr;
    Block* found = search(cache, size, alignment, block);
    if (!found) {
        TRY(grow(cache, size, alignment));
        found = search(cache, size, alignment, block);
    }
    Arena* arena = arena_of(found);
    bury_dead(arena, found, bytes_of(block), bytes_of(block) + size + sizeof(Block), site);
    remove_free(cache, found);
    const size_t all = size_of(found), before = static_cast<size_t>(bytes_of(block) - bytes_of(found));
    if (before > 0) {
        set_size(found, before, 0);
        add_free(cache, found);
    }
    set_size(block, all - before, 1);
    cut_tail(arena, block, size);
    set(arena, Map::Used, block);
    start_use(block, bytes, site);
    if (arena->in_use++ == 0) --cache.empty_arenas;
    ++cache.in_use;
    if (cache.construct) cache.construct(object_of(block));
    return object_of(block);
}

Result<void> give(Cache& cache, void* object, CallSite site) {
    if (!object) return {};
    Block* block = find(object, Map::Used);
    Arena* arena = block ? arena_of(object) : nullptr;
    if (!block || arena->cache != &cache) return refuse(cache, object, site);
    check_guards(cache, block, site);
    clear(arena, Map::Used, block);
    end_use(arena, block, site);
    block->size &= ~1u;
    Block* behind = block_behind(block);
    if (!in_use(behind)) {
        remove_free(cache, behind);
        set_size(block, size_of(block) + size_of(behind), 0);
    }
    if (block->previous != 0 && !in_use(block_before(block))) {
        Block* before = block_before(block);
        remove_free(cache, before);
        set_size(before, size_of(before) + size_of(block), 0);
        block = before;
    }
    add_free(cache, block);
    --cache.in_use;
    if (--arena->in_use == 0 && (++cache.empty_arenas > 1 || arena->pages > kSparePages || &cache == &of_caches)) drop(arena);
    return {};
}

Result<void*> resize(Cache& cache, void* object, size_t bytes, CallSite site) {
    Block* block = find(object, Map::Used);
    Arena* arena = block ? arena_of(object) : nullptr;
    if (!block || arena->cache != &cache) return refuse(cache, object, site);
    if (bytes >= kTooMuch) return Error::OutOfMemory;
    const size_t size = block_size(bytes), old = requested_size(block);
    Block* behind = block_behind(block);
    const size_t possible = size_of(block) + (in_use(behind) ? 0 : size_of(behind));
    const bool wastes = arena->pages > kSparePages && size < arena->pages * kPageSize / 2;
    if (size <= possible && !wastes) {
        check_guards(cache, block, site);
        if (!in_use(behind)) bury_dead(arena, behind, bytes_of(behind), bytes_of(block) + size + sizeof(Block), site);
        if (size > size_of(block)) {
            remove_free(cache, behind);
            set_size(block, possible, 1);
        }
        cut_tail(arena, block, size);
        start_use(block, bytes, site);
        return object;
    }
    void* moved = TRY(take(cache, bytes, kHeapAlignment, site));
    memcpy(moved, object, bytes < old ? bytes : old);
    (void)give(cache, object, site);
    return moved;
}

Cache& kmalloc_arenas() { return of_kmalloc; }

Result<void> initialize() { return {}; }

Result<Cache*> create(const Description& wanted) {
    const size_t alignment = wanted.alignment < kHeapAlignment ? kHeapAlignment : wanted.alignment;
    if (wanted.size == 0 || wanted.size > kMaxObjectSize) return Error::InvalidArgument;
    if (!std::has_single_bit(wanted.alignment) || alignment > kMaxObjectSize) return Error::InvalidArgument;
    size_t pages = 1;
    while (pages < kMappedPages && room(pages, block_size(wanted.size), alignment) < 8) pages *= 2;
    auto* cache = static_cast<Cache*>(TRY(take(of_caches, sizeof(Cache), kHeapAlignment, {})));
    *cache = {wanted.name, wanted.size, alignment, wanted.construct, pages, nullptr, 0, 0, 0, 0, caches, 0, {}};
    caches = cache;
    return cache;
}

Result<void> destroy(Cache* cache) {
    if (cache->in_use != 0) return Error::Busy;
    drop_empty(*cache);
    Cache** link = &caches;
    while (*link != cache) link = &(*link)->next;
    *link = cache->next;
    return give(of_caches, cache, {});
}

Result<void*> allocate(Cache* cache, CallSite site) { return take(*cache, cache->size, cache->alignment, site); }
Result<void> free(Cache* cache, void* object, CallSite site) { return give(*cache, object, site); }

size_t shrink() {
    size_t pages = drop_empty(of_kmalloc);
    for (Cache* cache = caches; cache; cache = cache->next) pages += drop_empty(*cache);
    return pages;
}

size_t check() {
    size_t findings = 0;
#if CONFIG_MEMORY_DEBUGGING
    for_all_arenas([&](Arena* arena) {
        const Cache& cache = *arena->cache;
        for (Block* block = first_marked(arena, Map::Used); block; block = next_marked(arena, Map::Used, block))
            findings += check_guards(cache, block, {});
        for (Block* block = first_marked(arena, Map::Dead); block; block = next_marked(arena, Map::Dead, block))
            findings += check_poison(cache, block, {});
    });
#endif
    return findings;
}

void for_each_object(void (*visit)(void* context, const Object& object), void* context) {
    for_all_arenas([&](Arena* arena) {
        Cache* const cache = arena->cache;
        Cache* const owner = cache == &of_kmalloc || cache->construct ? nullptr : cache;
        for (Block* block = first_marked(arena, Map::Used); block; block = next_marked(arena, Map::Used, block))
            visit(context, {object_of(block), requested_size(block), cache->name, allocated_at(block), owner});
    });
}

// kmalloc's arenas are no cache, and have no objects of one size.
void for_each_cache(void (*visit)(void* context, const Statistics& cache), void* context) {
    for (Cache* cache = caches; cache; cache = cache->next)
        visit(context, {cache->name, cache->size, cache->in_use, cache->capacity, cache->pages});
}

} // namespace mm::slab
