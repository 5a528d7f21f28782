/// @file
/// Lab 05-spaces: the reference. The contract is mm/space/areas.h.
///
/// Each area stands in a node, and each node in two structures at once: a list in order of addresses, for neighbours, and a balanced
/// search tree, to find an address in a few steps. (Linux kept its vm_area_structs so until 2022, NetBSD keeps its map entries so.)
///
///     list    [4,6) <-> [9,10) <-> [11,12) <-> [20,25)
///
///     tree           [9,10)
///                   .--^--.
///                [4,6)  [11,12)
///                            `--.
///                            [20,25)
///
/// The tree is an AVL tree (Adelson-Velsky and Landis, 1962): the heights of a node's two subtrees differ by one at most, and rotations see
/// to it. So it is never higher than 1.44 log2 of the number of nodes, whatever the order in which they come.
///
/// With the list at hand the tree is easy to change. A new node comes between two neighbours, and one of them has room for it: if the
/// left one has a right child, then the right one is the leftmost node below that child, and has no left one.
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
    Node* parent;
    Node* left;
    Node* right;
    int32_t height;  ///< Of the subtree; 1 for a leaf.
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
    node->area = area;
    return node;
}

void free_node(Node* node) { KASSERT("a node of ours can be freed", !slab::free(nodes, node).is_error()); }

// The tree

int32_t height(const Node* tree) { return tree ? tree->height : 0; }

void update_height(Node* node) {
    const int32_t left = height(node->left), right = height(node->right);
    node->height = 1 + (left < right ? right : left);
}

/// Lets `child` (or null) stand where `node` stands.
void put_in_place_of(Set* set, Node* node, Node* child) {
    Node* const parent = node->parent;
    (!parent ? set->root : parent->left == node ? parent->left : parent->right) = child;
    if (child) child->parent = parent;
}

void set_left(Node* node, Node* child) {
    node->left = child;
    if (child) child->parent = node;
}

void set_right(Node* node, Node* child) {
    node->right = child;
    if (child) child->parent = node;
}

///        node           up
///       .-^-.          .-^-.
///      up    C   ->   A   node
///     .^.                 .-^-.
///    A   B               B     C
Node* rotate_right(Set* set, Node* node) {
    Node* const up = node->left;
    put_in_place_of(set, node, up);
    set_left(node, up->right);
    set_right(up, node);
    update_height(node);
    update_height(up);
    return up;
}

Node* rotate_left(Set* set, Node* node) {
    Node* const up = node->right;
    put_in_place_of(set, node, up);
    set_right(node, up->left);
    set_left(up, node);
    update_height(node);
    update_height(up);
    return up;
}

/// One half of the subtree is higher than the other by two: rotates. @return the root now
Node* rebalance(Set* set, Node* node) {
    Node *const left = node->left, *const right = node->right;
    if (height(left) > height(right)) {
        if (height(left->left) < height(left->right)) rotate_left(set, left);
        return rotate_right(set, node);
    }
    if (height(right->right) < height(right->left)) rotate_right(set, right);
    return rotate_left(set, node);
}

/// A subtree below `node` has changed its height by one: goes up as far as that makes a difference.
void repair(Set* set, Node* node) {
    while (node) {
        const int32_t before = node->height, lean = height(node->left) - height(node->right);
        if (lean < -1 || lean > 1) node = rebalance(set, node);
        else update_height(node);
        if (node->height == before) return;
        node = node->parent;
    }
}

/// Puts a node into the tree that is in the list already.
void add_to_tree(Set* set, Node* node) {
    Node* const left = node->previous;
    Node* const parent = left && !left->right ? left : node->next;
    node->parent = parent;
    node->left = node->right = nullptr;
    node->height = 1;
    (!parent ? set->root : parent == left ? parent->right : parent->left) = node;
    repair(set, parent);
}

/// Takes a node out of the tree that is still in the list.
void take_from_tree(Set* set, Node* node) {
    if (!node->left || !node->right) {
        put_in_place_of(set, node, node->left ? node->left : node->right);
        return repair(set, node->parent);
    }
    Node* const heir = node->next; // the leftmost of the right half: it has no left child
    Node* const changed = heir->parent == node ? heir : heir->parent;
    if (changed != heir) {
        put_in_place_of(set, heir, heir->right);
        set_right(heir, node->right);
    }
    put_in_place_of(set, node, heir);
    set_left(heir, node->left);
    heir->height = node->height;
    repair(set, changed);
}

// Both structures

/// Puts a new node behind `previous`; null: in front of all.
void link(Set* set, Node* node, Node* previous) {
    Node* const next = previous ? previous->next : set->first;
    node->previous = previous;
    node->next = next;
    (previous ? previous->next : set->first) = node;
    (next ? next->previous : set->last) = node;
    add_to_tree(set, node);
    ++set->count;
}

/// Takes a node out, and ends it.
void unlink(Set* set, Node* node) {
    take_from_tree(set, node);
    (node->previous ? node->previous->next : set->first) = node->next;
    (node->next ? node->next->previous : set->last) = node->previous;
    --set->count;
    free_node(node);
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
    const uint32_t begin = range.begin.value(), end = range.end.value();
    if (begin == end) return Error::InvalidArgument;
    if (!is_aligned(begin | end, kPageSize)) return Error::Misaligned;
    if (end < begin || begin < kUserBegin || end > kUserEnd) return Error::OutOfRange;
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
    node->area = part(whole, {whole.range.begin, at});
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
        node->area = joined(node->area, next->area);
        unlink(set, next);
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
    if (joins_left) {
        previous->area = joined(previous->area, joins_right ? next->area : area);
        if (joins_right) unlink(set, next);
    } else if (joins_right) {
        next->area = joined(area, next->area);
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
        const Area cut = part(node->area, range);
        if (node->area.range.begin < range.begin) {
            node->area.range.end = range.begin;
        } else if (range.end < node->area.range.end) {
            node->area = part(node->area, {range.end, node->area.range.end});
        } else {
            unlink(set, node);
        }
        if (removed) removed(context, cut);
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

    /// Looks into the gaps that reach into the window, from above. @return whether number `wanted` was among the begins
    bool look(const Set* set) {
        const Node* above = lowest_above(set, VirtAddr((static_cast<uint32_t>(end_) << kPageShift) - 1));
        const Node* below = above ? above->previous : set->last;
        Page high = above ? page_of(above->area.range.begin) : kFarPages;
        for (; below && high > begin_; below = below->previous) {
            if (look_into_gap(page_of(below->area.range.end), high)) return true;
            high = page_of(below->area.range.begin);
        }
        return !below && look_into_gap(-kFarPages, high);
    }

    uint32_t passed() const { return passed_; }
    VirtAddr found() const { return VirtAddr(static_cast<uint32_t>(found_) << kPageShift); }

private:
    /// Between an area that ends at page `low` and one that begins at `high`.
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
    all.look(set);
    if (all.passed() == 0) return Error::OutOfMemory;
    Search one(placement, placement.random % all.passed());
    one.look(set);
    return one.found();
}

void for_each(const Set* set, Visit visit, void* context) {
    for (const Node* node = set->first; node; node = node->next) visit(context, node->area);
}

size_t count(const Set* set) { return set->count; }

} // namespace mm::areas
