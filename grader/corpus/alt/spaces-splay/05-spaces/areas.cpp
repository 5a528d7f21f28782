// A splay tree (Sleator and Tarjan, "Self-Adjusting Binary Search Trees", JACM 32(3), 1985) over a list in order of addresses.
// What was looked for last is at the root, so that the next question, which is often about the same area, is answered at once. Also
// find() turns the tree; the areas themselves and the list stay where they are. A single question may take long, many together do
// not.
//
// Up to two nodes that are not needed any more stay with the set: cutting an area in two takes them before it asks the heap.
#include "mm/space/areas.h"

#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/paging/page_table.h"

namespace mm::areas {

namespace {

struct Node {
    Area area;
    Node* left;
    Node* right;
    Node* previous; // by address, also through the set's ends; a spare node's `next` is the next spare one
    Node* next;
};

constexpr unsigned kSpares = 2;

} // namespace

struct Set {
    mutable Node* root;
    Node* first;
    Node* last;
    Node* spare;
    unsigned spares;
    size_t count;
};

namespace {

// -- The tree

/// Top-down: the node where the search for the first end above `address` leaves the tree comes to the root.
Node* splay(Node* tree, VirtAddr address) {
    if (!tree) return nullptr;
    Node sides{}; // its right subtree collects what lies below, its left one what lies above
    Node* below = &sides;
    Node* above = &sides;
    for (;;) {
        if (address < tree->area.range.end) {
            Node* child = tree->left;
            if (!child) break;
            if (address < child->area.range.end) { // the same way twice: turn first
                tree->left = child->right;
                child->right = tree;
                tree = child;
                child = tree->left;
                if (!child) break;
            }
            above->left = tree;
            above = tree;
            tree = child;
        } else {
            Node* child = tree->right;
            if (!child) break;
            if (child->area.range.end <= address) {
                tree->right = child->left;
                child->left = tree;
                tree = child;
                child = tree->right;
                if (!child) break;
            }
            below->right = tree;
            below = tree;
            tree = child;
        }
    }
    below->right = tree->left;
    above->left = tree->right;
    tree->left = sides.right;
    tree->right = sides.left;
    return tree;
}

/// The first node that ends above `address`.
Node* seek(const Set& set, VirtAddr address) {
    set.root = splay(set.root, address);
    if (!set.root) return nullptr;
    return address < set.root->area.range.end ? set.root : set.root->next;
}

// -- Nodes

Result<Node*> get_node(Set& set) {
    if (Node* const node = set.spare) {
        set.spare = node->next;
        --set.spares;
        return node;
    }
    return static_cast<Node*>(TRY(kmalloc(sizeof(Node))));
}

void free_memory(void* memory) {
    const auto freed = kfree(memory);
    KASSERT("the tree's memory can be freed", !freed.is_error());
}

void put_node(Set& set, Node* node) {
    if (set.spares == kSpares) return free_memory(node);
    node->next = set.spare;
    set.spare = node;
    ++set.spares;
}

/// Puts `node` into tree and list, behind `previous` (null: first).
void link(Set& set, Node* node, const Area& area, Node* previous) {
    node->area = area;
    node->previous = previous;
    node->next = previous ? previous->next : set.first;
    (previous ? previous->next : set.first) = node;
    (node->next ? node->next->previous : set.last) = node;

    Node* const root = splay(set.root, area.range.begin);
    node->left = node->right = nullptr;
    if (root && root->area.range.end <= area.range.begin) {
        node->left = root;
        node->right = root->right;
        root->right = nullptr;
    } else if (root) {
        node->right = root;
        node->left = root->left;
        root->left = nullptr;
    }
    set.root = node;
    ++set.count;
}

void unlink(Set& set, Node* node) {
    Node* root = splay(set.root, node->area.range.begin);
    if (root == node) {
        root = splay(node->left, node->area.range.begin); // its last
        if (root) root->right = node->right;
        else root = node->right;
    } else { // the one before it: the node is the first to its right
        Node* const right = splay(root->right, node->area.range.begin);
        KASSERT("a node follows the one before it", right == node);
        root->right = node->right;
    }
    set.root = root;
    (node->previous ? node->previous->next : set.first) = node->next;
    (node->next ? node->next->previous : set.last) = node->previous;
    --set.count;
    put_node(set, node);
}

// -- Ranges

Error examine(AddressRange range) {
    if (!is_aligned(range.begin.value(), kPageSize) || !is_aligned(range.end.value(), kPageSize)) return Error::Misaligned;
    if (range.begin == range.end) return Error::InvalidArgument;
    const bool inside = range.begin >= VirtAddr(kUserBegin) && range.end <= VirtAddr(kUserEnd);
    return inside && range.begin < range.end ? Error::None : Error::OutOfRange;
}

Area clip(const Area& area, AddressRange range) {
    Area result = area;
    if (range.end < area.range.end) result.range.end = range.end;
    if (area.range.begin < range.begin) {
        result.range.begin = range.begin;
        if (area.object) result.first_page += static_cast<uint32_t>(AddressRange{area.range.begin, range.begin}.pages());
    }
    return result;
}

AddressRange everything_from(VirtAddr begin) { return {begin, VirtAddr(kUserEnd)}; }

/// Cuts `node` in two at `address`, which lies within. The lower part stays in `node`.
void cut(Set& set, Node* node, VirtAddr address, Node* fresh) {
    const Area upper = clip(node->area, everything_from(address));
    node->area.range.end = address;
    link(set, fresh, upper, node);
}

/// Joins `node` with the next one if that continues it.
bool swallow_next(Set& set, Node* node) {
    Node* const next = node->next;
    if (!next || !continues(node->area, next->area)) return false;
    const VirtAddr end = next->area.range.end;
    unlink(set, next);
    node->area.range.end = end;
    return true;
}

} // namespace

Result<Set*> create() {
    Set* const set = static_cast<Set*>(TRY(kmalloc(sizeof(Set))));
    *set = {};
    return set;
}

void destroy(Set* set) {
    while (Node* const node = set->first) {
        set->first = node->next;
        free_memory(node);
    }
    while (Node* const node = set->spare) {
        set->spare = node->next;
        free_memory(node);
    }
    free_memory(set);
}

Result<void> insert(Set* set, const Area& area) {
    if (const Error error = examine(area.range); error != Error::None) return error;
    Node* const above = seek(*set, area.range.begin);
    if (above && above->area.range.begin < area.range.end) return Error::Exists;
    Node* const below = above ? above->previous : set->last;
    if (below && continues(below->area, area)) {
        below->area.range.end = area.range.end;
        swallow_next(*set, below);
    } else if (above && continues(area, above->area)) {
        above->area.range.begin = area.range.begin;
        above->area.first_page = area.first_page;
    } else {
        link(*set, TRY(get_node(*set)), area, below);
    }
    return {};
}

Result<void> remove(Set* set, AddressRange range, Visit removed, void* context) {
    if (const Error error = examine(range); error != Error::None) return error;
    Node* node = seek(*set, range.begin);
    const bool in_two = node && node->area.range.begin < range.begin && range.end < node->area.range.end;
    Node* const fresh = in_two ? TRY(get_node(*set)) : nullptr;
    for (const Node* part = node; removed && part && part->area.range.begin < range.end; part = part->next)
        removed(context, clip(part->area, range));

    if (in_two) cut(*set, node, range.end, fresh);
    while (node && node->area.range.begin < range.end) {
        Node* const next = node->next;
        if (node->area.range.begin < range.begin) node->area.range.end = range.begin;
        else if (range.end < node->area.range.end) node->area = clip(node->area, everything_from(range.end));
        else unlink(*set, node);
        node = next;
    }
    return {};
}

Result<void> protect(Set* set, AddressRange range, Protection protection, Visit changed, void* context) {
    if (const Error error = examine(range); error != Error::None) return error;
    Node* const first = seek(*set, range.begin);
    Node* last = nullptr;
    VirtAddr covered = range.begin;
    for (Node* node = first; covered < range.end; node = node->next) {
        if (!node || covered < node->area.range.begin) return Error::NotMapped;
        covered = node->area.range.end;
        last = node;
    }
    const bool cut_first = first->area.range.begin < range.begin && first->area.protection != protection;
    const bool cut_last = range.end < last->area.range.end && last->area.protection != protection;
    Node* const fresh = cut_first ? TRY(get_node(*set)) : nullptr;
    const auto another = cut_last ? get_node(*set) : Result<Node*>(nullptr);
    if (another.is_error()) {
        if (fresh) put_node(*set, fresh);
        return another.error();
    }
    for (const Node* node = first;; node = node->next) {
        if (changed && node->area.protection != protection) {
            Area part = clip(node->area, range);
            part.protection = protection;
            changed(context, part);
        }
        if (node == last) break;
    }
    if (cut_last) cut(*set, last, range.end, another.value());
    if (cut_first) cut(*set, first, range.begin, fresh);

    Node* node = cut_first ? first->next : first;
    for (Node* in = node; in && in->area.range.begin < range.end; in = in->next) in->area.protection = protection;
    if (node->previous) node = node->previous;
    while (node && node->area.range.begin < range.end)
        if (!swallow_next(*set, node)) node = node->next;
    return {};
}

const Area* find_from(const Set* set, VirtAddr address) {
    const Node* const node = seek(*set, address);
    return node ? &node->area : nullptr;
}

const Area* find(const Set* set, VirtAddr address) {
    const Area* const area = find_from(set, address);
    return area && area->range.begin <= address ? area : nullptr;
}

// -- Placement, counted from the highest gap down

namespace {

/// What place() looks at: pages, signed, so that a guard may reach below 0.
struct Gaps {
    const Set& set;
    const Placement& wish;
    const int64_t step, pages, guard;

