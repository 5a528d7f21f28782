/// @file
/// Who has which addresses of a window of the kernel's: vmalloc and mmio hand out ranges of pages from here.
///
/// The ranges lie in a list by address, and over it in a search tree, in which each node also knows the largest gap below it:
///
///                       [ C ]  largest gap before a range of this subtree: 9 pages
///                      /     \.
///            [ A ] 2          [ E ] 9         list:  A <-> C <-> E <-> end
///
/// A gap belongs to the range behind it; a range without pages at the window's end owns the last gap. So the lowest gap that is
/// large enough (first fit) is found on one way down, and giving a range back only lets the gap of the next one grow. The lowest,
/// because page tables of the shared range stay for ever: addresses that are used again need no new ones.
///
/// The tree is a treap (Seidel and Aragon, "Randomized Search Trees", Algorithmica 16, 1996): by address from left to right, by a
/// random number from top to bottom, which keeps it about as deep as the logarithm of the number of ranges.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "lib/call_site.h"
#include "lib/result.h"

namespace mm {

/// A range of pages that somebody has, followed by its guard page, which nobody ever maps.
struct VirtualRange {
    VirtAddr begin;
    size_t pages = 0;                           ///< Without the guard page.
    uint32_t note[2] = {};                      ///< The owner's own words, 0 at first.
    VirtualRange* link = nullptr;               ///< The owner's own, null at first.
    [[no_unique_address]] CallSite allocated;   ///< The owner's own.

    /// One past the guard page.
    VirtAddr end() const { return begin + (pages + 1) * kPageSize; }
    bool contains(VirtAddr address) const { return begin <= address && address < begin + pages * kPageSize; }
    bool has_guard(VirtAddr address) const { return begin + pages * kPageSize <= address && address < end(); }

private:
    friend class VirtualRanges;
    VirtualRange* previous_ = nullptr;
    VirtualRange* next_ = nullptr;
    VirtualRange* parent_ = nullptr;
    VirtualRange* left_ = nullptr;
    VirtualRange* right_ = nullptr;
    uint32_t priority_ = 0;      ///< No smaller than those of both children.
    uint32_t largest_gap_ = 0;   ///< Bytes: of the gaps before this range and all below it in the tree.
};

/// One window of addresses. Its records come from whole frames (range_records.h), never from the heap, which is a floor above.
class VirtualRanges {
public:
    /// Addresses in [begin, end), whole pages. The first page is never handed out: it guards the first range from below.
    constexpr VirtualRanges(uint32_t begin, uint32_t end) : begin_(begin + kPageSize) {
        end_.begin = VirtAddr(end);
        end_.largest_gap_ = end - begin_.value();
        end_.priority_ = UINT32_MAX;
    }
    VirtualRanges(const VirtualRanges&) = delete;
    VirtualRanges& operator=(const VirtualRanges&) = delete;

    /// The lowest `pages` pages that are free together with a guard page behind them.
    /// @return Error::OutOfMemory when there is no such gap, or no frame for its record
    Result<VirtualRange*> take(size_t pages);

    /// Ends a range. Its pages are unmapped, and no TLB knows them.
    void give_back(VirtualRange* range);

    /// The range that `address` lies in, its guard page included, or nullptr.
    VirtualRange* find(VirtAddr address);

    /// The range with the lowest address, or nullptr; the one behind `range`, or nullptr.
    VirtualRange* first() { return real(first_); }
    VirtualRange* next(const VirtualRange* range) { return real(range->next_); }

    /// Walks list and tree; panics, with the sentence that does not hold. For tests.
    void check_invariants();

private:
    using Range = VirtualRange;
    size_t check_subtree(Range* range);
    Range* real(Range* range) { return range == &end_ ? nullptr : range; }
    uint32_t gap_before(const Range* range) const;
    uint32_t largest_gap(const Range* range) const;
    void refresh(Range* range);
    void refresh_upwards(Range* range);
    Range*& place_of(Range* range);
    void rotate_up(Range* range);
    Range* behind_lowest_gap(uint32_t bytes);
    void insert(Range* range, Range* next);
    void remove(Range* range);

    VirtAddr begin_;
    Range end_;              ///< Not a range: stands at the window's end, owns the gap before it, is the root at first.
    Range* root_ = &end_;
    Range* first_ = &end_;
    uint32_t random_ = 1;    ///< Where the priorities come from.
};

} // namespace mm
