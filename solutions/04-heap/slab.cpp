/// Reference solution of lab 04-heap, first half: object caches.
///
///     cache ---> available <-> slab <-> slab <-> (back to the cache)     slabs with a free object, empty ones last
///           \--> full      <-> slab <-> (back to the cache)
///
///     slab (a run of frames, a single frame, or an area of vmalloc's)
///     +--------+-----------+---------+--------+----------+--------+--------+----------+-----
///     | header | free bits | records | colour | red zone | object | red zone, red zone | object ...
///     +--------+-----------+---------+--------+----------+--------+--------+----------+-----
///
/// *Free bits*: bit i is set while object i is free. A summary word says which words of them are not zero, so that the lowest
/// free object is found with two instructions, and freeing an object twice is noticed in every build.
/// *Records* (what was asked for, and by whom) and *red zones* exist with CONFIG_MEMORY_DEBUGGING only. Without it, and when
/// objects are large, the header lies in a cache of its own: eight objects of 512 bytes then fill a frame.
/// *From an object to its slab*: the frame table's link words of each page lead to the header. They are sealed, so that what
/// another owner of a frame left there is not taken for ours. An area's header lies in its first page.
/// *Large blocks* of kmalloc() and objects that fit no single frame are slabs with one object.
#include "mm/heap/slab.h"

#include "config.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/heap/finding.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace mm::slab {

Result<void> start_kmalloc_caches(); // kmalloc.cpp

namespace {

constexpr bool kDebug = CONFIG_MEMORY_DEBUGGING;
constexpr size_t kGuard = kDebug ? kRedZone : 0;
constexpr uint8_t kRedByte = 0xB5;          // no small number, no likely character, and not kFreedByte
constexpr uint32_t kSeal = 0x51AB'0B7E;     // mixed into what marks a page as ours
constexpr uint32_t kMaxSlabOrder = 3;       // larger runs are hard to get
constexpr size_t kMaxObjects = 1024;        // of one slab: 32 words of free bits, one summary word
constexpr size_t kSmallObject = 512;        // headers of larger objects lie apart, without debugging
constexpr size_t kMaxBlock = 1u << 30;      // more than any zone of a contiguous mapping holds; keeps sums below 2^32

struct Link {
    Link* next;
    Link* previous;
};

/// What an object's users said. Outlives the object until its memory is handed out again.
struct Record {
    size_t bytes = 0; ///< As asked for.
    CallSite allocated;
    CallSite freed;
};

/// Where a slab's memory comes from.
enum class Source : uint8_t { Run, Area };

/// A slab's header. The free bits and the records follow it.
struct alignas(8) Slab : Link {
    Cache* cache;
    uint8_t* objects;      ///< The first one.
    size_t stride;         ///< From one object to the next. SIZE_MAX when there is but one.
    size_t room;           ///< What one object may hold.
    uint32_t capacity;     ///< Objects.
    uint32_t in_use;
    uint32_t free_words;   ///< Bit w: word w of the free bits is not 0.
    uint32_t seal;         ///< Tells an area of ours from others'.
    uint8_t* memory;       ///< The first byte of the run or area.
    uint32_t order;        ///< Of the run; of an area its pages.
    Source source;
    bool header_apart;
    bool is_kmallocs;

    uint32_t* free_bits() { return reinterpret_cast<uint32_t*>(this + 1); }
    static constexpr size_t bits_bytes(size_t capacity) { return align_up((capacity + 31) / 32 * 4, 8); }
    Record* records() { return reinterpret_cast<Record*>(reinterpret_cast<uint8_t*>(this + 1) + bits_bytes(capacity)); }
    static constexpr size_t header_bytes(size_t capacity) {
        return sizeof(Slab) + bits_bytes(capacity) + (kDebug ? capacity * sizeof(Record) : 0);
    }

