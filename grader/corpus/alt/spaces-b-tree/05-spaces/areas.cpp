// A B+ tree: areas lie side by side in leaves of up to 24, and nodes above hold, for each child, where its last area ends.
//
//                    [ ..40 | ..90 ]
//                   /               \                               .
//     [ 10-14 | 20-22 | 30-40 ]   [ 41-50 | 80-90 ]
//
// "The first area that ends above an address" is the first child whose end lies above it, all the way down. The ends are exact:
// whoever changes an area's end carries it up the path (settle). Nodes are split when they overflow and joined with a neighbour
// when both fill less than three quarters of one; the root goes when it has one child.
//
// Who watches a change is told as it goes: a part is taken out (or changed) and shown, then the next one.
#include "mm/space/areas.h"

#include "lib/address.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/paging/page_table.h"

namespace mm::areas {

namespace {

constexpr uint32_t kAreas = 24, kEntries = 72;
constexpr unsigned kMaxLevels = 12;

struct Node;

struct Entry {
    VirtAddr end; // of the last area below `child`
    Node* child;
};

struct Node {
    uint32_t count;
    union {
        Area areas[kAreas];      // in a leaf: level 0
        Entry entries[kEntries]; // above
        Node* next_spare;        // among the spare ones
    };
};

} // namespace

struct Set {
    Node* root;      // null without areas
    unsigned height; // the root's level
    size_t count;
    Node* spares;    // taken before a change, empty afterwards
    uint32_t spare_count;
};

namespace {

// -- Nodes

uint32_t capacity(unsigned level) { return level == 0 ? kAreas : kEntries; }

void drop(void* memory) {
    const auto freed = kfree(memory);
    KASSERT("the tree's memory can be freed", !freed.is_error());
}

void drop_spares(Set& set) {
    while (Node* const node = set.spares) {
        set.spares = node->next_spare;
        drop(node);
    }
    set.spare_count = 0;
}

/// Sees to it that `count` nodes are at hand.
Result<void> provide(Set& set, uint32_t count) {
    while (set.spare_count < count) {
        const auto memory = kmalloc(sizeof(Node));
        if (memory.is_error()) {
            drop_spares(set);
            return memory.error();
        }
        Node* const node = static_cast<Node*>(memory.value());
        node->next_spare = set.spares;
        set.spares = node;
        ++set.spare_count;
    }
    return {};
}

Node* take_spare(Set& set) {
    Node* const node = set.spares;
    KASSERT("nodes were provided before the change", node != nullptr);
    set.spares = node->next_spare;
    --set.spare_count;
    node->count = 0;
    return node;
}

VirtAddr end_of(const Node* node, unsigned level) {
    return level == 0 ? node->areas[node->count - 1].range.end : node->entries[node->count - 1].end;
}

template <typename Item>
void insert_item(Item* items, uint32_t& count, uint32_t index, const Item& item) {
    memmove(items + index + 1, items + index, (count - index) * sizeof(Item));
    items[index] = item;
    ++count;
}

template <typename Item>
void erase_item(Item* items, uint32_t& count, uint32_t index) {
    --count;
    memmove(items + index, items + index + 1, (count - index) * sizeof(Item));
}

/// Appends the items [begin, end) of `from` to `to`.
void append(Node* to, const Node* from, uint32_t begin, uint32_t end, unsigned level) {
    if (level == 0) memcpy(to->areas + to->count, from->areas + begin, (end - begin) * sizeof(Area));
    else memcpy(to->entries + to->count, from->entries + begin, (end - begin) * sizeof(Entry));
    to->count += end - begin;
}

// -- Paths

/// Where an area is: the nodes from the leaf up to the root, and the way taken in each.
struct Path {
    Node* node[kMaxLevels] = {};
    uint32_t index[kMaxLevels] = {};

