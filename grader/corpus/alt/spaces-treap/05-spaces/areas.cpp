// A treap (Seidel and Aragon, "Randomized Search Trees", Algorithmica 16, 1996): a search tree by address and a heap by priority,
// which is a hash of the node's number. Everything is done with two operations:
//
//     split(tree, address)   what ends at or below the address | what ends above it
//     join(lower, upper)     the two in one tree again
//
// A change takes the range out of the tree, works on it, and puts it back. Who watches is told when all is done. insert() takes a
// node first and looks for neighbours afterwards: the new area swallows those that it continues.
#include "mm/space/areas.h"

#include "lib/panic.h"
#include "mm/heap/slab.h"
#include "mm/paging/page_table.h"

namespace mm::areas {

namespace {

struct Node {
    Area area;
    Node* left;
    Node* right;
    uint32_t priority;
    bool touched; // by the last protect() that it lay in
};

} // namespace

// Each set has a cache of its own, so that nothing need be known when it is destroyed but where its objects are.
struct Set {
    Node* root;
    slab::Cache* nodes;
    size_t count;
    uint32_t number;
};

namespace {

constinit slab::Cache* sets = nullptr; // made with the first set, and kept

void must(Result<void> result) { KASSERT("memory of the treap goes back where it came from", !result.is_error()); }

// -- The treap

void split(Node* tree, VirtAddr address, Node*& lower, Node*& upper) {
    Node** low = &lower;
    Node** high = &upper;
    while (tree) {
        if (tree->area.range.end <= address) {
            *low = tree;
            low = &tree->right;
            tree = tree->right;
        } else {
            *high = tree;
            high = &tree->left;
            tree = tree->left;
        }
    }
    *low = *high = nullptr;
}

Node* join(Node* lower, Node* upper) {
    Node* result = nullptr;
    Node** at = &result;
    while (lower && upper) {
        if (lower->priority > upper->priority) {
            *at = lower;
            at = &lower->right;
            lower = lower->right;
        } else {
            *at = upper;
            at = &upper->left;
            upper = upper->left;
        }
    }
    *at = lower ? lower : upper;
    return result;
}

Node* join(Node* low, Node* middle, Node* high) { return join(join(low, middle), high); }

Node* pop_first(Node*& tree) {
    Node** at = &tree;
    while (*at && (*at)->left) at = &(*at)->left;
    Node* const node = *at;
    if (node) {
        *at = node->right;
        node->right = nullptr;
    }
    return node;
}

Node* pop_last(Node*& tree) {
    Node** at = &tree;
    while (*at && (*at)->right) at = &(*at)->right;
    Node* const node = *at;
    if (node) {
        *at = node->left;
        node->left = nullptr;
    }
    return node;
}

const Node* first_of(const Node* tree) {
    while (tree && tree->left) tree = tree->left;
    return tree;
}

/// In order, until `work` returns false.
template <typename Work>
bool walk(Node* tree, Work work) {
    return !tree || (walk(tree->left, work) && work(*tree) && walk(tree->right, work));
}

Result<Node*> make_node(Set& set, const Area& area) {
    Node* const node = static_cast<Node*>(TRY(slab::allocate(set.nodes)));
    uint32_t hash = ++set.number * 2654435769u;
    hash ^= hash >> 15;
    hash *= 2246822519u;
    hash ^= hash >> 13;
    *node = {area, nullptr, nullptr, hash, false};
    ++set.count;
    return node;
}

void drop(Set& set, Node* node) {
    --set.count;
    must(slab::free(set.nodes, node));
}

/// Whose nodes are counted no more.
void free_tree(Set& set, Node* tree) {
    if (!tree) return;
    free_tree(set, tree->left);
    free_tree(set, tree->right);
    must(slab::free(set.nodes, tree));
}

size_t nodes_in(const Node* tree) { return tree ? nodes_in(tree->left) + 1 + nodes_in(tree->right) : 0; }

// -- Areas

Error problem_of(AddressRange range) {
    if (range.begin == range.end) return Error::InvalidArgument;
    if (range.end < range.begin || range.begin < VirtAddr(kUserBegin) || VirtAddr(kUserEnd) < range.end) return Error::OutOfRange;
    return range.begin.page_offset() || range.end.page_offset() ? Error::Misaligned : Error::None;
}

Area from(Area area, VirtAddr begin) {
    if (area.object) area.first_page += static_cast<uint32_t>(AddressRange{area.range.begin, begin}.pages());
    area.range.begin = begin;
    return area;
}

Area up_to(Area area, VirtAddr end) {
    area.range.end = end;
    return area;
}

/// Puts the areas of `tree` back between `low` and `high`, joined where they continue each other up to `end`.
Node* put_back(Set& set, Node* low, Node* tree, VirtAddr end) {
    Node* current = pop_first(tree);
    while (current) {
        const Node* const next = first_of(tree);
        if (!next || next->area.range.begin > end) break;
        Node* const node = pop_first(tree);
        if (continues(current->area, node->area)) {
            current->area.range.end = node->area.range.end;
            drop(set, node);
        } else {
            low = join(low, current);
            current = node;
        }
    }
    return join(low, current, tree);
}

const Node* search(const Set* set, VirtAddr address) {
    const Node* found = nullptr;
    for (const Node* node = set->root; node;) {
        if (address < node->area.range.end) {
            found = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return found;
}

} // namespace

Result<Set*> create() {
    if (!sets) sets = TRY(slab::create({.name = "area sets", .size = sizeof(Set)}));
    Set* const set = static_cast<Set*>(TRY(slab::allocate(sets)));
    const auto nodes = slab::create({.name = "areas", .size = sizeof(Node)});
    if (nodes.is_error()) {
        must(slab::free(sets, set));
        return nodes.error();
    }
    *set = {nullptr, nodes.value(), 0, 0};
    return set;
}

void destroy(Set* set) {
    free_tree(*set, set->root);
    must(slab::destroy(set->nodes));
    must(slab::free(sets, set));
}

Result<void> insert(Set* set, const Area& area) {
    if (const Error problem = problem_of(area.range); problem != Error::None) return problem;
    if (const Node* const above = search(set, area.range.begin); above && above->area.range.begin < area.range.end)
        return Error::Exists;
    Node* const node = TRY(make_node(*set, area));
    Node *low, *high;
    split(set->root, area.range.begin, low, high);
    Node* const lower = pop_last(low);
    if (lower && continues(lower->area, node->area)) {
        node->area.range.begin = lower->area.range.begin;
        node->area.first_page = lower->area.first_page;
        drop(*set, lower);
    } else {
        low = join(low, lower);
    }
    Node* const upper = pop_first(high);
    if (upper && continues(node->area, upper->area)) {
        node->area.range.end = upper->area.range.end;
        drop(*set, upper);
    } else {
        high = join(upper, high);
    }
    set->root = join(low, node, high);
    return {};
}

Result<void> remove(Set* set, AddressRange range, Visit removed, void* context) {
    if (const Error problem = problem_of(range); problem != Error::None) return problem;
    const Node* const begins_in = search(set, range.begin);
    Node* tail = nullptr;
    if (begins_in && begins_in->area.range.begin < range.begin && range.end < begins_in->area.range.end)
        tail = TRY(make_node(*set, from(begins_in->area, range.end)));

    Node *low, *out, *high;
    split(set->root, range.begin, low, high);
    Area first{}, last{};
    if (Node* const node = pop_first(high); node && node->area.range.begin < range.begin) {
        first = from(tail ? up_to(node->area, range.end) : node->area, range.begin);
        node->area.range.end = range.begin;
        low = join(low, node);
        high = join(tail, high);
    } else {
        high = join(node, high);
    }
    split(high, range.end, out, high);
    if (Node* const node = pop_first(high); node) {
        if (node->area.range.begin < range.end) {
            last = up_to(node->area, range.end);
            node->area = from(node->area, range.end);
        }
        high = join(node, high);
    }
    set->root = join(low, high);
    set->count -= nodes_in(out);

    if (removed) {
        if (first.range.end != VirtAddr()) removed(context, first);
        walk(out, [=](const Node& node) { removed(context, node.area); return true; });
        if (last.range.end != VirtAddr()) removed(context, last);
    }
    free_tree(*set, out);
    return {};
}

namespace {

/// Cuts the area that holds `address` within; `upper` is the node for its upper part, or null when no cut is needed.
void cut(Set& set, VirtAddr address, Node* upper) {
    if (!upper) return;
    Node *low, *high;
    split(set.root, address, low, high);
    Node* const node = pop_first(high);
    upper->area = from(node->area, address);
    node->area.range.end = address;
    set.root = join(join(low, node), join(upper, high));
}

/// A node for the upper part, if there is to be another protection on one side of `address` only.
Result<Node*> node_for_cut(Set& set, VirtAddr address, Protection protection) {
    const Node* const node = search(&set, address);
    if (!node || node->area.range.begin >= address || node->area.protection == protection) return nullptr;
    return make_node(set, {});
}

bool covers(const Set& set, AddressRange range) {
    VirtAddr covered = range.begin;
    while (covered < range.end) {
        const Node* const node = search(&set, covered);
        if (!node || node->area.range.begin > covered) return false;
        covered = node->area.range.end;
    }
    return true;
}

} // namespace

Result<void> protect(Set* set, AddressRange range, Protection protection, Visit changed, void* context) {
    if (const Error problem = problem_of(range); problem != Error::None) return problem;
    if (!covers(*set, range)) return Error::NotMapped;
    Node* const at_begin = TRY(node_for_cut(*set, range.begin, protection));
    const auto at_end = node_for_cut(*set, range.end, protection);
    if (at_end.is_error()) {
        if (at_begin) drop(*set, at_begin);
        return at_end.error();
    }
    cut(*set, range.begin, at_begin);
    cut(*set, range.end, at_end.value());

    Node *low, *middle, *high;
    split(set->root, range.begin, low, middle);
    split(middle, range.end, middle, high);
    walk(middle, [=](Node& node) {
        node.touched = node.area.protection != protection;
        node.area.protection = protection;
        return true;
    });
    set->root = join(low, middle, high);
    // An area that reaches out of the range was not cut: it has this protection already.
    const Node* node = search(set, range.begin);
    for (; changed && node && node->area.range.end <= range.end; node = search(set, node->area.range.end))
        if (node->touched) changed(context, node->area);

    split(set->root, VirtAddr(range.begin.value() - 1), low, high); // the area that ends at the range's begin is above
    set->root = put_back(*set, low, high, range.end);
    return {};
}

const Area* find_from(const Set* set, VirtAddr address) {
    const Node* const node = search(set, address);
    return node ? &node->area : nullptr;
}

const Area* find(const Set* set, VirtAddr address) {
    const Node* const node = search(set, address);
    return node && node->area.range.contains(address) ? &node->area : nullptr;
}

// -- Placement: in multiples of the alignment, with numbers that cannot overflow

namespace {

struct Search {
    const Placement& wish;
    uint64_t low;         // no begin below this, in bytes
    uint32_t found = 0;   // how many begins so far
    uint32_t wanted = 0;  // the number of the one that is looked for, from below
    uint64_t begin = 0;   // it, when there were more than `wanted`

    /// The gap from `low` to `high` (both in bytes, guard pages not in it). Returns whether to go on.
    bool gap(uint64_t high) {
        const uint64_t bytes = uint64_t{wish.pages} * kPageSize;
        if (high > wish.window.end.value()) high = wish.window.end.value();
        if (high < bytes) return true;
        const uint64_t lowest = (low + wish.alignment - 1) / wish.alignment, highest = (high - bytes) / wish.alignment;
        if (highest < lowest) return true;
        const uint32_t here = static_cast<uint32_t>(highest - lowest + 1);
        if (wanted - found < here && begin == 0) begin = (lowest + (wanted - found)) * wish.alignment;
        found += here;
        return true;
    }
};

/// Counts the possible begins, and finds number `wanted` of them.
Search search_places(const Set* set, const Placement& wish, uint32_t wanted) {
    Search search{wish, wish.window.begin.value()};
    search.wanted = wanted;
    const uint64_t guard = uint64_t{wish.guard_pages} * kPageSize;
    const bool to_the_end = walk(set->root, [&](const Node& node) {
        const uint64_t begin = node.area.range.begin.value(), above = node.area.range.end.value() + guard;
        if (begin > guard && begin - guard > search.low) search.gap(begin - guard);
        if (above > search.low) search.low = above;
        return search.low < wish.window.end.value();
    });
    if (to_the_end) search.gap(uint64_t{1} << 32);
    return search;
}

bool is_free(const Set* set, const Placement& wish, uint64_t begin) {
    const uint64_t guard = uint64_t{wish.guard_pages} * kPageSize, end = begin + uint64_t{wish.pages} * kPageSize;
    if (begin % wish.alignment != 0 || begin < wish.window.begin.value() || end > wish.window.end.value()) return false;
    const Node* const node = search(set, VirtAddr(begin > guard ? static_cast<uint32_t>(begin - guard) : 0));
    return !node || node->area.range.begin.value() >= end + guard;
}

} // namespace

Result<VirtAddr> place(const Set* set, const Placement& wish) {
    if (const Error problem = problem_of(wish.window); problem != Error::None) return problem;
    const size_t alignment = wish.alignment;
    if (wish.pages == 0 || alignment < kPageSize || (alignment & (alignment - 1)) != 0) return Error::InvalidArgument;
    if (wish.hint.value() != 0 && is_free(set, wish, wish.hint.value())) return wish.hint;
    const uint32_t places = search_places(set, wish, ~0u).found;
    if (places == 0) return Error::OutOfMemory;
    return VirtAddr(static_cast<uint32_t>(search_places(set, wish, places - 1 - wish.random % places).begin));
}

void for_each(const Set* set, Visit visit, void* context) {
    walk(set->root, [=](const Node& node) { visit(context, node.area); return true; });
}

size_t count(const Set* set) { return set->count; }

} // namespace mm::areas
