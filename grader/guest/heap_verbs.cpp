// Operations on lab 04-heap: each function of slab.h and kmalloc.h, and what a test does to the blocks. See harness.h for the
// script that drives them, heap_books.h for what is remembered.
#include <cstddef>
#include <cstdint>

#include "arch/i386/probe.h"
#include "config.h"
#include "guest/harness.h"
#include "guest/heap_books.h"
#include "lib/image.h"
#include "lib/text.h"
#include "mm/heap/finding.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/paging/layout.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace heap_guest {

using harness::Call;

HARNESS_DATA Block seen[kMaxBlocks];  ///< What for_each_object() showed last.
HARNESS_DATA size_t seen_count;

namespace {

void* pointer(Call& call, size_t i) { return reinterpret_cast<void*>(call.number(i)); }
uint32_t number(const void* address) { return reinterpret_cast<uint32_t>(address); }

/// What stands for an allocation that failed is 0, and nothing is done with it: the test says what is wrong.
bool is_nothing(uint32_t address) { return address < kPageSize; }

/// Books a block and replies with its address; the host looks at alignment and overlap itself.
void reply_block(Call& call, Result<void*> block, uint32_t size, uint32_t cache, uint32_t site) {
    if (block.is_error()) return call.reply(block.error());
    if (block_count == kMaxBlocks) harness::bad_script("too many blocks at a time", "");
    blocks[block_count++] = {number(block.value()), size, cache, site, 0};
    call.reply({number(block.value())});
}

// Caches

/// How often a constructor ran on an object of the script's caches.
struct Construction {
    uint32_t address;
    uint32_t slot;
    uint32_t times;
};
constexpr size_t kMaxConstructions = 512;
HARNESS_DATA Construction constructions[kMaxConstructions];
HARNESS_DATA size_t construction_count;
HARNESS_DATA uint32_t constructor_calls;
HARNESS_DATA uint32_t misuses;           ///< Constructor calls on memory of a block in use.
HARNESS_DATA uint32_t first_misuse;

Construction* find_construction(uint32_t slot, uint32_t address) {
    for (size_t i = 0; i < construction_count; ++i) {
        if (constructions[i].address == address && constructions[i].slot == slot) return &constructions[i];
    }
    return nullptr;
}

/// The constructor of the cache in `slot`: notes the call, then writes the constructed state, which depends on the address as that of
/// an object with a list head in it does.
void construct(uint32_t slot, void* object) {
    const Outside outside;
    const uint32_t address = number(object);
    ++constructor_calls;
    for (size_t i = 0; i < block_count; ++i) {
        if (address < blocks[i].address + blocks[i].size && blocks[i].address < address + caches[slot].size && misuses++ == 0) {
            first_misuse = address;
        }
    }
    Construction* known = find_construction(slot, address);
    if (!known && construction_count < kMaxConstructions) {
        known = &constructions[construction_count++];
        *known = {address, slot, 0};
    }
    if (known) ++known->times;
    fill(address, caches[slot].size, caches[slot].mark ^ address);
}

template <uint32_t Slot>
void constructor(void* object) { construct(Slot, object); }

using Constructor = void (*)(void*);
constexpr Constructor kConstructors[] = {constructor<0>, constructor<1>, constructor<2>, constructor<3>};

/// heap.create SLOT SIZE ALIGNMENT MARK: MARK 0 makes a cache without constructor
void create(Call& call) {
    const uint32_t slot = cache_argument(call, 0);
    if (slot >= kMaxCaches || !caches[slot].name[0]) harness::bad_script("no such cache", call.word(0));
    const uint32_t mark = call.number(3);
    if (mark && slot >= std::size(kConstructors)) harness::bad_script("no constructor for this slot", call.word(0));
    const mm::slab::Description description = {caches[slot].name, call.number(1), call.number(2), mark ? kConstructors[slot] : nullptr};
    const auto made = inside(call, [&] { return mm::slab::create(description); });
    if (made.is_error()) return call.reply(made.error());
    caches[slot].cache = made.value();
    caches[slot].size = description.size;
    caches[slot].alignment = description.alignment;
    caches[slot].mark = mark;
    call.reply({number(made.value())});
}

/// heap.destroy SLOT
void destroy(Call& call) {
    const uint32_t slot = cache_argument(call, 0);
    if (!caches[slot].cache) return call.reply(Error::NotAllocated); // create() failed, as it was meant to
    const auto ended = inside(call, [cache = caches[slot].cache] { return mm::slab::destroy(cache); });
    if (!ended.is_error()) caches[slot].cache = nullptr;
    call.reply(ended);
}

/// heap.allocate SLOT SITE -> address
void allocate(Call& call) {
    const uint32_t slot = cache_argument(call, 0), site = call.number(1);
    reply_block(call, allocate_from(call, slot, 0, site), caches[slot].size, slot, site);
}

/// heap.free SLOT ADDRESS SITE
void free(Call& call) {
    const uint32_t slot = cache_argument(call, 0), address = call.number(1);
    call.reply(free_to(call, slot, address, call.number(2)));
}

/// heap.constructed SLOT ADDRESS -> constructor calls on it, bytes of it that are as constructed, of how many
void constructed(Call& call) {
    const uint32_t slot = cache_argument(call, 0), address = call.number(1);
    if (is_nothing(address)) return call.reply(Error::NotMapped);
    const Construction* known = find_construction(slot, address);
    const uint32_t right = compare(address, caches[slot].size, caches[slot].mark ^ address);
    call.reply({known ? known->times : 0, right, caches[slot].size});
}

/// heap.reconstruct SLOT ADDRESS: the owner brings the object back into its constructed state
void reconstruct(Call& call) {
    const uint32_t slot = cache_argument(call, 0), address = call.number(1);
    if (is_nothing(address)) return call.reply(Error::NotMapped);
    fill(address, caches[slot].size, caches[slot].mark ^ address);
}

/// heap.constructors -> calls in all, calls on blocks in use, the first such block
void constructors(Call& call) { call.reply({constructor_calls, misuses, first_misuse}); }

// kmalloc

/// heap.kmalloc BYTES SITE -> address
void kmalloc(Call& call) {
    const uint32_t bytes = call.number(0), site = call.number(1);
    reply_block(call, allocate_from(call, kKmalloc, bytes, site), bytes, kKmalloc, site);
}

/// heap.kmalloc_aligned BYTES ALIGNMENT SITE -> address
void kmalloc_aligned(Call& call) {
    const uint32_t bytes = call.number(0), alignment = call.number(1), site = call.number(2);
    const CallSite where = call_site(site);
    reply_block(call, inside(call, [=] { return mm::kmalloc_aligned(bytes, alignment, where); }), bytes, kKmalloc, site);
}

/// heap.krealloc ADDRESS BYTES SITE -> address
void krealloc(Call& call) {
    void* const old = pointer(call, 0);
    const uint32_t bytes = call.number(1), site = call.number(2);
    const CallSite where = call_site(site);
    const auto block = inside(call, [=] { return mm::krealloc(old, bytes, where); });
    if (!block.is_error()) forget(find_block(number(old)));
    reply_block(call, block, bytes, kKmalloc, site);
}

/// heap.kfree ADDRESS SITE
void kfree(Call& call) {
    call.reply(free_to(call, kKmalloc, call.number(0), call.number(1)));
}

// The whole heap

/// heap.shrink -> frames given back
void shrink(Call& call) { call.reply({inside(call, [] { return mm::slab::shrink(); })}); }

/// heap.check -> findings
void check(Call& call) { call.reply({inside(call, [] { return mm::slab::check(); })}); }

/// heap.settle -> frames in use once the heap keeps none that it does not need, and vmalloc none that wait for their purge
void settle(Call& call) {
    inside(call, [] { return mm::slab::shrink(); });
    mm::vmalloc::purge();
    call.reply({mm::frames::in_use()});
}

void frames_in_use(Call& call) { call.reply({mm::frames::in_use()}); }

/// Which of the script's caches this is: 0 none, else the slot plus 1, or kStranger.
uint32_t owner_number(const mm::slab::Cache* owner) {
    if (!owner) return 0;
    for (uint32_t slot = 0; slot < kMaxCaches; ++slot) {
        if (caches[slot].cache == owner) return slot + 1;
    }
    return kStranger;
}

void show_object(void*, const mm::slab::Object& object) {
    const Outside outside;
    if (seen_count == kMaxBlocks) return;
    seen[seen_count++] = {number(object.address), object.size, cache_number(object.cache), site_number(object.allocated), owner_number(object.owner)};
}

/// heap.objects -> how many for_each_object() shows; they stand in `seen`
void objects(Call& call) {
    seen_count = 0;
    inside(call, [] { return mm::slab::for_each_object(show_object, nullptr), 0; });
    call.reply({seen_count});
}

/// Figures of one cache, or of those that the piece keeps for kmalloc(), added up.
struct Figures {
    uint32_t wanted;
    uint32_t shown, object_size, in_use, capacity, frames;
};
HARNESS_DATA Figures figures;

void show_cache(void*, const mm::slab::Statistics& cache) {
    const Outside outside;
    if (cache_number(cache.name) != figures.wanted) return;
    ++figures.shown;
    figures.object_size = cache.object_size;
    figures.in_use += cache.in_use;
    figures.capacity += cache.capacity;
    figures.frames += cache.frames;
}

/// heap.statistics SLOT -> times shown, object size, in use, capacity, frames
void statistics(Call& call) {
    figures = {.wanted = cache_argument(call, 0), .shown = 0, .object_size = 0, .in_use = 0, .capacity = 0, .frames = 0};
    inside(call, [] { return mm::slab::for_each_cache(show_cache, nullptr), 0; });
    call.reply({figures.shown, figures.object_size, figures.in_use, figures.capacity, figures.frames});
}

// Findings

/// heap.findings -> how many since the boot
void findings(Call& call) { call.reply({mm::findings::count()}); }

/// heap.finding N -> kind, object, size, damage, sites of allocation, free and discovery, cache. N counts from 0 since the boot.
void finding(Call& call) {
    const size_t which = call.number(0), count = mm::findings::count();
    const size_t kept = count < mm::findings::kMaxKept ? count : mm::findings::kMaxKept;
    if (which >= count || which < count - kept) return call.reply(Error::OutOfRange);
    const mm::Finding& it = mm::findings::kept(which - (count - kept));
    call.reply({static_cast<uint32_t>(it.kind), number(it.object), it.size, number(it.damage), site_number(it.allocated),
                site_number(it.freed), site_number(it.found), cache_number(it.cache)});
}

// Bytes

/// An address, and whether it lies in an area of vmalloc's that is in use: one that was freed stays mapped for a while.
struct AreaSearch {
    uint32_t address;
    bool is_found;
};

void look_into_area(void* context, const mm::vmalloc::Area& area) {
    AreaSearch& search = *static_cast<AreaSearch*>(context);
    if (!area.is_freed && search.address - number(area.address) < area.pages * kPageSize) search.is_found = true;
}

/// Whether somebody owns the byte: that of a freed block may have gone back to the frame allocator, or to vmalloc.
bool is_held(uint32_t address) {
    void* const at = reinterpret_cast<void*>(address);
    uint32_t word = 0;
    if (!i386::try_read(VirtAddr(address & ~3u), word)) return false;
    if (mm::is_identity_address(at)) return mm::frame_table::info(mm::identity_frame(at)).use == mm::FrameUse::Allocated;
    if (!mm::vmalloc::contains(at)) return false;
    AreaSearch search{address, false};
    mm::vmalloc::for_each(look_into_area, &search);
    return search.is_found;
}

/// heap.held ADDRESS -> 1 when its memory is in somebody's hands, 0 when not
void held(Call& call) { call.reply({is_held(call.number(0)) ? 1u : 0u}); }

/// heap.fill ADDRESS LENGTH MARK
void fill_block(Call& call) {
    if (is_nothing(call.number(0))) return call.reply(Error::NotMapped);
    fill(call.number(0), call.number(1), call.number(2));
}

/// heap.compare ADDRESS LENGTH MARK -> bytes up to the first that is wrong
void compare_block(Call& call) {
    if (is_nothing(call.number(0))) return call.reply(Error::NotMapped);
    call.reply({compare(call.number(0), call.number(1), call.number(2))});
}

/// heap.flip ADDRESS MASK -> the byte before. Changes bits of a byte, whatever it holds.
void flip(Call& call) {
    const uint32_t address = call.number(0);
    if (!is_held(address)) return call.reply(Error::NotMapped);
    volatile uint8_t* const byte = reinterpret_cast<volatile uint8_t*>(address);
    const uint8_t old = *byte;
    *byte = static_cast<uint8_t>(old ^ call.number(1));
    call.reply({old});
}

/// heap.place WHAT -> an address that is none of the heap's: stack, text, data, table, frame (one of the guest's own)
void place(Call& call) {
    uint32_t local = 0;
    if (text_equal(call.word(0), "stack")) return call.reply({number(&local)});
    if (text_equal(call.word(0), "text")) return call.reply({reinterpret_cast<uint32_t>(&place) & ~7u});
    if (text_equal(call.word(0), "data")) return call.reply({number(&seen[0])});
    if (text_equal(call.word(0), "table")) return call.reply({number(&mm::frame_table::info(FrameNumber(0x100)))});
    if (!text_equal(call.word(0), "frame")) harness::bad_script("no such place", call.word(0));
    const auto page = mm::pages::get_free_page();
    call.reply(page.error(), {number(page.value())});
}

HARNESS_VERB("heap.create", create);
HARNESS_VERB("heap.destroy", destroy);
HARNESS_VERB("heap.allocate", allocate);
HARNESS_VERB("heap.free", free);
HARNESS_VERB("heap.constructed", constructed);
HARNESS_VERB("heap.reconstruct", reconstruct);
HARNESS_VERB("heap.constructors", constructors);
HARNESS_VERB("heap.kmalloc", kmalloc);
HARNESS_VERB("heap.kmalloc_aligned", kmalloc_aligned);
HARNESS_VERB("heap.krealloc", krealloc);
HARNESS_VERB("heap.kfree", kfree);
HARNESS_VERB("heap.shrink", shrink);
HARNESS_VERB("heap.check", check);
HARNESS_VERB("heap.settle", settle);
HARNESS_VERB("heap.frames", frames_in_use);
HARNESS_VERB("heap.objects", objects);
HARNESS_VERB("heap.statistics", statistics);
HARNESS_VERB("heap.findings", findings);
HARNESS_VERB("heap.finding", finding);
HARNESS_VERB("heap.held", held);
HARNESS_VERB("heap.fill", fill_block);
HARNESS_VERB("heap.compare", compare_block);
HARNESS_VERB("heap.flip", flip);
HARNESS_VERB("heap.place", place);

} // namespace
} // namespace heap_guest