    Area* area() const { return node[0] && index[0] < node[0]->count ? &node[0]->areas[index[0]] : nullptr; }
};

uint32_t search(const Node* node, unsigned level, VirtAddr address) {
    uint32_t low = 0, high = node->count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const VirtAddr end = level == 0 ? node->areas[middle].range.end : node->entries[middle].end;
        if (end <= address) low = middle + 1;
        else high = middle;
    }
    return low;
}

/// To the first area that ends above `address`, or past the end of the last leaf.
Path path_to(const Set& set, VirtAddr address) {
    Path path;
    Node* node = set.root;
    for (unsigned level = set.height; node; --level) {
        path.node[level] = node;
        path.index[level] = search(node, level, address);
        if (level == 0) break;
        if (path.index[level] == node->count) --path.index[level];
        node = node->entries[path.index[level]].child;
    }
    return path;
}

/// To the next area; past the end of the last leaf when there is none.
void advance(const Set& set, Path& path) {
    if (++path.index[0] < path.node[0]->count) return;
    unsigned level = 1;
    while (level <= set.height && path.index[level] + 1 == path.node[level]->count) ++level;
    if (level > set.height) return;
    ++path.index[level];
    while (level-- > 0) {
        path.node[level] = path.node[level + 1]->entries[path.index[level + 1]].child;
        path.index[level] = 0;
    }
}

// -- Changes

/// Joins the children `left` and `left` + 1 of a node when they fit well into one.
bool join_children(Node* parent, uint32_t left, unsigned level) {
    if (left + 1 >= parent->count) return false;
    Entry& lower = parent->entries[left];
    const Entry upper = parent->entries[left + 1];
    if (lower.child->count + upper.child->count > capacity(level) * 3 / 4) return false;
    append(lower.child, upper.child, 0, upper.child->count, level);
    lower.end = upper.end;
    erase_item(parent->entries, parent->count, left + 1);
    drop(upper.child);
    return true;
}

/// Brings the path in order from the leaf upwards after a change in the leaf: ends, empty nodes, thin nodes.
void settle(Set& set, Path& path) {
    for (unsigned level = 0; level < set.height; ++level) {
        Node* const node = path.node[level];
        Node* const parent = path.node[level + 1];
        const uint32_t index = path.index[level + 1];
        if (node->count == 0) {
            erase_item(parent->entries, parent->count, index);
            drop(node);
            continue;
        }
        parent->entries[index].end = end_of(node, level);
        if (!join_children(parent, index, level) && index > 0) join_children(parent, index - 1, level);
    }
    while (set.height > 0 && set.root->count == 1) {
        Node* const old = set.root;
        set.root = old->entries[0].child;
        --set.height;
        drop(old);
    }
    if (set.root->count == 0) {
        drop(set.root);
        set.root = nullptr;
        set.height = 0;
    }
}

void erase(Set& set, Path& path) {
    erase_item(path.node[0]->areas, path.node[0]->count, path.index[0]);
    --set.count;
    settle(set, path);
}

/// How many nodes add() may need for `areas` of them at this path.
uint32_t nodes_for(const Set& set, const Path& path, uint32_t areas) {
    if (areas == 0) return 0;
    if (!path.node[0]) return 1;
    return path.node[0]->count + areas <= kAreas ? 0 : areas * (set.height + 2);
}

/// Puts the item (an area, or a child that was split off) into a node; returns the other half when the node had to be split.
template <typename Item>
Node* add_to_node(Set& set, Node* node, unsigned level, Item* (*items)(Node*), uint32_t index, const Item& item) {
    Node* half = nullptr;
    if (node->count == capacity(level)) {
        half = take_spare(set);
        append(half, node, node->count / 2, node->count, level);
        node->count /= 2;
    }
    Node* const target = half && index > node->count ? half : node;
    insert_item(items(target), target->count, target == node ? index : index - node->count, item);
    return half;
}

/// Adds an area before the one that the path leads to.
void add(Set& set, const Path& path, const Area& area) {
    ++set.count;
    if (!set.root) {
        set.root = take_spare(set);
        set.root->areas[0] = area;
        set.root->count = 1;
        return;
    }
    Node* half = add_to_node<Area>(set, path.node[0], 0, [](Node* node) { return node->areas; }, path.index[0], area);
    for (unsigned level = 1; level <= set.height; ++level) {
        Node* const node = path.node[level];
        const uint32_t index = path.index[level];
        node->entries[index].end = end_of(path.node[level - 1], level - 1);
        if (!half) continue;
        const Entry entry{end_of(half, level - 1), half};
        half = add_to_node<Entry>(set, node, level, [](Node* inner) { return inner->entries; }, index + 1, entry);
    }
    if (!half) return;
    Node* const root = take_spare(set);
    root->entries[0] = {end_of(set.root, set.height), set.root};
    root->entries[1] = {end_of(half, set.height), half};
    root->count = 2;
    set.root = root;
    ++set.height;
}

Error check(AddressRange range) {
    const uint32_t begin = range.begin.value(), end = range.end.value();
    if (begin > end || begin < kUserBegin || end > kUserEnd) return Error::OutOfRange;
    if (begin == end) return Error::InvalidArgument;
    return is_aligned(begin, kPageSize) && is_aligned(end, kPageSize) ? Error::None : Error::Misaligned;
}

Area part(Area area, AddressRange range) {
    if (range.begin > area.range.begin) {
        if (area.object) area.first_page += (range.begin.value() - area.range.begin.value()) >> kPageShift;
        area.range.begin = range.begin;
    }
    if (range.end < area.range.end) area.range.end = range.end;
    return area;
}

void set_end(Set& set, Path& path, VirtAddr end) {
    path.area()->range.end = end;
    settle(set, path);
}

/// Cuts the area that holds `address` in two there, unless one begins at it. The nodes for it are at hand.
void cut(Set& set, VirtAddr address) {
    Path path = path_to(set, address);
    Area* const area = path.area();
    if (!area || area->range.begin >= address) return;
    const Area upper = part(*area, {address, area->range.end});
    area->range.end = address; // before the upper half comes: add() brings the ends above in order
    ++path.index[0];
    add(set, path, upper);
}

void join_neighbours(Set& set, AddressRange range) {
    VirtAddr from(range.begin.value() - 1);
    for (;;) {
        Path path = path_to(set, from);
        const Area* const lower = path.area();
        if (!lower || lower->range.begin > range.end) return;
        Path behind = path;
        advance(set, behind);
        const Area* const upper = behind.area();
        if (!upper || !continues(*lower, *upper)) {
            from = lower->range.end;
            continue;
        }
        const VirtAddr end = upper->range.end;
        erase(set, behind);
        path = path_to(set, from);
        set_end(set, path, end);
    }
}

void show(Visit visit, void* context, const Area& area) {
    if (visit) visit(context, area);
}

void drop_tree(Node* node, unsigned level) {
    for (uint32_t i = 0; level > 0 && i < node->count; ++i) drop_tree(node->entries[i].child, level - 1);
    drop(node);
}

} // namespace

