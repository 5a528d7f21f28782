/// @file
/// Lab 05-spaces: the reference. The contract is mm/space/areas.h.
///
/// Each area stands in a node, and each node in two structures at once: a list in order of addresses, for neighbours, and a balanced
/// search tree, to find an address in a few steps. (Linux kept its vm_area_structs so until 2022, NetBSD keeps its map entries so.)
///
///     list    [4,6) <-> [9,10) <-> [11,12) <-> [20,25)
///
///     tree           [9,10)                in each node, of its subtree: where its first area begins,
///                   .--^--.                where its last one ends, and the largest gap inside:
///                [4,6) [11,12)             8 pages at [11,12), 8 as well at [9,10), none at [4,6)
///                           `--.
///                           [20,25)
///
/// The tree is an AVL tree (Adelson-Velsky and Landis, 1962): the heights of two siblings differ by one at most, or rotations see to it. So
/// it is never higher than 1.44 log2 of the number of nodes, whatever the order in which they come.
///
/// place() has to look into every gap where a place may be. Where the largest gap of a whole subtree is too small, it does not enter.
///
/// Whatever may fail comes first: arguments, then memory. From then on nothing fails, so nothing is ever half done.
#include "mm/space/areas.h"

#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/paging/page_table.h"

namespace mm::areas {

namespace {

struct Node {
    Area area;

    // The list
    Node* previous;
    Node* next;

