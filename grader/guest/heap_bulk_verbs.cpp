// Many operations on lab 04's piece at once: random traces, all of memory, and what is left of memory for it. A verb stops at
// the first thing that cannot be right and reports it as a trouble; the host says it in words.
//
// Two sets of blocks: `blocks` (heap_books.h), of up to a thousand, and the *chain*, of any number, which is linked through the
// blocks themselves, as their owner may.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "guest/harness.h"
#include "guest/heap_books.h"
#include "lib/text.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace heap_guest {
namespace {

using harness::Call;

// Random traces

/// Mostly small, sometimes large: each number of bits is as likely as any other.
uint32_t random_size(Random& random, uint32_t most) {
    const uint32_t bits = 1 + random.below(32 - static_cast<uint32_t>(__builtin_clz(most)));
    return 1 + random.below(std::min(most, bits == 32 ? most : 1u << bits));
}

/// An error is booked as a failure if it is OutOfMemory; any other is a trouble.
bool succeeded(Error error, uint32_t size, Outcome& outcome) {
    if (error == Error::None) return true;
    if (error == Error::OutOfMemory) return ++outcome.failures, false;
    outcome.error = error;
    outcome.fail(Trouble::WrongError, 0, size);
    return false;
}

void mark_last(Outcome& outcome, uint32_t mark) {
    if (outcome.failed()) return;
    Block& block = blocks[block_count - 1];
    block.mark = mark;
    fill(block.address, block.size, mark);
}

void churn_kmalloc(Call& call, Random& random, uint32_t most, Outcome& outcome) {
    const uint32_t size = random_size(random, most), site = random.below(4);
    const uint32_t alignment = random.below(4) == 0 ? 1u << random.below(13) : 1;
    const CallSite where = call_site(site);
    const auto block = alignment == 1 ? inside(call, [=] { return mm::kmalloc(size, where); })
                                      : inside(call, [=] { return mm::kmalloc_aligned(size, alignment, where); });
    if (!succeeded(block.error(), size, outcome)) return;
    book({reinterpret_cast<uint32_t>(block.value()), size, kKmalloc, site, 0}, alignment, outcome);
    mark_last(outcome, random.next());
}

void churn_cache(Call& call, Random& random, uint32_t slot, Outcome& outcome) {
    const uint32_t site = random.below(4), mark = caches[slot].mark;
    const auto object = allocate_from(call, slot, 0, site);
    if (!succeeded(object.error(), caches[slot].size, outcome)) return;
    const uint32_t address = reinterpret_cast<uint32_t>(object.value());
    book({address, caches[slot].size, slot, site, 0}, caches[slot].alignment, outcome);
    if (outcome.failed()) return;
    if (mark && compare(address, caches[slot].size, mark ^ address) < caches[slot].size) return outcome.fail(Trouble::NotConstructed, address, slot);
    mark_last(outcome, random.next());
}

void check_marks(const Block& block, Outcome& outcome) {
    const uint32_t right = compare(block.address, block.size, block.mark);
    if (right < block.size) outcome.fail(Trouble::Overwritten, block.address, right);
}

void churn_resize(Call& call, Random& random, size_t i, uint32_t most, Outcome& outcome) {
    const Block old = blocks[i];
    check_marks(old, outcome);
    if (outcome.failed()) return;
    const uint32_t size = random_size(random, most), site = random.below(4);
    const CallSite where = call_site(site);
    const auto block = inside(call, [=] { return mm::krealloc(reinterpret_cast<void*>(old.address), size, where); });
    if (!succeeded(block.error(), size, outcome)) return; // the old block is checked when it is freed
    forget(i);
    const uint32_t address = reinterpret_cast<uint32_t>(block.value()), both = std::min(size, old.size);
    book({address, size, kKmalloc, site, 0}, 1, outcome);
    if (outcome.failed()) return;
    const uint32_t right = compare(address, both, old.mark);
    if (right < both) return outcome.fail(Trouble::LostContents, address, right);
    mark_last(outcome, random.next());
}

void free_block(Call& call, size_t i, Outcome& outcome) {
    const Block block = blocks[i];
    check_marks(block, outcome);
    if (outcome.failed()) return;
    if (block.cache != kKmalloc && caches[block.cache].mark) fill(block.address, block.size, caches[block.cache].mark ^ block.address);
    outcome.error = free_to(call, block.cache, block.address, block.site).error();
    if (outcome.error != Error::None) outcome.fail(Trouble::FreeRefused, block.address, block.size);
}

/// heap.churn SEED COUNT MOST LIVE -> outcome: COUNT operations at random on kmalloc() and the caches that exist, sizes up to MOST, no
/// more than LIVE blocks at a time. Each block is full of its own pattern, which is checked before it is resized or freed.
void churn(Call& call) {
    Random random(call.number(0));
    const uint32_t count = call.number(1), most = call.number(2);
    const size_t first = block_count, live = first + call.number(3);
    Outcome outcome;
    for (; outcome.done < count && !outcome.failed(); ++outcome.done) {
        const uint32_t roll = random.below(100), slot = random.below(kMaxCaches);
        const size_t chosen = block_count > first ? first + random.below(block_count - first) : kMaxBlocks;
        if (chosen != kMaxBlocks && (roll < 35 || block_count >= live)) free_block(call, chosen, outcome);
        else if (chosen != kMaxBlocks && roll < 50 && blocks[chosen].cache == kKmalloc) churn_resize(call, random, chosen, most, outcome);
        else if (roll < 75 && caches[slot].cache) churn_cache(call, random, slot, outcome);
        else churn_kmalloc(call, random, most, outcome);
    }
    for (size_t i = first; i < block_count && !outcome.failed(); ++i) check_marks(blocks[i], outcome);
    outcome.reply(call);
}

/// heap.drop -> outcome: frees every block of the books that churn has filled, in another order than it came
void drop(Call& call) {
    Outcome outcome;
    for (size_t i = 0; i < block_count && !outcome.failed();) {
        if (blocks[i].mark == 0) {
            ++i;
            continue;
        }
        free_block(call, i, outcome);
        ++outcome.done;
    }
    outcome.reply(call);
}

// The chain

/// The first bytes of a block in the chain. Marks follow, and stand at its end: in between would take long in all of memory.
struct Link {
    uint32_t next;
    uint32_t cache;
    uint32_t size;
    uint32_t check;  ///< Of the three above: a link that was written over is not followed.
};

HARNESS_DATA uint32_t chain;      ///< Its first block; 0 ends it.
HARNESS_DATA uint32_t chain_key;

uint32_t checksum(const Link& link) { return (link.next ^ link.cache * 31 ^ link.size * 0x01000193u ^ chain_key) * 0x9E37'79B1u; }
uint32_t mark_of(uint32_t address) { return (address ^ chain_key) * 0xC2B2'AE35u | 1; }

constexpr uint32_t kMarked = 48;  ///< Bytes behind the link, and at the end.

/// Where the marks at the end of a block begin; a multiple of 4, as the marks behind the link.
uint32_t tail_of(uint32_t size) { return sizeof(Link) + kMarked < size ? std::max<uint32_t>(sizeof(Link) + kMarked, (size - kMarked) & ~3u) : size; }

void push(uint32_t address, uint32_t cache, uint32_t size) {
    Link link = {chain, cache, size, 0};
    link.check = checksum(link);
    *reinterpret_cast<Link*>(address) = link;
    const uint32_t tail = tail_of(size);
    fill(address + sizeof(Link), std::min<uint32_t>(kMarked, size - sizeof(Link)), mark_of(address));
    fill(address + tail, size - tail, ~mark_of(address));
    chain = address;
}

/// Takes the first block off the chain. False when it does not hold what was written into it.
bool pop(Block& block, Outcome& outcome) {
    const Link link = *reinterpret_cast<Link*>(chain);
    block = {chain, 0, 0, 0, 0};
    if (link.check != checksum(link)) return outcome.fail(Trouble::Overwritten, chain, 0), false;
    const uint32_t head = std::min<uint32_t>(kMarked, link.size - sizeof(Link)), tail = tail_of(link.size);
    const uint32_t right = compare(chain + sizeof(Link), head, mark_of(chain));
    if (right < head) return outcome.fail(Trouble::Overwritten, chain, sizeof(Link) + right), false;
    const uint32_t behind = compare(chain + tail, link.size - tail, ~mark_of(chain));
    if (behind < link.size - tail) return outcome.fail(Trouble::Overwritten, chain, tail + behind), false;
    block.size = link.size;
    block.cache = link.cache;
    chain = link.next;
    return true;
}

// The guest's memory is opened once per batch, not once per block: that is the slow part.
constexpr size_t kBatch = 32;

struct Batch {
    Block blocks[kBatch];
    size_t count = 0;
    Error error = Error::None;  ///< Of the call behind the last block.
};

/// Allocates up to `count` blocks, until there is an error.
void allocate_batch(Call& call, Batch& batch, size_t count, uint32_t cache, uint32_t size, uint32_t site) {
    const CallSite where = call_site(site);
    mm::slab::Cache* const from = cache == kKmalloc ? nullptr : caches[cache].cache;
    inside(call, [&] {
        while (batch.count < count && batch.error == Error::None) {
            const auto block = from ? mm::slab::allocate(from, where) : mm::kmalloc(size, where);
            batch.error = block.error();
            if (!block.is_error()) batch.blocks[batch.count++] = {reinterpret_cast<uint32_t>(block.value()), size, cache, site, 0};
        }
        return 0;
    });
}

/// Frees the blocks of the batch.
void free_batch(Call& call, const Batch& batch, uint32_t site, Outcome& outcome) {
    const CallSite where = call_site(site);
    mm::slab::Cache* to[kBatch];
    for (size_t i = 0; i < batch.count; ++i) to[i] = batch.blocks[i].cache == kKmalloc ? nullptr : caches[batch.blocks[i].cache].cache;
    Error error = Error::None;
    const size_t freed = inside(call, [&] {
        size_t i = 0;
        for (; i < batch.count && error == Error::None; ++i) {
            void* const block = reinterpret_cast<void*>(batch.blocks[i].address);
            error = (to[i] ? mm::slab::free(to[i], block, where) : mm::kfree(block, where)).error();
        }
        return i;
    });
    outcome.done += freed;
    outcome.error = error;
    if (error != Error::None) outcome.fail(Trouble::FreeRefused, batch.blocks[freed - 1].address, batch.blocks[freed - 1].size);
}

/// heap.exhaust CACHE|kmalloc SIZE SITE LIMIT -> outcome: allocates blocks until there is an error, at most LIMIT
void exhaust(Call& call) {
    const uint32_t cache = cache_argument(call, 0), site = call.number(2), limit = call.number(3);
    const uint32_t size = cache == kKmalloc ? call.number(1) : caches[cache].size;
    if (size < sizeof(Link)) harness::bad_script("no room for a link", call.word(1));
    if (!chain) chain_key = call.number(1) * 0x2545'F491u + site;
    Outcome outcome;
    while (outcome.done < limit && outcome.error == Error::None && !outcome.failed()) {
        Batch batch;
        allocate_batch(call, batch, std::min<size_t>(kBatch, limit - outcome.done), cache, size, site);
        outcome.error = batch.error;
        if (batch.error != Error::None && batch.error != Error::OutOfMemory) outcome.fail(Trouble::WrongError, 0, size);
        for (size_t i = 0; i < batch.count && !outcome.failed(); ++i, ++outcome.done) {
            const uint32_t address = batch.blocks[i].address;
            if (address == 0) outcome.fail(Trouble::Null, 0, size);
            else if (address % mm::kHeapAlignment) outcome.fail(Trouble::Unaligned, address, mm::kHeapAlignment);
            else push(address, cache, size);
        }
    }
    outcome.reply(call);
}

/// heap.give_back COUNT SITE -> outcome: frees blocks of the chain, the last first
void give_back(Call& call) {
    const uint32_t count = call.number(0), site = call.number(1);
    Outcome outcome;
    while (chain && outcome.done < count && !outcome.failed()) {
        Batch batch;
        while (chain && batch.count < std::min<size_t>(kBatch, count - outcome.done)) {
            if (!pop(batch.blocks[batch.count], outcome)) break;
            ++batch.count;
        }
        if (!outcome.failed()) free_batch(call, batch, site, outcome);
    }
    outcome.reply(call);
}

/// heap.thin SITE -> outcome: frees every second block of the chain
void thin(Call& call) {
    const uint32_t site = call.number(0);
    Outcome outcome;
    uint32_t kept = 0; // the new chain; its blocks are put back by push(), which takes `chain` for what follows
    while (chain && !outcome.failed()) {
        Batch batch;
        while (chain && batch.count < kBatch) {
            if (!pop(batch.blocks[batch.count++], outcome)) break;
            Block block;
            if (!chain || !pop(block, outcome)) break;
            const uint32_t rest = chain;
            chain = kept;
            push(block.address, block.cache, block.size);
            kept = chain;
            chain = rest;
        }
        if (!outcome.failed()) free_batch(call, batch, site, outcome);
    }
    chain = kept;
    outcome.reply(call);
}

// Frames that somebody else has

HARNESS_DATA uint32_t held_frames;  ///< The first of a list through the frames' own first words; 0 ends it (frame 0 is nobody's).
HARNESS_DATA uint32_t held_count;

void hold_frame(FrameNumber frame, uint32_t word) {
    mm::fill_frame(frame, word);
    mm::frame_memory(frame).as<uint32_t>()[0] = held_frames;
    held_frames = frame.value();
    ++held_count;
}

/// heap.hold all|odd WORD -> frames held: takes every frame that there is, the last ones too, and fills them with WORD. With `odd`
/// those with an even number are given back: half of memory is free then, and no two frames in a row are.
void hold(Call& call) {
    const bool odd_only = text_equal(call.word(0), "odd");
    const uint32_t word = call.number(1);
    for (;;) {
        const auto frame = mm::frames::allocate_reserve(mm::Zone::High, mm::Contents::Unspecified);
        if (frame.is_error()) break;
        hold_frame(frame.value(), word);
    }
    if (odd_only) {
        uint32_t at = held_frames;
        held_frames = held_count = 0;
        while (at) {
            const FrameNumber frame(at);
            at = mm::frame_memory(frame).as<uint32_t>()[0];
            if (frame.value() % 2) hold_frame(frame, word);
            else if (mm::frames::release(frame).is_error()) harness::bad_script("a frame that was taken cannot be given back", "");
        }
    }
    call.reply({held_count});
}

/// heap.let_go -> frames given back
void let_go(Call& call) {
    const uint32_t count = held_count;
    while (held_frames) {
        const FrameNumber frame(held_frames);
        held_frames = mm::frame_memory(frame).as<uint32_t>()[0];
        if (mm::frames::release(frame).is_error()) harness::bad_script("a frame that was taken cannot be given back", "");
    }
    held_count = 0;
    call.reply({count});
}

HARNESS_VERB("heap.churn", churn);
HARNESS_VERB("heap.drop", drop);
HARNESS_VERB("heap.exhaust", exhaust);
HARNESS_VERB("heap.give_back", give_back);
HARNESS_VERB("heap.thin", thin);
HARNESS_VERB("heap.hold", hold);
HARNESS_VERB("heap.let_go", let_go);

} // namespace
} // namespace heap_guest