    Gaps(const Set& all, const Placement& placement)
        : set(all), wish(placement), step(static_cast<int64_t>(placement.alignment >> kPageShift)), pages(placement.pages),
          guard(placement.guard_pages) {}

    static int64_t page(VirtAddr address) { return address.value() >> kPageShift; }

    /// Begins of the gap below `above` (null: below the end of everything): the highest, and how many.
    uint32_t between(const Node* below, const Node* above, int64_t& highest) const {
        int64_t low = page(wish.window.begin), high = page(wish.window.end);
        if (below && page(below->area.range.end) + guard > low) low = page(below->area.range.end) + guard;
        if (above && page(above->area.range.begin) - guard < high) high = page(above->area.range.begin) - guard;
        low = (low + step - 1) & ~(step - 1);
        highest = (high - pages) & ~(step - 1);
        return highest < low ? 0 : static_cast<uint32_t>((highest - low) / step) + 1;
    }

    /// Counts down `number` begins from the highest; what is left of the number when there are not so many.
    uint32_t take(uint32_t number, VirtAddr* found) const {
        const Node* above = nullptr;
        for (const Node* below = set.last;; below = below->previous) {
            int64_t highest = 0;
            const uint32_t here = between(below, above, highest);
            if (number < here) {
                *found = VirtAddr(static_cast<uint32_t>(highest - int64_t{number} * step) << kPageShift);
                return 0;
            }
            number -= here;
            if (!below) return number;
            above = below;
        }
    }
};

} // namespace

Result<VirtAddr> place(const Set* set, const Placement& wish) {
    const bool power = wish.alignment != 0 && (wish.alignment & (wish.alignment - 1)) == 0;
    if (wish.pages == 0 || !power || wish.alignment < kPageSize) return Error::InvalidArgument;
    if (const Error error = examine(wish.window); error != Error::None) return error;
    const Gaps gaps(*set, wish);
    if (wish.hint != VirtAddr()) { // possible if it is in the gap that it would lie in
        const Node* const above = seek(*set, wish.hint);
        int64_t highest = 0;
        const uint32_t places = gaps.between(above ? above->previous : set->last, above, highest);
        const int64_t back = highest - Gaps::page(wish.hint);
        const bool aligned = is_aligned(wish.hint.value(), static_cast<uint32_t>(wish.alignment));
        if (places != 0 && aligned && back >= 0 && back / gaps.step < places) return wish.hint;
    }
    VirtAddr found;
    const uint32_t places = 0xFFFF'FFFF - gaps.take(0xFFFF'FFFF, &found);
    if (places == 0) return Error::OutOfMemory;
    gaps.take(wish.random % places, &found);
    return found;
}

void for_each(const Set* set, Visit visit, void* context) {
    for (const Node* node = set->first; node; node = node->next) visit(context, node->area);
}

size_t count(const Set* set) { return set->count; }

} // namespace mm::areas
