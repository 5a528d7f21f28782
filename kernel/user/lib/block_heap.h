/// @file
/// The heap behind malloc(), without a call of the kernel: it runs on any computer that lends it memory.
///
///     region   | header | payload ... | header | payload ... | end |
///
/// Every block on the break has a header with its size and that of the block before it, so that both neighbours of a freed block are
/// found at once and two free neighbours never stay apart. Free blocks are in lists by size: list n has those of 2^(n+5) bytes and more.
/// A header carries a check word, and the bytes between what was asked for and the block's end a pattern: both are looked at when a
/// block is freed. Blocks of kLargeBytes and more are mapped on their own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "user/heap.h"

/// Where the memory comes from, and who hears of damage.
struct HeapSource {
    void* (*extend)(size_t bytes);              ///< More memory, at best right behind the last; null when there is none.
    void* (*map)(size_t bytes);                 ///< Pages, or null.
    void (*unmap)(void* begin, size_t bytes);
    void (*damaged)(const char* what, const void* block);  ///< Does not return.
};

class BlockHeap {
public:
    explicit constexpr BlockHeap(const HeapSource& source) : source_(source) {}

    void* allocate(size_t bytes);
    void* resize(void* payload, size_t bytes);
    void release(void* payload);
    bool check();
    const HeapStatistics& statistics() const { return statistics_; }

private:
    struct Block;
    struct FreeBlock;
    static constexpr size_t kLists = 16;
    static constexpr size_t kLargeBytes = 128 * 1024;
    static constexpr size_t kExtendBytes = 64 * 1024;

    Block* find(uint32_t size);
    bool extend(uint32_t size);
    void* allocate_large(size_t bytes);
    void* hand_out(Block* block, uint32_t size, size_t bytes);
    void give_back(Block* block);
    void insert(Block* block);
    void remove(Block* block);
    void split(Block* block, uint32_t size);
    void check_header(const Block* block);
    Block* used_block(void* payload);

    const HeapSource& source_;
    FreeBlock* lists_[kLists] = {};
    Block* first_region_ = nullptr;
    Block* end_ = nullptr;           ///< The end of the region that was extended last.
    HeapStatistics statistics_ = {};
};
