/// @file
/// malloc() and its family: small blocks from the break, large ones mapped on their own. What a program does wrong with a block is found
/// when the block or its neighbour is freed: the program says so and ends with status 134.
#pragma once

#include <cstddef>
#include <cstdint>

/// Memory of at least `bytes` bytes, aligned to 16. 0 bytes are a block, too. @return null when there is none
[[nodiscard, gnu::malloc]] void* malloc(size_t bytes);
/// Zeroed memory for an array. @return null when there is none, or the product does not fit
[[nodiscard, gnu::malloc]] void* calloc(size_t count, size_t bytes);
/// Another size for a block; it may move. Null is malloc(). @return null when there is no memory; the block stays as it is then
[[nodiscard]] void* realloc(void* block, size_t bytes);
/// Gives a block back; null is fine.
void free(void* block);

/// Figures of the heap.
struct HeapStatistics {
    size_t blocks;          ///< In use.
    size_t bytes;           ///< Asked for, in these.
    size_t break_bytes;     ///< Taken from the break.
    size_t mapped_bytes;    ///< In large blocks, whole pages.
};
HeapStatistics heap_statistics();

/// Walks through all blocks on the break and checks them. @return false never: what is wrong ends the program
bool check_heap();
