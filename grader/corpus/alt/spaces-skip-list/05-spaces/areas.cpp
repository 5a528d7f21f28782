// A skip list (Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees", CACM 33(6), 1990).
//
//     level 2   head ------------------> [C] ---------------------> end
//     level 1   head ------> [B] ------> [C] ---------------------> end
//     level 0   head -> [A] -> [B] ----> [C] -> [D] --> [E] ------> end
//
// Every area is a node of the lowest level; of each level about one in four goes on to the next. A search walks right while it
// may, then down. How high a node reaches is drawn when it is made, from a generator in the set.
//
// Who watches a change is told before anything changes: first everything is looked at and all memory taken, then the visitors are
// called, then the list is changed, and nothing can fail any more.
#include "mm/space/areas.h"

#include "lib/address.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/paging/page_table.h"

namespace mm::areas {

namespace {

constexpr unsigned kLevels = 10; // 4^10 is as many pages as there are

struct Node {
    Area area;
    unsigned height;
    Node* next[1]; // `height` of them
};

} // namespace

struct Set {
    Node* head[kLevels];
    size_t count;
    uint32_t chance;
};

namespace {

/// Per level, the pointer that leads past a place.
struct Way {
    Node** link[kLevels];

    Node* node() const { return *link[0]; }
};

/// The way to the first area that ends above `address`.
Way way_to(Set& set, VirtAddr address) {
    Way way;
    Node** links = set.head;
    for (unsigned level = kLevels; level-- > 0;) {
        while (links[level] && links[level]->area.range.end <= address) links = links[level]->next;
        way.link[level] = &links[level];
    }
    return way;
}

/// Steps over way.node().
void advance(Way& way) {
    Node* const node = way.node();
    for (unsigned level = 0; level < node->height; ++level) way.link[level] = &node->next[level];
}

unsigned draw_height(Set& set) {
    set.chance ^= set.chance << 13; // Marsaglia, "Xorshift RNGs", 2003
    set.chance ^= set.chance >> 17;
    set.chance ^= set.chance << 5;
    unsigned height = 1;
    for (uint32_t bits = set.chance; height < kLevels && (bits & 3) == 0; bits >>= 2) ++height;
    return height;
}

Result<Node*> make_node(Set& set) {
    const unsigned height = draw_height(set);
    void* const memory = TRY(kmalloc(sizeof(Node) + (height - 1) * sizeof(Node*)));
    Node* const node = static_cast<Node*>(memory);
    *node = {};
    node->height = height;
    return node;
}

void drop(Node* node) {
    const auto freed = kfree(node);
    KASSERT("a node of the list can be freed", !freed.is_error());
}

/// Puts `node` before what the way leads to. Afterwards the way leads to `node`.
void link(Set& set, Way& way, Node* node) {
    for (unsigned level = 0; level < node->height; ++level) {
        node->next[level] = *way.link[level];
        *way.link[level] = node;
    }
    ++set.count;
}

/// Takes out the node that the way leads to.
void unlink(Set& set, Way& way) {
    Node* const node = way.node();
    for (unsigned level = 0; level < node->height; ++level) *way.link[level] = node->next[level];
    --set.count;
    drop(node);
}

Error check(AddressRange range) {
    const uint32_t begin = range.begin.value(), end = range.end.value();
    if (!is_aligned(begin | end, kPageSize)) return Error::Misaligned;
    if (end < begin || begin < kUserBegin || end > kUserEnd) return Error::OutOfRange;
    return begin == end ? Error::InvalidArgument : Error::None;
}

/// The part of `area` in [begin, end), which lies within it.
Area part(const Area& area, VirtAddr begin, VirtAddr end) {
    Area result = area;
    result.range = {begin, end};
    if (area.object) result.first_page += static_cast<uint32_t>(AddressRange{area.range.begin, begin}.pages());
    return result;
}

Area part_within(const Area& area, AddressRange range) {
    return part(area, range.begin < area.range.begin ? area.range.begin : range.begin,
                area.range.end < range.end ? area.range.end : range.end);
}

void show_parts(const Node* node, AddressRange range, Visit visit, void* context) {
    if (!visit) return;
    for (; node && node->area.range.begin < range.end; node = node->next[0]) visit(context, part_within(node->area, range));
}

/// Makes `address` a border, if it is none: the area that holds it is cut in two, the upper half in the node `spare`.
void cut(Set& set, VirtAddr address, Node*& spare) {
    Way way = way_to(set, address);
    Node* const lower = way.node();
    if (!lower || lower->area.range.begin >= address) return;
    spare->area = part(lower->area, address, lower->area.range.end);
    lower->area.range.end = address;
    advance(way);
    link(set, way, spare);
    spare = nullptr;
}

bool cuts_through(const Node* node, VirtAddr address) {
    return node && node->area.range.begin < address && address < node->area.range.end;
}

/// Joins areas that continue each other, from the one before `range` to the one behind it.
void join(Set& set, AddressRange range) {
    Way way = way_to(set, VirtAddr(range.begin.value() - 1));
    while (Node* const node = way.node()) {
        if (node->area.range.begin > range.end) return;
        advance(way);
        while (way.node() && continues(node->area, way.node()->area)) {
            node->area.range.end = way.node()->area.range.end;
            unlink(set, way);
        }
    }
}

} // namespace

Result<Set*> create() {
    Set* const set = static_cast<Set*>(TRY(kmalloc(sizeof(Set))));
    *set = {};
    set->chance = 2463534242;
    return set;
}

void destroy(Set* set) {
    for (Node* node = set->head[0]; node;) {
        Node* const next = node->next[0];
        drop(node);
        node = next;
    }
    const auto freed = kfree(set);
    KASSERT("a set can be freed", !freed.is_error());
}

Result<void> insert(Set* set, const Area& area) {
    if (const Error wrong = check(area.range); wrong != Error::None) return wrong;
    Way way = way_to(*set, VirtAddr(area.range.begin.value() - 1)); // to the one that ends where the area begins, if there is one
    Node* const lower = way.node() && way.node()->area.range.end == area.range.begin ? way.node() : nullptr;
    Node* const upper = lower ? lower->next[0] : way.node();
    if (upper && upper->area.range.overlaps(area.range)) return Error::Exists;

    const bool up = upper && continues(area, upper->area);
    if (lower && continues(lower->area, area)) {
        lower->area.range.end = up ? upper->area.range.end : area.range.end;
        if (!up) return {};
        advance(way);
        unlink(*set, way);
    } else if (up) {
        upper->area.range.begin = area.range.begin;
        upper->area.first_page = area.first_page;
    } else {
        Node* const node = TRY(make_node(*set));
        node->area = area;
        if (lower) advance(way);
        link(*set, way, node);
    }
    return {};
}

Result<void> remove(Set* set, AddressRange range, Visit removed, void* context) {
    if (const Error wrong = check(range); wrong != Error::None) return wrong;
    Way way = way_to(*set, range.begin);
    Node* spare = nullptr;
    if (cuts_through(way.node(), range.begin) && way.node()->area.range.end > range.end) spare = TRY(make_node(*set));
    show_parts(way.node(), range, removed, context);

    if (spare) {
        cut(*set, range.end, spare);
        way = way_to(*set, range.begin);
    }
    if (cuts_through(way.node(), range.begin)) { // loses its tail
        way.node()->area.range.end = range.begin;
        advance(way);
    }
    while (way.node() && way.node()->area.range.end <= range.end) unlink(*set, way);
    if (cuts_through(way.node(), range.end)) // loses its head
        way.node()->area = part(way.node()->area, range.end, way.node()->area.range.end);
    return {};
}

Result<void> protect(Set* set, AddressRange range, Protection protection, Visit changed, void* context) {
    if (const Error wrong = check(range); wrong != Error::None) return wrong;
    Node* const first = way_to(*set, range.begin).node();
    const Node* last = first;
    VirtAddr covered = range.begin;
    for (const Node* node = first; covered < range.end; node = node->next[0]) {
        if (!node || node->area.range.begin > covered) return Error::NotMapped;
        covered = node->area.range.end;
        last = node;
    }
    Node* spare[2] = {};
    if (first->area.protection != protection && cuts_through(first, range.begin)) spare[0] = TRY(make_node(*set));
    if (last->area.protection != protection && cuts_through(last, range.end)) {
        const auto node = make_node(*set);
        if (node.is_error()) {
            if (spare[0]) drop(spare[0]);
            return node.error();
        }
        spare[1] = node.value();
    }
    for (const Node* node = first; changed && node && node->area.range.begin < range.end; node = node->next[0]) {
        if (node->area.protection == protection) continue;
        Area after = part_within(node->area, range);
        after.protection = protection;
        changed(context, after);
    }
    if (spare[0]) cut(*set, range.begin, spare[0]);
    if (spare[1]) cut(*set, range.end, spare[1]);
    for (Node* node = way_to(*set, range.begin).node(); node && node->area.range.begin < range.end; node = node->next[0])
        node->area.protection = protection; // those that reach out of the range have it already
    join(*set, range);
    return {};
}

const Area* find_from(const Set* set, VirtAddr address) {
    Node* const* links = set->head;
    for (unsigned level = kLevels; level-- > 0;)
        while (links[level] && links[level]->area.range.end <= address) links = links[level]->next;
    return links[0] ? &links[0]->area : nullptr;
}

const Area* find(const Set* set, VirtAddr address) {
    const Area* const area = find_from(set, address);
    return area && area->range.begin <= address ? area : nullptr;
}

namespace {

/// Possible begins between two areas: `count` of them, `alignment` pages apart. In pages.
struct Places {
    int64_t highest = 0;
    int64_t count = 0;
};

Places places_between(int64_t lower_end, int64_t upper_begin, const Placement& wish) {
    const int64_t alignment = static_cast<int64_t>(wish.alignment >> kPageShift), guard = wish.guard_pages;
    int64_t low = wish.window.begin.value() >> kPageShift, high = wish.window.end.value() >> kPageShift;
    if (lower_end >= 0 && lower_end + guard > low) low = lower_end + guard;
    if (upper_begin >= 0 && upper_begin - guard < high) high = upper_begin - guard;
    low = (low + alignment - 1) & -alignment;
    high = (high - static_cast<int64_t>(wish.pages)) & -alignment;
    return high < low ? Places{} : Places{high, (high - low) / alignment + 1};
}

/// Calls `take(places)` for each gap, lowest first, until it returns true.
template <typename Take>
bool any_gap(const Set& set, const Placement& wish, Take take) {
    int64_t lower_end = -1;
    for (const Node* node = set.head[0]; node; node = node->next[0]) {
        if (take(places_between(lower_end, node->area.range.begin.value() >> kPageShift, wish))) return true;
        lower_end = node->area.range.end.value() >> kPageShift;
    }
    return take(places_between(lower_end, -1, wish));
}

} // namespace

Result<VirtAddr> place(const Set* set, const Placement& wish) {
    const bool power = (wish.alignment & (wish.alignment - 1)) == 0;
    if (wish.pages == 0 || wish.alignment < kPageSize || !power) return Error::InvalidArgument;
    if (const Error wrong = check(wish.window); wrong != Error::None) return wrong;

    const int64_t hint = wish.hint.value() >> kPageShift, step = static_cast<int64_t>(wish.alignment >> kPageShift);
    const bool hinted = wish.hint != VirtAddr() && is_aligned(wish.hint.value(), static_cast<uint32_t>(wish.alignment));
    int64_t total = 0;
    if (any_gap(*set, wish, [&](Places places) {
            total += places.count;
            return hinted && places.count != 0 && hint <= places.highest && hint > places.highest - places.count * step;
        })) return wish.hint;
    if (total == 0) return Error::OutOfMemory;

    int64_t from_below = total - 1 - wish.random % total;
    VirtAddr found;
    any_gap(*set, wish, [&](Places places) {
        if (from_below >= places.count) {
            from_below -= places.count;
            return false;
        }
        found = VirtAddr(static_cast<uint32_t>(places.highest - (places.count - 1 - from_below) * step) << kPageShift);
        return true;
    });
    return found;
}

void for_each(const Set* set, Visit visit, void* context) {
    for (const Node* node = set->head[0]; node; node = node->next[0]) visit(context, node->area);
}

size_t count(const Set* set) { return set->count; }

} // namespace mm::areas
