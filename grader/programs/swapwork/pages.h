/// @file
/// Pages whose contents a key and their address decide: grader/labs/swap_programs.py computes the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "user/library.h"

inline constexpr size_t kMarks = 8;                          ///< Words of a page that are written, one in every 512 bytes.
inline constexpr size_t kWordsPerPage = kPageBytes / sizeof(uint32_t);
inline constexpr size_t kWordsPerMark = kWordsPerPage / kMarks;

/// Spreads every bit of `value` over all of the result.
constexpr uint32_t mix(uint32_t value) {
    value *= 0x9E37'79B1;
    value ^= value >> 15;
    value *= 0x85EB'CA77;
    return value ^ value >> 13;
}

/// So many pages in a row, visited in an order of their own: offset, offset + step, ... modulo their number, which has no common factor
/// with the step.
struct Pages {
    uint32_t begin, count;
    uint32_t step = 1, offset = 0;

    uint32_t index(uint32_t visit) const { return (offset + visit * step) % count; }
    uint32_t* at(uint32_t index) const { return reinterpret_cast<uint32_t*>(begin + index * kPageBytes); }
    uint32_t end() const { return begin + count * kPageBytes; }
};

/// Private memory at this place; ends the program with status 90 when it cannot be had.
void map_private(const Pages& pages);
/// Shared memory at this place; ends the program with status 91.
void map_shared(const Pages& pages);

void write_page(uint32_t* page, uint32_t key);
/// How many of the page's marks are not what `key` says.
uint32_t wrong_marks(const uint32_t* page, uint32_t key);

/// A word of the page that is no mark. The page is not looked at.
uint32_t* free_word(uint32_t* page);

/// Writes all pages, in their order.
void write_pages(const Pages& pages, uint32_t key);
uint32_t wrong_marks(const Pages& pages, uint32_t key);
