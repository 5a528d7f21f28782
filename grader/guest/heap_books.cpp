// The guest's books of lab 04's piece. See heap_books.h.
#include "guest/heap_books.h"

#include "arch/i386/probe.h"
#include "config.h"
#include "lib/text.h"
#include "mm/heap/kmalloc.h"

namespace heap_guest {

using harness::Call;

HARNESS_DATA Site sites[kMaxSites];
HARNESS_DATA CacheSlot caches[kMaxCaches];
HARNESS_DATA Block blocks[kMaxBlocks];
HARNESS_DATA size_t block_count;
HARNESS_DATA Call* active;

namespace {

void copy_text(char* to, size_t room, const char* from) {
    size_t i = 0;
    for (; from[i]; ++i) {
        if (i + 1 == room) harness::bad_script("a name is too long", from);
        to[i] = from[i];
    }
    to[i] = 0;
}

/// The byte at `address`, wherever a piece's pointer leads; 0 where nothing is mapped.
char safe_byte(uint32_t address) {
    uint32_t word = 0;
    if (!i386::try_read(VirtAddr(address & ~3u), word)) return 0;
    return static_cast<char>(word >> (address % 4 * 8));
}

/// Whether the text that a piece's pointer leads to is, or begins with, `expected`.
bool reads(const char* text, const char* expected, bool whole) {
    const uint32_t at = reinterpret_cast<uint32_t>(text);
    size_t i = 0;
    for (; expected[i]; ++i) {
        if (safe_byte(at + i) != expected[i]) return false;
    }
    return !whole || safe_byte(at + i) == 0;
}

uint32_t pattern(uint32_t mark, uint32_t word) { return (mark ^ word * 0x9E37'79B9u) * 0x85EB'CA6Bu + word; }

} // namespace

#if CONFIG_MEMORY_DEBUGGING
CallSite call_site(uint32_t index) {
    if (index >= kMaxSites || sites[index].line == 0) harness::bad_script("no such call site", "");
    return {sites[index].function, sites[index].file, sites[index].line};
}

uint32_t site_number(const CallSite& site) {
    if (site.function == nullptr) return 0;
    for (uint32_t i = 0; i < kMaxSites; ++i) {
        if (site.line != sites[i].line || site.line == 0) continue;
        if (reads(site.function, sites[i].function, true) && reads(site.file, sites[i].file, true)) return i + 1;
    }
    return kStranger;
}
#else
CallSite call_site(uint32_t) { return {}; }
uint32_t site_number(const CallSite&) { return 0; }
#endif

uint32_t cache_number(const char* name) {
    if (name == nullptr) return kStranger;
    for (uint32_t i = 0; i < kMaxCaches; ++i) {
        if (caches[i].name[0] && reads(name, caches[i].name, true)) return i;
    }
    return reads(name, "kmalloc", false) ? kKmalloc : kStranger;
}

uint32_t cache_argument(const Call& call, size_t i) {
    if (text_equal(call.word(i), "kmalloc")) return kKmalloc;
    const uint32_t slot = call.number(i);
    if (slot >= kMaxCaches) harness::bad_script("no such cache", call.word(i));
    return slot;
}

void fill(uint32_t address, uint32_t length, uint32_t mark) {
    uint32_t i = 0;
    if (address % 4 == 0) {
        for (; i + 4 <= length; i += 4) *reinterpret_cast<volatile uint32_t*>(address + i) = pattern(mark, i / 4);
    }
    for (; i < length; ++i) *reinterpret_cast<volatile uint8_t*>(address + i) = static_cast<uint8_t>(pattern(mark, i / 4) >> (i % 4 * 8));
}

uint32_t compare(uint32_t address, uint32_t length, uint32_t mark) {
    uint32_t i = 0;
    if (address % 4 == 0) {
        while (i + 4 <= length && *reinterpret_cast<volatile uint32_t*>(address + i) == pattern(mark, i / 4)) i += 4;
    }
    while (i < length && *reinterpret_cast<volatile uint8_t*>(address + i) == static_cast<uint8_t>(pattern(mark, i / 4) >> (i % 4 * 8))) ++i;
    return i;
}

void book(const Block& block, uint32_t alignment, Outcome& outcome) {
    if (block.address == 0) return outcome.fail(Trouble::Null, 0, block.size);
    if (block.address % alignment != 0 || block.address % mm::kHeapAlignment != 0) {
        return outcome.fail(Trouble::Unaligned, block.address, alignment);
    }
    if (block_count == kMaxBlocks) harness::bad_script("too many blocks at a time", "");
    for (size_t i = 0; i < block_count; ++i) {
        if (block.address < blocks[i].address + blocks[i].size && blocks[i].address < block.address + block.size) {
            outcome.fail(Trouble::Overlap, block.address, blocks[i].address);
        }
    }
    blocks[block_count++] = block;
}

size_t find_block(uint32_t address) {
    for (size_t i = 0; i < block_count; ++i) {
        if (blocks[i].address == address) return i;
    }
    return kMaxBlocks;
}

void forget(size_t index) {
    if (index < block_count) blocks[index] = blocks[--block_count];
}

Result<void*> allocate_from(Call& call, uint32_t cache, uint32_t size, uint32_t site) {
    const CallSite where = call_site(site);
    if (cache == kKmalloc) return inside(call, [=] { return mm::kmalloc(size, where); });
    mm::slab::Cache* const from = caches[cache].cache;
    return inside(call, [=] { return mm::slab::allocate(from, where); });
}

Result<void> free_to(Call& call, uint32_t cache, uint32_t address, uint32_t site) {
    const CallSite where = call_site(site);
    void* const memory = reinterpret_cast<void*>(address);
    const size_t index = find_block(address);
    const Block block = blocks[index % kMaxBlocks];
    forget(index);
    mm::slab::Cache* const to = cache == kKmalloc ? nullptr : caches[cache].cache;
    const auto freed = to ? inside(call, [=] { return mm::slab::free(to, memory, where); })
                          : inside(call, [=] { return mm::kfree(memory, where); });
    if (freed.is_error() && index != kMaxBlocks) blocks[block_count++] = block;
    return freed;
}

namespace {

/// heap.site INDEX FUNCTION FILE LINE
void make_site(Call& call) {
    const uint32_t index = call.number(0);
    if (index >= kMaxSites) harness::bad_script("no such call site", call.word(0));
    copy_text(sites[index].function, sizeof sites[index].function, call.word(1));
    copy_text(sites[index].file, sizeof sites[index].file, call.word(2));
    sites[index].line = call.number(3);
}

/// heap.name SLOT NAME: what the cache in this slot is going to be called
void name_cache(Call& call) {
    const uint32_t slot = cache_argument(call, 0);
    if (slot == kKmalloc) harness::bad_script("kmalloc has its name", call.word(0));
    copy_text(caches[slot].name, sizeof caches[slot].name, call.word(1));
}

HARNESS_VERB("heap.site", make_site);
HARNESS_VERB("heap.name", name_cache);

} // namespace
} // namespace heap_guest