    bool is_free(size_t i) { return free_bits()[i / 32] >> (i % 32) & 1; }
    uint8_t* object(size_t i) { return objects + i * stride; }
    size_t frames() const { return source == Source::Run ? Order(order).frames() : order; }
};

/// How a run is divided.
struct Layout {
    uint32_t order = 0;
    uint32_t capacity = 0;  ///< 0: not even one object fits.
    uint32_t first = 0;     ///< Offset of the first object, uncoloured.
    uint32_t spare = 0;     ///< Bytes behind the last object: what the colours are made of.
};

enum class Kind : uint8_t { Created, Kmalloc, Internal };

} // namespace

struct Cache {
    Link available;        ///< Slabs with a free object: empty ones last.
    Link full;
    size_t stride;         ///< From one object to the next.
    size_t size;
    size_t alignment;
    size_t colour;         ///< Of the next slab: the distance that its objects are moved by.
    void (*construct)(void*);
    const char* name;
    Cache* next;
    Kind kind;
    bool header_apart;
    Layout best, single;   ///< What is tried first; what one frame gives.
};

namespace {

constinit Cache root{};     ///< Of the Cache objects themselves.
constinit Cache headers{};  ///< Of the slabs' headers that lie apart.
constinit Cache blocks{};   ///< Large blocks of kmalloc(): one slab each.
constinit Cache* caches = nullptr;

// Of the frame table, so that kfree() need not ask for them each time.
constinit FrameInfo* frame_infos = nullptr;
constinit uint32_t identity_frames = 0;

// Lists

void clear(Link& list) { list.next = list.previous = &list; }
bool is_empty(const Link& list) { return list.next == &list; }
void unlink(Link& node) {
    node.next->previous = node.previous;
    node.previous->next = node.next;
}
void insert_before(Link& place, Link& node) {
    node.next = &place;
    node.previous = place.previous;
    place.previous->next = &node;
    place.previous = &node;
}
void push_front(Link& list, Link& node) { insert_before(*list.next, node); }

/// Calls `visit` with every slab of the cache. It may release the slab that it is shown.
template <typename Visit>
void for_each_slab(Cache& cache, Visit visit) {
    for (Link* list : {&cache.available, &cache.full}) {
        for (Link *at = list->next, *next; at != list; at = next) {
            next = at->next;
            visit(*static_cast<Slab*>(at));
        }
    }
}

// Guards: all of this is compiled, and none of it called, without CONFIG_MEMORY_DEBUGGING

/// Whether free objects hold kFreedByte: not those that stay constructed, nor large blocks, whose frames go back at once.
bool is_poisoned(const Cache& cache) { return !cache.construct && &cache != &blocks; }

/// The first byte of [begin, end) that is not `byte`, or nullptr.
const uint8_t* first_other(const uint8_t* begin, const uint8_t* end, uint8_t byte) {
    const uint32_t word = byte * 0x0101'0101u;
    while (begin < end && !is_aligned(address_of(begin).value(), 4)) {
        if (*begin++ != byte) return begin - 1;
    }
    while (end - begin >= 4 && *reinterpret_cast<const uint32_t*>(begin) == word) begin += 4;
    while (begin < end) {
        if (*begin++ != byte) return begin - 1;
    }
    return nullptr;
}

Finding describe(FindingKind kind, Slab& slab, size_t i, const void* damage, CallSite found) {
    const Record& record = slab.records()[i];
    return {kind, slab.object(i), record.bytes ? record.bytes : slab.cache->size, slab.cache->name, damage,
            record.allocated, kind == FindingKind::UseAfterFree || kind == FindingKind::DoubleFree ? record.freed : CallSite{}, found};
}

void paint_zones(Slab& slab, size_t i) {
    uint8_t* const object = slab.object(i);
    const size_t bytes = slab.records()[i].bytes;
    memset(object - kGuard, kRedByte, kGuard);
    memset(object + bytes, kRedByte, slab.room + kGuard - bytes);
}

/// Reports damage to the red zones of an object in use, and repairs it. @return how many findings
size_t check_zones(Slab& slab, size_t i, CallSite found) {
    const uint8_t* const object = slab.object(i);
    const uint8_t* const before = first_other(object - kGuard, object, kRedByte);
    const uint8_t* const behind = first_other(object + slab.records()[i].bytes, object + slab.room + kGuard, kRedByte);
    if (before) findings::report(describe(FindingKind::Underflow, slab, i, before, found));
    if (behind) findings::report(describe(FindingKind::Overflow, slab, i, behind, found));
    if (before || behind) paint_zones(slab, i); // after the report, which shows the damage
    return (before != nullptr) + (behind != nullptr);
}

/// The same for the bytes of a free object.
size_t check_poison(Slab& slab, size_t i, CallSite found) {
    if (!is_poisoned(*slab.cache)) return 0;
    uint8_t* const object = slab.object(i);
    const uint8_t* const damage = first_other(object, object + slab.room, kFreedByte);
    if (!damage) return 0;
    findings::report(describe(FindingKind::UseAfterFree, slab, i, damage, found));
    memset(object, kFreedByte, slab.room);
    return 1;
}

size_t check_slab(Slab& slab) {
    size_t found = 0;
    for (uint32_t i = 0; i < slab.capacity; ++i) found += slab.is_free(i) ? check_poison(slab, i, {}) : check_zones(slab, i, {});
    return found;
}

void guard(Slab& slab, size_t i, size_t bytes, CallSite site) {
    check_poison(slab, i, site);
    slab.records()[i] = {bytes, site, {}};
    paint_zones(slab, i);
}

void unguard(Slab& slab, size_t i, CallSite site) {
    check_zones(slab, i, site);
    slab.records()[i].freed = site;
    if (is_poisoned(*slab.cache)) memset(slab.object(i), kFreedByte, slab.room);
}

/// The number of the object that begins at this address; SIZE_MAX when none does.
size_t index_of(const Slab& slab, const void* address) {
    const size_t offset = static_cast<const uint8_t*>(address) - slab.objects; // before the first object: huge
    const size_t i = offset / slab.stride;
    return i < slab.capacity && i * slab.stride == offset ? i : SIZE_MAX;
}

/// What was passed to free is no object in use. `slab` is the one that the address lies in, if any.
[[gnu::cold]] Error refuse(const void* address, Slab* slab, bool is_owner, CallSite site) {
    if constexpr (kDebug) {
        Finding finding;
        if (slab) {
            const size_t i = index_of(*slab, address);
            const bool is_double = is_owner && i != SIZE_MAX && slab->is_free(i);
            const size_t near = (static_cast<const uint8_t*>(address) - slab->objects) / slab->stride;
            if (near < slab->capacity)
                finding = describe(is_double ? FindingKind::DoubleFree : FindingKind::ForeignFree, *slab, near, nullptr, site);
        }
        if (finding.kind != FindingKind::DoubleFree) finding.kind = FindingKind::ForeignFree;
        finding.object = address;
        finding.found = site;
        findings::report(finding);
    }
    return Error::NotAllocated;
}

// From an address to its slab

uint32_t seal_of(uint32_t header, uint32_t frame) { return header ^ frame ^ kSeal; }

void seal_page(const Slab& slab, const uint8_t* page) {
    const uint32_t frame = identity_frame(page).value();
    FrameInfo& info = frame_infos[frame];
    info.link[0] = address_of(&slab).value();
    info.link[1] = seal_of(info.link[0], frame);
}

void unseal_page(const uint8_t* page) {
    FrameInfo& info = frame_infos[identity_frame(page).value()];
    info.link[0] = info.link[1] = 0;
}

/// Calls `visit` with every page of the slab that an object can begin in: all; of a slab with one object its page.
template <typename Visit>
void for_each_page(const Slab& slab, Visit visit) {
    if (slab.source == Source::Area) return;
    if (slab.capacity == 1) return visit(slab.memory + align_down(static_cast<uint32_t>(slab.objects - slab.memory), kPageSize));
    for (uint32_t i = 0; i < Order(slab.order).frames(); ++i) visit(slab.memory + i * kPageSize);
}

/// An area's header lies in its first page, its only object begins there or in the second.
[[gnu::cold]] Slab* slab_of_area(const void* address) {
    uint32_t page = align_down(address_of(address).value(), kPageSize);
    for (int i = 0; i < 2; ++i, page -= kPageSize) {
        Slab* const slab = pointer_to<Slab>(VirtAddr(page));
        if (!vmalloc::contains(slab) || vmalloc::size(slab).is_error()) continue;
        if (slab->seal == seal_of(page, 0) && address_of(slab->memory).value() == page) return slab;
    }
    return nullptr;
}

/// The slab that an object at this address would be part of; nullptr where the heap has none. Any address may come.
inline Slab* slab_of(const void* address) {
    const uint32_t frame = address_of(address).value() >> kPageShift;
    if (frame >= identity_frames) return slab_of_area(address);
    const FrameInfo& info = frame_infos[frame];
    return info.link[1] == seal_of(info.link[0], frame) ? pointer_to<Slab>(VirtAddr(info.link[0])) : nullptr;
}

// Memory of slabs

void* take(Cache& cache, size_t bytes, CallSite site);
Error put(Slab& slab, void* object, CallSite site);

Result<uint8_t*> get_run(Order order) {
    return static_cast<uint8_t*>(TRY(order == Order(0) ? pages::get_free_page() : pages::allocate(order, Contents::Unspecified)));
}

void give_back(uint8_t* memory, Source source, uint32_t order) {
    const auto freed = source == Source::Run ? pages::free(memory, Order(order)) : vmalloc::free(memory);
    KASSERT("a slab's memory can be given back", !freed.is_error());
}

/// Makes memory a slab of free objects. Gives the memory back when there is none for the header.
Result<Slab*> furnish(Cache& cache, uint8_t* memory, Source source, uint32_t order, size_t first, size_t capacity, size_t room) {
    const bool apart = cache.header_apart && source == Source::Run;
    void* const header = apart ? take(headers, headers.size, {}) : memory;
    if (!header) {
        give_back(memory, source, order);
        return Error::OutOfMemory;
    }
    Slab& slab = *static_cast<Slab*>(header);
    slab = {};
    slab.cache = &cache;
    slab.objects = memory + first;
    slab.stride = capacity == 1 ? SIZE_MAX : cache.stride;
    slab.room = room;
    slab.capacity = static_cast<uint32_t>(capacity);
    slab.seal = seal_of(address_of(memory).value(), 0);
    slab.memory = memory;
    slab.order = order;
    slab.source = source;
    slab.header_apart = apart;
    slab.is_kmallocs = cache.kind == Kind::Kmalloc;
    memset(slab.free_bits(), 0, Slab::header_bytes(capacity) - sizeof(Slab));
    for (uint32_t i = 0; i < capacity; ++i) {
        slab.free_bits()[i / 32] |= 1u << (i % 32);
        slab.free_words |= 1u << (i / 32);
        if (kDebug && is_poisoned(cache)) memset(slab.object(i), kFreedByte, room);
        if (cache.construct) cache.construct(slab.object(i));
    }
    for_each_page(slab, [&slab](const uint8_t* page) { seal_page(slab, page); });
    insert_before(cache.available, slab);
    return &slab;
}

void release(Slab& slab) {
    unlink(slab);
    for_each_page(slab, unseal_page);
    uint8_t* const memory = slab.memory;
    const Source source = slab.source;
    const uint32_t order = slab.order;
    if (slab.header_apart) put(*slab_of(&slab), &slab, {});
    give_back(memory, source, order);
}

/// A slab with one object, of a run of its own or of vmalloc's memory.
Result<Slab*> grow_by_one(Cache& cache, size_t bytes, size_t alignment) {
    const size_t header = cache.header_apart ? 0 : Slab::header_bytes(1) + kGuard;
    const size_t first = align_up(header, alignment);
    const size_t end = first + align_up(bytes, kHeapAlignment) + kGuard;
    uint32_t order = 0;
    while (order <= kMaxOrder.value() && Order(order).frames() * kPageSize < end) ++order;
    if (order <= kMaxOrder.value()) {
        const auto run = get_run(Order(order));
        if (!run.is_error())
            return furnish(cache, run.value(), Source::Run, order, first, 1, Order(order).frames() * kPageSize - first - kGuard);
    }
    const size_t first_of_area = align_up(Slab::header_bytes(1) + kGuard, alignment);
    const size_t pages = align_up(first_of_area + align_up(bytes, kHeapAlignment) + kGuard, kPageSize) / kPageSize;
    uint8_t* const area = static_cast<uint8_t*>(TRY(vmalloc::allocate(pages * kPageSize)));
    return furnish(cache, area, Source::Area, static_cast<uint32_t>(pages), first_of_area, 1, pages * kPageSize - first_of_area - kGuard);
}

Result<Slab*> grow_by(Cache& cache, const Layout& layout) {
    uint8_t* const run = TRY(get_run(Order(layout.order)));
    const size_t colour = cache.colour <= layout.spare ? cache.colour : 0;
    cache.colour = colour + cache.alignment <= layout.spare ? colour + cache.alignment : 0;
    return furnish(cache, run, Source::Run, layout.order, layout.first + colour, layout.capacity, cache.stride - 2 * kGuard);
}

/// A new slab, as large as the cache likes it; of a single frame when there is no such run.
[[gnu::noinline]] Result<Slab*> grow(Cache& cache) {
    if (cache.best.order > 0) {
        const auto slab = grow_by(cache, cache.best);
        if (!slab.is_error()) return slab;
    }
    return cache.single.capacity > 0 ? grow_by(cache, cache.single) : grow_by_one(cache, cache.size, cache.alignment);
}

// Objects

uint32_t lowest_bit(uint32_t word) { return static_cast<uint32_t>(__builtin_ctz(word)); }

/// The last free object of a word was taken: perhaps of the slab, too.
[[gnu::noinline]] void word_ran_out(Slab& slab) {
    slab.free_words &= slab.free_words - 1;
    if (slab.free_words != 0) return;
    unlink(slab);
    push_front(slab.cache->full, slab);
}

/// Hands out the lowest free object of a slab that has one.
inline void* take_from(Slab& slab, size_t bytes, CallSite site) {
    const uint32_t word = lowest_bit(slab.free_words);
    uint32_t& bits = slab.free_bits()[word];
    const uint32_t i = word * 32 + lowest_bit(bits);
    ++slab.in_use;
    bits &= bits - 1;
    if (bits == 0) word_ran_out(slab);
    if constexpr (kDebug) guard(slab, i, bytes, site);
    return slab.object(i);
}

/// An object of the cache; nullptr when there is no memory.
inline void* take(Cache& cache, size_t bytes, CallSite site) {
    if (is_empty(cache.available) && grow(cache).is_error()) return nullptr;
    return take_from(*static_cast<Slab*>(cache.available.next), bytes, site);
}

Result<void*> result_of(void* object) { return object ? Result<void*>(object) : Error::OutOfMemory; }

/// The last object in use came back. A cache keeps one empty slab, at the end of its list; large blocks go at once.
[[gnu::noinline]] void became_empty(Slab& slab) {
    Link& list = slab.cache->available;
    Slab& last = *static_cast<Slab*>(list.previous);
    if (slab.cache == &blocks || (&last != &slab && last.in_use == 0)) return release(slab);
    if (&last == &slab) return;
    unlink(slab);
    insert_before(list, slab);
}

/// The first object of a word came back: perhaps of a full slab.
[[gnu::noinline]] void word_came_back(Slab& slab, size_t word) {
    if (slab.free_words == 0) {
        unlink(slab);
        push_front(slab.cache->available, slab);
    }
    slab.free_words |= 1u << word;
}

inline Error put(Slab& slab, void* object, CallSite site) {
    const size_t i = index_of(slab, object);
    if (i == SIZE_MAX) return refuse(object, &slab, true, site);
    const size_t word = i / 32;
    const uint32_t bit = 1u << (i % 32);
    const uint32_t bits = slab.free_bits()[word];
    if ((bits & bit) != 0) return refuse(object, &slab, true, site);
    if constexpr (kDebug) unguard(slab, i, site);
    slab.free_bits()[word] = bits | bit;
    if (bits == 0) word_came_back(slab, word);
    if (--slab.in_use == 0) became_empty(slab);
    return Error::None;
}

// Caches

/// As many objects as a run of this order holds.
Layout divide(const Cache& cache, uint32_t order) {
    const size_t space = Order(order).frames() * kPageSize;
    size_t capacity = space / cache.stride;
    if (capacity > kMaxObjects) capacity = kMaxObjects;
    for (; capacity > 0; --capacity) {
        const size_t header = cache.header_apart ? 0 : Slab::header_bytes(capacity) + kGuard;
        const size_t first = align_up(header, cache.alignment);
        const size_t end = first + capacity * cache.stride - kGuard; // the next object's first red zone is not needed
        if (end <= space)
            return {order, static_cast<uint32_t>(capacity), static_cast<uint32_t>(first), static_cast<uint32_t>(space - end)};
    }
    return {};
}

/// The smallest run of which no more than an eighth is lost (Bonwick, section 3.3).
Layout best_layout(const Cache& cache) {
    Layout layout;
    for (uint32_t order = 0; order <= kMaxSlabOrder; ++order) {
        const Layout next = divide(cache, order);
        if (next.capacity > 0) layout = next;
        if (next.capacity > 0 && next.spare <= (kPageSize << order) / 8) break;
    }
    return layout;
}

void set_up(Cache& cache, const Description& description, Kind kind) {
    cache = {};
    clear(cache.available);
    clear(cache.full);
    cache.size = description.size;
    cache.alignment = description.alignment < kHeapAlignment ? kHeapAlignment : description.alignment;
    cache.stride = align_up(description.size + 2 * kGuard, cache.alignment);
    cache.construct = description.construct;
    cache.name = description.name;
    cache.kind = kind;
    cache.header_apart = !kDebug && cache.stride >= kSmallObject;
    cache.single = divide(cache, 0);
    cache.best = best_layout(cache);
    cache.next = caches;
    caches = &cache;
}

/// Releases every slab without an object in use. @return their frames
size_t shrink(Cache& cache) {
    size_t frames = 0;
    for_each_slab(cache, [&frames](Slab& slab) {
        if (slab.in_use > 0) return;
        frames += slab.frames();
        release(slab);
    });
    return frames;
}

Statistics statistics(Cache& cache) {
    Statistics sum{cache.name, cache.size, 0, 0, 0};
    for_each_slab(cache, [&sum](const Slab& slab) {
        sum.in_use += slab.in_use;
        sum.capacity += slab.capacity;
        sum.frames += slab.frames();
    });
    return sum;
}

Result<Cache*> make(const Description& description, Kind kind) {
    if (description.size == 0 || description.size > kMaxObjectSize) return Error::InvalidArgument;
    const size_t alignment = description.alignment;
    if (alignment == 0 || alignment > kMaxObjectSize || (alignment & (alignment - 1)) != 0) return Error::InvalidArgument;
    Cache* const cache = static_cast<Cache*>(take(root, root.size, {}));
    if (!cache) return Error::OutOfMemory;
    set_up(*cache, description, kind);
    return cache;
}

} // namespace

