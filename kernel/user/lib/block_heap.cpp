#include "block_heap.h"

#include "user/text.h"

namespace {

constexpr uint32_t kAlignment = 16, kSmallest = 32;
constexpr uint32_t kUsed = 1, kMapped = 2, kEnd = 4, kFlags = 15;
constexpr uint32_t kSeal = 0x5EA1'B10C;
constexpr unsigned char kPattern = 0xFD;

constexpr uint32_t round_up(uint32_t bytes, uint32_t unit) { return (bytes + unit - 1) / unit * unit; }

} // namespace

struct alignas(16) BlockHeap::Block {
    uint32_t size_and_flags;  ///< Bytes, header included; the lowest four bits are flags.
    uint32_t previous_size;   ///< Of the block before this; 0 for the first of a region.
    uint32_t requested;       ///< What the program asked for.
    uint32_t check;

    uint32_t size() const { return size_and_flags & ~kFlags; }
    bool is(uint32_t flag) const { return size_and_flags & flag; }
    char* begin() { return reinterpret_cast<char*>(this); }
    char* payload() { return begin() + sizeof(Block); }
    Block* next() { return reinterpret_cast<Block*>(begin() + size()); }
    Block* previous() { return reinterpret_cast<Block*>(begin() - previous_size); }
    uint32_t seal() const {
        return kSeal ^ size_and_flags ^ previous_size * 31 ^ requested * 17 ^ static_cast<uint32_t>(reinterpret_cast<uintptr_t>(this));
    }
    void set(uint32_t size, uint32_t flags, uint32_t bytes) {
        size_and_flags = size | flags;
        requested = bytes;
        check = seal();
    }
    void set_previous(uint32_t size) {
        previous_size = size;
        check = seal();
    }
};

struct BlockHeap::FreeBlock : Block {
    FreeBlock* before;
    FreeBlock* after;
};

namespace {

/// floor(log2(size)) - 5, and all the large ones together.
size_t list_of(uint32_t size, size_t lists) {
    const auto order = static_cast<size_t>(31 - __builtin_clz(size)) - 5;
    return order < lists ? order : lists - 1;
}

} // namespace

void BlockHeap::check_header(const Block* block) {
    if (block->check != block->seal()) source_.damaged("damaged: somebody wrote past the end of the block before it", block + 1);
}

void BlockHeap::insert(Block* block) {
    static_assert(sizeof(FreeBlock) <= kSmallest);
    FreeBlock*& list = lists_[list_of(block->size(), kLists)];
    auto* const entry = static_cast<FreeBlock*>(block);
    entry->before = nullptr;
    entry->after = list;
    if (list) list->before = entry;
    list = entry;
}

void BlockHeap::remove(Block* block) {
    auto* const entry = static_cast<FreeBlock*>(block);
    if ((entry->before && entry->before->after != entry) || (entry->after && entry->after->before != entry))
        source_.damaged("damaged: somebody wrote to it after it was freed", block + 1);
    (entry->before ? entry->before->after : lists_[list_of(block->size(), kLists)]) = entry->after;
    if (entry->after) entry->after->before = entry->before;
}

/// The first fit in the block's own list; every block of the lists above fits.
BlockHeap::Block* BlockHeap::find(uint32_t size) {
    for (size_t list = list_of(size, kLists); list < kLists; ++list) {
        for (FreeBlock* block = lists_[list]; block; block = block->after) {
            check_header(block);
            if (block->size() >= size) return block;
        }
    }
    return nullptr;
}

/// Takes more memory. Right behind the last region, that region's end becomes the new block's header; elsewhere a region begins.
bool BlockHeap::extend(uint32_t size) {
    const uint32_t bytes = round_up(size + 3 * sizeof(Block), kExtendBytes);
    auto* const memory = static_cast<char*>(source_.extend(bytes));
    if (!memory) return false;
    statistics_.break_bytes += bytes;

    Block* block;
    char* const memory_end = memory + bytes;
    if (end_ && memory == end_->begin() + sizeof(Block)) {
        block = end_;
        check_header(block);
    } else {
        block = reinterpret_cast<Block*>(memory + (-reinterpret_cast<uintptr_t>(memory) & (kAlignment - 1)));
        block->previous_size = 0;
        if (!first_region_) first_region_ = block;
    }
    const auto available = static_cast<uint32_t>(memory_end - block->begin()) / kAlignment * kAlignment - uint32_t{sizeof(Block)};
    block->set(available, 0, 0);
    end_ = block->next();
    end_->previous_size = available;
    end_->set(sizeof(Block), kUsed | kEnd, 0);
    give_back(block);
    return true;
}

/// Joins a block with its free neighbours, and puts it into its list.
void BlockHeap::give_back(Block* block) {
    uint32_t size = block->size();
    Block* const next = block->next();
    check_header(next);
    if (!next->is(kUsed)) {
        remove(next);
        size += next->size();
    }
    if (block->previous_size) {
        Block* const previous = block->previous();
        check_header(previous);
        if (!previous->is(kUsed)) {
            remove(previous);
            size += previous->size();
            block = previous;
        }
    }
    block->set(size, 0, 0);
    block->next()->set_previous(size);
    insert(block);
}

