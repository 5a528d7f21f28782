#include "mm/paging/virtual_ranges.h"

#include <algorithm>

#include "lib/panic.h"
#include "mm/paging/range_records.h"

namespace mm {

uint32_t VirtualRanges::gap_before(const Range* range) const {
    const VirtAddr from = range->previous_ ? range->previous_->end() : begin_;
    return range->begin.value() - from.value();
}

uint32_t VirtualRanges::largest_gap(const Range* range) const { return range ? range->largest_gap_ : 0; }

void VirtualRanges::refresh(Range* range) {
    range->largest_gap_ = std::max({gap_before(range), largest_gap(range->left_), largest_gap(range->right_)});
}

void VirtualRanges::refresh_upwards(Range* range) {
    for (; range; range = range->parent_) refresh(range);
}

/// Where the tree points to `range`.
VirtualRange*& VirtualRanges::place_of(Range* range) {
    if (!range->parent_) return root_;
    return range->parent_->left_ == range ? range->parent_->left_ : range->parent_->right_;
}

/// Swaps `range` with its parent; what lies between the two by address changes sides:
///
///          parent            range
///          /    \            /   \.
///      range     c    <->   a    parent
///      /   \                     /    \.
///     a     b                   b      c
///
/// The sum of `range` is for the caller to refresh, when it has come to rest.
void VirtualRanges::rotate_up(Range* range) {
    Range* const parent = range->parent_;
    const bool was_left = parent->left_ == range;
    Range*& between = was_left ? range->right_ : range->left_;
    place_of(parent) = range;
    range->parent_ = parent->parent_;
    parent->parent_ = range;
    (was_left ? parent->left_ : parent->right_) = between;
    if (between) between->parent_ = parent;
    between = parent;
    refresh(parent);
}

/// The range before which the lowest gap of this size lies. The tree's sums say whether to look further left.
VirtualRange* VirtualRanges::behind_lowest_gap(uint32_t bytes) {
    if (root_->largest_gap_ < bytes) return nullptr;
    Range* range = root_;
    for (;;) {
        if (largest_gap(range->left_) >= bytes)
            range = range->left_;
        else if (gap_before(range) >= bytes)
            return range;
        else
            range = range->right_;
    }
}

/// Puts `range` right before `next`, first as a leaf, then as high as its priority says.
void VirtualRanges::insert(Range* range, Range* next) {
    Range* const previous = next->previous_;
    range->next_ = next;
    range->previous_ = previous;
    next->previous_ = range;
    (previous ? previous->next_ : first_) = range;

    Range* const parent = next->left_ ? previous : next; // two neighbours: the upper one has nothing on the lower one's side
    (parent == next ? parent->left_ : parent->right_) = range;
    range->parent_ = parent;
    while (range->parent_->priority_ < range->priority_) rotate_up(range); // never above the root, whose priority is the highest
    refresh_upwards(next->left_ ? range : next); // of the two neighbours the lower one: the way up leads past the other
}

/// Lets `range` sink until it is a leaf, and cuts it off. Both neighbours of a leaf lie above it, so one way up finds all that
/// has changed.
void VirtualRanges::remove(Range* range) {
    while (range->left_ || range->right_) {
        Range* const left = range->left_;
        Range* const right = range->right_;
        rotate_up(!right || (left && left->priority_ > right->priority_) ? left : right);
    }
    place_of(range) = nullptr;
    range->next_->previous_ = range->previous_;
    (range->previous_ ? range->previous_->next_ : first_) = range->next_;
    refresh_upwards(range->parent_);
}

Result<VirtualRange*> VirtualRanges::take(size_t pages) {
    if (pages >= (end_.begin.value() - begin_.value()) / kPageSize) return Error::OutOfMemory; // and the sum below cannot wrap
    // The record first: when frames are short, getting one has other ranges given back.
    Range* const range = TRY(range_records::take());
    Range* const next = behind_lowest_gap((pages + 1) * kPageSize);
    if (!next) {
        range_records::give_back(range);
        return Error::OutOfMemory;
    }
    random_ ^= random_ << 13; // Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8, 2003
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;
    range->priority_ = random_;
    range->begin = next->previous_ ? next->previous_->end() : begin_;
    range->pages = pages;
    insert(range, next);
    return range;
}

void VirtualRanges::give_back(Range* range) {
    remove(range);
    range_records::give_back(range);
}

VirtualRange* VirtualRanges::find(VirtAddr address) {
    for (Range* range = root_; range; range = address < range->begin ? range->left_ : range->right_) {
        if (range != &end_ && range->begin <= address && address < range->end()) return range;
    }
    return nullptr;
}

/// @return ranges in this part of the tree
size_t VirtualRanges::check_subtree(Range* range) {
    if (!range) return 0;
    const uint32_t gap = range->largest_gap_;
    refresh(range);
    KASSERT("each node of the tree knows the largest gap below it", gap == range->largest_gap_);
    for (Range* const child : {range->left_, range->right_}) {
        if (!child) continue;
        KASSERT("a child knows its parent", child->parent_ == range);
        KASSERT("the tree is a heap by priority", child->priority_ <= range->priority_);
        KASSERT("the tree is sorted by address", (child == range->left_) == (child->begin < range->begin));
    }
    return 1 + check_subtree(range->left_) + check_subtree(range->right_);
}

void VirtualRanges::check_invariants() {
    size_t count = 0;
    VirtAddr end = begin_;
    const Range* previous = nullptr;
    for (const Range* range = first_; range; range = range->next_, ++count) {
        KASSERT("neighbours in the list know each other", range->previous_ == previous);
        KASSERT("ranges are sorted by address and do not overlap", end <= range->begin);
        if (range != &end_) end = range->end();
        previous = range;
    }
    KASSERT("the list ends at the window's end", previous == &end_ && end <= end_.begin);
    KASSERT("list and tree have the same ranges", check_subtree(root_) == count);
}

} // namespace mm