Result<Set*> create() {
    Set* const set = static_cast<Set*>(TRY(kmalloc(sizeof(Set))));
    *set = {};
    return set;
}

void destroy(Set* set) {
    if (set->root) drop_tree(set->root, set->height);
    drop(set);
}

Result<void> insert(Set* set, const Area& area) {
    if (const Error wrong = check(area.range); wrong != Error::None) return wrong;
    Path path = path_to(*set, VirtAddr(area.range.begin.value() - 1));
    Path behind = path;
    Area* lower = path.area();
    if (lower && lower->range.end == area.range.begin) advance(*set, behind);
    else lower = nullptr;
    Area* const upper = behind.area();
    if (upper && upper->range.begin < area.range.end) return Error::Exists;

    const bool down = lower && continues(*lower, area), up = upper && continues(area, *upper);
    if (down && up) {
        const VirtAddr end = upper->range.end;
        erase(*set, behind);
        path = path_to(*set, VirtAddr(area.range.begin.value() - 1));
        set_end(*set, path, end);
    } else if (down) {
        set_end(*set, path, area.range.end);
    } else if (up) {
        upper->range.begin = area.range.begin;
        upper->first_page = area.first_page;
    } else {
        TRY(provide(*set, nodes_for(*set, behind, 1)));
        add(*set, behind, area);
        drop_spares(*set);
    }
    return {};
}

Result<void> remove(Set* set, AddressRange range, Visit removed, void* context) {
    if (const Error wrong = check(range); wrong != Error::None) return wrong;
    const Path first = path_to(*set, range.begin);
    if (const Area* const area = first.area(); area && area->range.begin < range.begin && range.end < area->range.end) {
        TRY(provide(*set, nodes_for(*set, first, 1)));
        cut(*set, range.end);
        drop_spares(*set);
    }
    for (;;) {
        Path path = path_to(*set, range.begin);
        Area* const area = path.area();
        if (!area || area->range.begin >= range.end) return {};
        const Area gone = part(*area, range);
        if (area->range.begin < range.begin) set_end(*set, path, range.begin);
        else if (area->range.end > range.end) *area = part(*area, {range.end, area->range.end});
        else erase(*set, path);
        show(removed, context, gone);
    }
}

Result<void> protect(Set* set, AddressRange range, Protection protection, Visit changed, void* context) {
    if (const Error wrong = check(range); wrong != Error::None) return wrong;
    const Path first = path_to(*set, range.begin);
    bool any = false, cut_begin = false, cut_end = false;
    Path path = first, last = first;
    for (VirtAddr covered = range.begin; covered < range.end; advance(*set, path)) {
        const Area* const area = path.area();
        if (!area || area->range.begin > covered) return Error::NotMapped;
        covered = area->range.end;
        last = path;
        if (area->protection == protection) continue;
        any = true;
        cut_begin |= area->range.begin < range.begin;
        cut_end |= range.end < area->range.end;
    }
    if (!any) return {};
    const uint32_t cuts = uint32_t{cut_begin} + uint32_t{cut_end};
    const bool apart = first.node[0] != last.node[0]; // the first cut may make the tree higher by one before the second
    TRY(provide(*set, apart ? nodes_for(*set, first, cut_begin) + nodes_for(*set, last, cut_end) + cuts
                            : nodes_for(*set, first, cuts)));
    if (cut_begin) cut(*set, range.begin);
    if (cut_end) cut(*set, range.end);
    drop_spares(*set);

    for (path = path_to(*set, range.begin); path.area() && path.area()->range.begin < range.end; advance(*set, path)) {
        if (path.area()->protection == protection) continue;
        path.area()->protection = protection;
        show(changed, context, Area(*path.area()));
    }
    join_neighbours(*set, range);
    return {};
}