/// Cuts off what a used block does not need, if that is enough for a block.
void BlockHeap::split(Block* block, uint32_t size) {
    const uint32_t rest = block->size() - size;
    if (rest < kSmallest) return;
    block->set(size, kUsed, block->requested);
    Block* const tail = block->next();
    tail->previous_size = size;
    tail->set(rest, 0, 0);
    tail->next()->set_previous(rest);
    give_back(tail);
}

void* BlockHeap::hand_out(Block* block, uint32_t size, size_t bytes) {
    block->set(block->size(), kUsed, static_cast<uint32_t>(bytes));
    split(block, size);
    memset(block->payload() + bytes, kPattern, block->size() - sizeof(Block) - bytes);
    ++statistics_.blocks;
    statistics_.bytes += bytes;
    return block->payload();
}

void* BlockHeap::allocate_large(size_t bytes) {
    const uint32_t size = round_up(static_cast<uint32_t>(bytes + sizeof(Block)), 4096);
    auto* const block = static_cast<Block*>(source_.map(size));
    if (!block) return nullptr;
    block->previous_size = 0;
    statistics_.mapped_bytes += size;
    block->set(size, kUsed | kMapped, static_cast<uint32_t>(bytes));
    memset(block->payload() + bytes, kPattern, size - sizeof(Block) - bytes);
    ++statistics_.blocks;
    statistics_.bytes += bytes;
    return block->payload();
}

void* BlockHeap::allocate(size_t bytes) {
    if (bytes > INT32_MAX) return nullptr;
    if (bytes >= kLargeBytes) return allocate_large(bytes);
    uint32_t size = round_up(static_cast<uint32_t>(bytes + sizeof(Block)), kAlignment);
    if (size < kSmallest) size = kSmallest;
    Block* block = find(size);
    if (!block) {
        if (!extend(size)) return nullptr;
        block = find(size);
    }
    remove(block);
    return hand_out(block, size, bytes);
}

/// The block of an address that the program says it got from here.
BlockHeap::Block* BlockHeap::used_block(void* payload) {
    if (reinterpret_cast<uintptr_t>(payload) % kAlignment) source_.damaged("no block of the heap", payload);
    Block* const block = static_cast<Block*>(payload) - 1;
    if (block->check != block->seal()) source_.damaged("no block of the heap, or somebody wrote before its begin", payload);
    if (!block->is(kUsed)) source_.damaged("free already", payload);
    for (char* at = block->payload() + block->requested; at < block->begin() + block->size(); ++at) {
        if (static_cast<unsigned char>(*at) != kPattern) source_.damaged("written past its end", payload);
    }
    return block;
}

void BlockHeap::release(void* payload) {
    if (!payload) return;
    Block* const block = used_block(payload);
    --statistics_.blocks;
    statistics_.bytes -= block->requested;
    if (block->is(kMapped)) {
        statistics_.mapped_bytes -= block->size();
        source_.unmap(block, block->size());
    } else {
        give_back(block);
    }
}

/// In place where the block, alone or with a free block behind it, is large enough; else a new one.
void* BlockHeap::resize(void* payload, size_t bytes) {
    if (!payload) return allocate(bytes);
    if (bytes > INT32_MAX) return nullptr;
    Block* const block = used_block(payload);
    const uint32_t before = block->requested;
    if (!block->is(kMapped) && bytes < kLargeBytes) {
        uint32_t size = round_up(static_cast<uint32_t>(bytes + sizeof(Block)), kAlignment);
        if (size < kSmallest) size = kSmallest;
        Block* const next = block->next();
        check_header(next);
        if (size > block->size() && !next->is(kUsed) && block->size() + next->size() >= size) {
            remove(next);
            block->set(block->size() + next->size(), kUsed, before);
            block->next()->set_previous(block->size());
        }
        if (size <= block->size()) {
            --statistics_.blocks;
            statistics_.bytes -= before;
            return hand_out(block, size, bytes);
        }
    }
    void* const moved = allocate(bytes);
    if (!moved) return nullptr;
    memcpy(moved, payload, before < bytes ? before : bytes);
    release(payload);
    return moved;
}

bool BlockHeap::check() {
    if (!first_region_) return true;
    uint32_t previous = 0;
    bool previous_free = false;
    for (Block* block = first_region_;; block = block->next()) {
        check_header(block);
        if (block->previous_size != previous) source_.damaged("not where the block before it ends", block->payload());
        if (previous_free && !block->is(kUsed)) source_.damaged("free beside a free block", block->payload());
        if (block->is(kEnd)) return true;
        previous = block->size();
        previous_free = !block->is(kUsed);
    }
}