// The contract

Result<void> initialize() {
    constexpr size_t kIdentityFrames = kIdentityEnd / kPageSize;
    identity_frames = frame_table::frame_count() < kIdentityFrames ? frame_table::frame_count() : kIdentityFrames;
    frame_infos = &frame_table::info(FrameNumber(0));
    set_up(root, {"caches", sizeof(Cache)}, Kind::Internal);
    set_up(headers, {"slab headers", Slab::header_bytes(64)}, Kind::Internal);
    set_up(blocks, {"kmalloc large", kMaxObjectSize}, Kind::Kmalloc);
    blocks.size = 0; // they differ
    blocks.header_apart = !kDebug;
    return start_kmalloc_caches();
}

Result<Cache*> create(const Description& description) { return make(description, Kind::Created); }

Result<void> destroy(Cache* cache) {
    if (statistics(*cache).in_use > 0) return Error::Busy;
    shrink(*cache);
    Cache** at = &caches;
    while (*at != cache) at = &(*at)->next;
    *at = cache->next;
    return put(*slab_of(cache), cache, {});
}

Result<void*> allocate(Cache* cache, CallSite site) { return result_of(take(*cache, cache->size, site)); }

Result<void> free(Cache* cache, void* object, CallSite site) {
    if (object == nullptr) return {};
    Slab* const slab = slab_of(object);
    if (!slab || slab->cache != cache) return refuse(object, slab, false, site);
    return put(*slab, object, site);
}