    // The tree
    Node* left;
    Node* right;
    int32_t height;        ///< Of the subtree; 1 for a leaf.
    AddressRange extent;   ///< Of the subtree: from its first area's begin to its last one's end.
    uint32_t largest_gap;  ///< Between two areas of the subtree, in bytes.
};

} // namespace

/// The areas of one address space.
struct Set {
    Node* root;
    Node* first;
    Node* last;
    size_t count;
};

namespace {

constinit slab::Cache* nodes = nullptr;  ///< Of all sets together; made with the first set.

Result<Node*> new_node(const Area& area) {
    Node* const node = static_cast<Node*>(TRY(slab::allocate(nodes)));
    *node = {};
    node->area = area;
    return node;
}

void free_node(Node* node) { KASSERT("a node of ours can be freed", !slab::free(nodes, node).is_error()); }

// The tree. Functions that change its shape return the root that the subtree has then.

int32_t height(const Node* tree) { return tree ? tree->height : 0; }

constexpr uint32_t larger(uint32_t a, uint32_t b) { return a < b ? b : a; }

uint32_t distance(VirtAddr from, VirtAddr to) { return to.value() - from.value(); }

/// Reckons what a node says of its subtree, from its children.
void update(Node* node) {
    const Node *const left = node->left, *const right = node->right;
    node->height = 1 + (height(left) < height(right) ? height(right) : height(left));
    node->extent = node->area.range;
    node->largest_gap = 0;
    if (left) {
        node->extent.begin = left->extent.begin;
        node->largest_gap = larger(left->largest_gap, distance(left->extent.end, node->area.range.begin));
    }
    if (right) {
        node->extent.end = right->extent.end;
        node->largest_gap = larger(node->largest_gap, larger(right->largest_gap, distance(node->area.range.end, right->extent.begin)));
    }
}

///        node           up
///       .-^-.          .-^-.
///      up    C   ->   A   node
///     .^.                 .-^-.
///    A   B               B     C
Node* rotate_right(Node* node) {
    Node* const up = node->left;
    node->left = up->right;
    up->right = node;
    update(node);
    update(up);
    return up;
}

Node* rotate_left(Node* node) {
    Node* const up = node->right;
    node->right = up->left;
    up->left = node;
    update(node);
    update(up);
    return up;
}

/// Makes a node right whose subtrees are right, and differ in height by two at most.
Node* balance(Node* node) {
    const int32_t lean = height(node->left) - height(node->right);
    if (lean > 1) {
        if (height(node->left->left) < height(node->left->right)) node->left = rotate_left(node->left);
        return rotate_right(node);
    }
    if (lean < -1) {
        if (height(node->right->right) < height(node->right->left)) node->right = rotate_right(node->right);
        return rotate_left(node);
    }
    update(node);
    return node;
}

/// Whether `node` stands to the left of the root of this subtree.
bool is_left_of(const Node* node, const Node* root) { return node->area.range.begin < root->area.range.begin; }

Node* add(Node* tree, Node* node) {
    if (!tree) {
        update(node);
        return node;
    }
    Node*& side = is_left_of(node, tree) ? tree->left : tree->right;
    side = add(side, node);
    return balance(tree);
}

Node* drop(Node* tree, Node* node) {
    if (tree != node) {
        Node*& side = is_left_of(node, tree) ? tree->left : tree->right;
        side = drop(side, node);
        return balance(tree);
    }
    if (!node->left) return node->right;
    if (!node->right) return node->left;
    Node* const heir = node->next; // the leftmost of the right subtree
    heir->right = drop(node->right, heir);
    heir->left = node->left;
    return balance(heir);
}

/// The range of `node` has changed, its place among the others has not.
void refresh(Node* tree, const Node* node) {
    if (tree != node) refresh(is_left_of(node, tree) ? tree->left : tree->right, node);
    update(tree);
}

// Both structures

/// Puts a new node behind `previous`; null: in front of all.
void link(Set* set, Node* node, Node* previous) {
    Node* const next = previous ? previous->next : set->first;
    node->previous = previous;
    node->next = next;
    (previous ? previous->next : set->first) = node;
    (next ? next->previous : set->last) = node;
    set->root = add(set->root, node);
    ++set->count;
}

/// Takes a node out, and ends it.
void unlink(Set* set, Node* node) {
    set->root = drop(set->root, node);
    (node->previous ? node->previous->next : set->first) = node->next;
    (node->next ? node->next->previous : set->last) = node->previous;
    --set->count;
    free_node(node);
}

/// Gives the node another area, at the same place among the others.
void change(Set* set, Node* node, const Area& area) {
    node->area = area;
    refresh(set->root, node);
}

/// The lowest area that ends above the address.
Node* lowest_above(const Set* set, VirtAddr address) {
    Node* best = nullptr;
    for (Node* at = set->root; at;) {
        if (address < at->area.range.end) {
            best = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return best;
}

// Areas

Result<void> check(AddressRange range) {
    if (range.begin == range.end) return Error::InvalidArgument;
    if (range.begin.page_offset() != 0 || range.end.page_offset() != 0) return Error::Misaligned;
    if (range.end < range.begin || range.begin.value() < kUserBegin || range.end.value() > kUserEnd) return Error::OutOfRange;
    return {};
}

/// The part of an area that lies in the range.
Area part(const Area& area, AddressRange range) {
    Area piece = area;
    if (piece.range.begin < range.begin) piece.range.begin = range.begin;
    if (range.end < piece.range.end) piece.range.end = range.end;
    if (area.object) piece.first_page += AddressRange{area.range.begin, piece.range.begin}.pages();
    return piece;
}

bool is_between(VirtAddr address, const Area& area) { return area.range.begin < address && address < area.range.end; }

/// The two as one, where the right one continues the left one.
Area joined(const Area& left, const Area& right) {
    Area both = left;
    both.range.end = right.range.end;
    return both;
}

/// Divides the node's area in two at `at`; the new node `upper` takes what lies above.
void divide(Set* set, Node* node, VirtAddr at, Node* upper) {
    const Area whole = node->area;
    change(set, node, part(whole, {whole.range.begin, at}));
    upper->area = part(whole, {at, whole.range.end});
    link(set, upper, node);
}

/// Merges what can be merged from the neighbour below the range to the one above it.
void merge(Set* set, AddressRange range) {
    Node* node = lowest_above(set, VirtAddr(range.begin.value() - 1));
    while (node && node->next && node->next->area.range.begin <= range.end) {
        Node* const next = node->next;
        if (!continues(node->area, next->area)) {
            node = next;
            continue;
        }
        const Area both = joined(node->area, next->area);
        unlink(set, next);
        change(set, node, both);
    }
}

/// The nodes of areas that cover a range without a hole.
struct Run {
    Node* first;
    Node* last;
};

Result<Run> covering(const Set* set, AddressRange range) {
    Run run{lowest_above(set, range.begin), nullptr};
    if (!run.first || range.begin < run.first->area.range.begin) return Error::NotMapped;
    for (run.last = run.first; run.last->area.range.end < range.end; run.last = run.last->next) {
        const Node* const next = run.last->next;
        if (!next || next->area.range.begin != run.last->area.range.end) return Error::NotMapped;
    }
    return run;
}

} // namespace

Result<Set*> create() {
    if (!nodes) nodes = TRY(slab::create({.name = "areas", .size = sizeof(Node), .alignment = alignof(Node)}));
    Set* const set = static_cast<Set*>(TRY(kmalloc(sizeof(Set))));
    *set = {};
    return set;
}

void destroy(Set* set) {
    for (Node* node = set->first; node;) {
        Node* const next = node->next;
        free_node(node);
        node = next;
    }
    KASSERT("a set of ours can be freed", !kfree(set).is_error());
}

Result<void> insert(Set* set, const Area& area) {
    TRY(check(area.range));
    Node* const next = lowest_above(set, area.range.begin);
    if (next && next->area.range.overlaps(area.range)) return Error::Exists;
    Node* const previous = next ? next->previous : set->last;
    const bool joins_left = previous && continues(previous->area, area);
    const bool joins_right = next && continues(area, next->area);
    if (joins_left && joins_right) {
        const Area all = joined(previous->area, next->area);
        unlink(set, next);
        change(set, previous, all);
    } else if (joins_left) {
        change(set, previous, joined(previous->area, area));
    } else if (joins_right) {
        change(set, next, joined(area, next->area));
    } else {
        link(set, TRY(new_node(area)), previous);
    }
    return {};
}

Result<void> remove(Set* set, AddressRange range, Visit removed, void* context) {
    TRY(check(range));
    Node* node = lowest_above(set, range.begin);
    const bool makes_a_hole = node && is_between(range.begin, node->area) && is_between(range.end, node->area);
    if (makes_a_hole) divide(set, node, range.end, TRY(new_node({})));
    while (node && node->area.range.begin < range.end) {
        Node* const next = node->next;
        const Area whole = node->area;
        if (whole.range.begin < range.begin) {
            change(set, node, part(whole, {whole.range.begin, range.begin}));
        } else if (range.end < whole.range.end) {
            change(set, node, part(whole, {range.end, whole.range.end}));
        } else {
            unlink(set, node);
        }
        if (removed) removed(context, part(whole, range));
        node = next;
    }
    return {};
}

Result<void> protect(Set* set, AddressRange range, Protection protection, Visit changed, void* context) {
    TRY(check(range));
    Run run = TRY(covering(set, range));
    Node* above_begin = nullptr;
    Node* above_end = nullptr;
    if (is_between(range.begin, run.first->area) && run.first->area.protection != protection) above_begin = TRY(new_node({}));
    if (is_between(range.end, run.last->area) && run.last->area.protection != protection) {
        const auto node = new_node({});
        if (node.is_error()) {
            if (above_begin) free_node(above_begin);
            return node.error();
        }
        above_end = node.value();
    }
    if (above_end) divide(set, run.last, range.end, above_end);
    if (above_begin) {
        divide(set, run.first, range.begin, above_begin);
        run.first = above_begin;
    }
    for (Node* node = run.first; node && node->area.range.begin < range.end; node = node->next) {
        if (node->area.protection == protection) continue;
        node->area.protection = protection;
        if (changed) changed(context, node->area);
    }
    merge(set, range);
    return {};
}

const Area* find(const Set* set, VirtAddr address) {
    const Node* const node = lowest_above(set, address);
    return node && node->area.range.contains(address) ? &node->area : nullptr;
}

const Area* find_from(const Set* set, VirtAddr address) {
    const Node* const node = lowest_above(set, address);
    return node ? &node->area : nullptr;
}

namespace {

/// Pages by number; signed, and beyond both ends of the address space, so that nothing wraps.
using Page = int32_t;
constexpr Page kFarPages = 1 << 21;

Page page_of(VirtAddr address) { return static_cast<Page>(address.value() >> kPageShift); }
Page bounded(size_t pages) { return static_cast<Page>(pages < kMaxFrames ? pages : kMaxFrames); }

/// Counts possible begins from the highest down, up to number `wanted`.
class Search {
public:
    Search(const Placement& it, uint32_t wanted)
        : pages_(bounded(it.pages)), guard_(bounded(it.guard_pages)), step_(static_cast<Page>(it.alignment >> kPageShift)),
          begin_(page_of(it.window.begin)), end_(page_of(it.window.end)), wanted_(wanted) {}

    /// Looks into all gaps of a subtree, and into those at its ends: it lies between an area that ends at page `low` and one that
    /// begins at `high`. @return whether number `wanted` was among the begins
    bool look(const Node* tree, Page low, Page high) {
        if (high <= begin_ || low >= end_) return false;
        if (!tree) return look_into_gap(low, high);
        const Page first = page_of(tree->extent.begin), end = page_of(tree->extent.end);
        if (static_cast<Page>(tree->largest_gap >> kPageShift) < pages_ && first - low < pages_ && high - end < pages_) return false;
        return look(tree->right, page_of(tree->area.range.end), high) || look(tree->left, low, page_of(tree->area.range.begin));
    }

    uint32_t passed() const { return passed_; }
    VirtAddr found() const { return VirtAddr(static_cast<uint32_t>(found_) << kPageShift); }

private:
    bool look_into_gap(Page low, Page high) {
        const Page lowest = low + guard_ > begin_ ? low + guard_ : begin_;
        const Page highest = ((high - guard_ < end_ ? high - guard_ : end_) - pages_) & ~(step_ - 1);
        if (highest < lowest) return false;
        const uint32_t places = static_cast<uint32_t>((highest - lowest) / step_) + 1;
        if (wanted_ - passed_ >= places) {
            passed_ += places;
            return false;
        }
        found_ = highest - static_cast<Page>(wanted_ - passed_) * step_;
        return true;
    }

    Page pages_, guard_, step_, begin_, end_;
    uint32_t wanted_;
    uint32_t passed_ = 0;
    Page found_ = 0;
};

Result<void> check(const Placement& it) {
    if (it.pages == 0 || it.window.begin == it.window.end) return Error::InvalidArgument;
    if (it.alignment < kPageSize || (it.alignment & (it.alignment - 1)) != 0) return Error::InvalidArgument;
    return check(it.window);
}

bool is_possible(const Set* set, const Placement& it) {
    const Page hint = page_of(it.hint), pages = bounded(it.pages), guard = bounded(it.guard_pages);
    if (!is_aligned(it.hint.value(), static_cast<uint32_t>(it.alignment))) return false;
    if (hint < page_of(it.window.begin) || hint + pages > page_of(it.window.end)) return false;
    const VirtAddr from(hint > guard ? static_cast<uint32_t>(hint - guard) << kPageShift : 0);
    const Area* const next = find_from(set, from);
    return !next || page_of(next->range.begin) >= hint + pages + guard;
}

} // namespace

Result<VirtAddr> place(const Set* set, const Placement& placement) {
    TRY(check(placement));
    if (is_possible(set, placement)) return placement.hint;
    Search all(placement, UINT32_MAX);
    all.look(set->root, -kFarPages, kFarPages);
    if (all.passed() == 0) return Error::OutOfMemory;
    Search one(placement, placement.random % all.passed());
    one.look(set->root, -kFarPages, kFarPages);
    return one.found();
}

void for_each(const Set* set, Visit visit, void* context) {
    for (const Node* node = set->first; node; node = node->next) visit(context, node->area);
}

size_t count(const Set* set) { return set->count; }

} // namespace mm::areas