const Area* find_from(const Set* set, VirtAddr address) { return path_to(*set, address).area(); }

const Area* find(const Set* set, VirtAddr address) {
    const Area* const area = find_from(set, address);
    return area && area->range.contains(address) ? area : nullptr;
}

// -- Placement

namespace {

/// How many begins are possible with all pages in [low, high), both in pages, and which is the highest.
struct Room {
    uint32_t count = 0;
    uint32_t highest = 0;
};

Room room_in(uint64_t low, uint64_t high, const Placement& wish) {
    const uint64_t step = wish.alignment / kPageSize;
    const uint64_t first = (low + step - 1) / step;
    if (high < wish.pages) return {};
    const uint64_t last = (high - wish.pages) / step;
    if (last < first || low > high) return {};
    return {static_cast<uint32_t>(last - first + 1), static_cast<uint32_t>(last * step)};
}

/// Goes through the gaps of the window, highest last. With `number` == nullptr counts; else finds the begin with this number.
uint32_t walk_gaps(const Set& set, const Placement& wish, const uint32_t* number) {
    const uint64_t begin = wish.window.begin.value() / kPageSize, end = wish.window.end.value() / kPageSize;
    // No area that ends below this can matter.
    const uint64_t reach = wish.guard_pages < begin ? (begin - wish.guard_pages) * kPageSize : 0;
    Path path = path_to(set, VirtAddr(static_cast<uint32_t>(reach)));
    uint64_t low = begin;
    uint32_t total = 0;
    for (bool more = true; more;) {
        const Area* const area = path.area();
        uint64_t high = end;
        if (area) {
            const uint64_t border = area->range.begin.value() / kPageSize;
            const uint64_t up_to = border > wish.guard_pages ? border - wish.guard_pages : 0;
            if (up_to < end) high = up_to;
        }
        const Room room = room_in(low, high, wish);
        if (number && *number < total + room.count)
            return room.highest - (room.count - 1 - (*number - total)) * static_cast<uint32_t>(wish.alignment / kPageSize);
        total += room.count;
        if (area) {
            const uint64_t above = area->range.end.value() / kPageSize + uint64_t{wish.guard_pages};
            if (above > low) low = above;
            advance(set, path);
        }
        more = area && low < end;
    }
    return total;
}

bool is_possible(const Set& set, const Placement& wish, VirtAddr begin) {
    if (begin.value() % wish.alignment != 0 || begin < wish.window.begin || begin >= wish.window.end) return false;
    if (wish.pages > AddressRange{begin, wish.window.end}.pages()) return false;
    const uint64_t page = begin.value() / kPageSize;
    const uint64_t low = page > wish.guard_pages ? page - wish.guard_pages : 0;
    const uint64_t high = page + wish.pages + uint64_t{wish.guard_pages};
    const Area* const area = find_from(&set, VirtAddr(static_cast<uint32_t>(low * kPageSize)));
    return !area || area->range.begin.value() / kPageSize >= high;
}

} // namespace

Result<VirtAddr> place(const Set* set, const Placement& wish) {
    const uint32_t alignment = static_cast<uint32_t>(wish.alignment);
    if (wish.pages == 0 || alignment < kPageSize || (alignment & (alignment - 1))) return Error::InvalidArgument;
    if (const Error wrong = check(wish.window); wrong != Error::None) return wrong;
    if (wish.hint != VirtAddr() && is_possible(*set, wish, wish.hint)) return wish.hint;
    const uint32_t total = walk_gaps(*set, wish, nullptr);
    if (total == 0) return Error::OutOfMemory;
    const uint32_t from_below = total - 1 - wish.random % total;
    return VirtAddr(walk_gaps(*set, wish, &from_below) * static_cast<uint32_t>(kPageSize));
}

void for_each(const Set* set, Visit visit, void* context) {
    for (Path path = path_to(*set, VirtAddr()); path.area(); advance(*set, path)) visit(context, *path.area());
}

size_t count(const Set* set) { return set->count; }

} // namespace mm::areas