size_t shrink() {
    size_t frames = 0;
    for (Cache* cache = caches; cache; cache = cache->next) frames += shrink(*cache); // headers and root come last
    return frames;
}

size_t check() {
    size_t found = 0;
    if constexpr (kDebug) {
        for (Cache* cache = caches; cache; cache = cache->next)
            for_each_slab(*cache, [&found](Slab& slab) { found += check_slab(slab); });
    }
    return found;
}

void for_each_object(void (*visit)(void* context, const Object& object), void* context) {
    for (Cache* cache = caches; kDebug && cache; cache = cache->next) {
        if (cache->kind == Kind::Internal) continue;
        Cache* const owner = cache->kind == Kind::Created && !cache->construct ? cache : nullptr;
        for_each_slab(*cache, [=](Slab& slab) {
            for (uint32_t i = 0; i < slab.capacity; ++i) {
                if (slab.is_free(i)) continue;
                const Record& record = slab.records()[i];
                visit(context, {slab.object(i), record.bytes, cache->name, record.allocated, owner});
            }
        });
    }
}

void for_each_cache(void (*visit)(void* context, const Statistics& cache), void* context) {
    for (Cache* cache = caches; cache; cache = cache->next) {
        if (cache->kind != Kind::Internal) visit(context, statistics(*cache));
    }
}

// For kmalloc.cpp, which declares these for itself

Result<Cache*> create_for_kmalloc(const Description& description) { return make(description, Kind::Kmalloc); }

Result<void*> allocate_for_kmalloc(Cache* cache, size_t bytes, CallSite site) { return result_of(take(*cache, bytes, site)); }

Result<void*> allocate_block(size_t bytes, size_t alignment, CallSite site) {
    if (bytes > kMaxBlock) return Error::OutOfMemory;
    return take_from(*TRY(grow_by_one(blocks, bytes, alignment)), bytes, site);
}

Result<void> free_for_kmalloc(void* block, CallSite site) {
    if (block == nullptr) return {};
    Slab* const slab = slab_of(block);
    if (!slab || !slab->is_kmallocs) return refuse(block, slab, false, site);
    return put(*slab, block, site);
}

/// What a block of kmalloc's holds, and how many bytes it could hold where it is.
struct BlockSize {
    size_t bytes;
    size_t room;
};

Result<BlockSize> size_of_block(void* block, CallSite site) {
    Slab* const slab = slab_of(block);
    if (!slab || !slab->is_kmallocs) return refuse(block, slab, false, site);
    const size_t i = index_of(*slab, block);
    if (i == SIZE_MAX || slab->is_free(i)) return refuse(block, slab, true, site);
    return BlockSize{kDebug ? slab->records()[i].bytes : slab->room, slab->room};
}

/// Changes what a block holds; it has room for it.
void resize_block(void* block, size_t bytes, CallSite site) {
    if constexpr (kDebug) {
        Slab& slab = *slab_of(block);
        const size_t i = index_of(slab, block);
        check_zones(slab, i, site);
        slab.records()[i] = {bytes, site, {}};
        paint_zones(slab, i);
    }
}

} // namespace mm::slab
