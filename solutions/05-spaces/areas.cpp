/// @file
/// Lab 05-spaces: the reference. The contract is mm/space/areas.h.
///
/// The areas stand in a list, lowest address first.
#include "mm/space/areas.h"

#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/paging/page_table.h"

namespace mm::areas {

namespace {

struct Node {
    Area area;
    Node* previous;
    Node* next;
};

} // namespace

/// The areas of one address space.
struct Set {
    Node* first;
    Node* last;
    size_t count;
};

namespace {

constinit slab::Cache* nodes = nullptr;  ///< Of all sets together; made with the first set.

Result<Node*> new_node(const Area& area) {
    Node* const node = static_cast<Node*>(TRY(slab::allocate(nodes)));
    *node = {area, nullptr, nullptr};
    return node;
}

void free_node(Node* node) { KASSERT("a node of ours can be freed", !slab::free(nodes, node).is_error()); }

/// Puts the node behind `previous`; null: in front of all.
void link(Set* set, Node* node, Node* previous) {
    Node* const next = previous ? previous->next : set->first;
    node->previous = previous;
    node->next = next;
    (previous ? previous->next : set->first) = node;
    (next ? next->previous : set->last) = node;
    ++set->count;
}

void unlink(Set* set, Node* node) {
    (node->previous ? node->previous->next : set->first) = node->next;
    (node->next ? node->next->previous : set->last) = node->previous;
    --set->count;
}

/// The lowest area that ends above the address.
Node* lowest_above(const Set* set, VirtAddr address) {
    Node* node = set->first;
    while (node && node->area.range.end <= address) node = node->next;
    return node;
}

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

/// Divides the node's area in two at `at`; `upper` takes what lies above.
void divide(Set* set, Node* node, VirtAddr at, Node* upper) {
    upper->area = part(node->area, {at, node->area.range.end});
    node->area = part(node->area, {node->area.range.begin, at});
    link(set, upper, node);
}

/// Merges all neighbours of which one ends or begins from `begin` to `end`.
void merge(Set* set, AddressRange range) {
    Node* node = lowest_above(set, VirtAddr(range.begin.value() - 1));
    while (node && node->next && node->next->area.range.begin <= range.end) {
        Node* const next = node->next;
        if (!continues(node->area, next->area)) {
            node = next;
            continue;
        }
        node->area.range.end = next->area.range.end;
        unlink(set, next);
        free_node(next);
    }
}

} // namespace

Result<Set*> create() {
    if (!nodes) nodes = TRY(slab::create({.name = "areas", .size = sizeof(Node), .alignment = alignof(Node)}));
    Set* const set = static_cast<Set*>(TRY(kmalloc(sizeof(Set))));
    *set = {};
    return set;
}

void destroy(Set* set) {
    while (Node* node = set->first) {
        unlink(set, node);
        free_node(node);
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
    if (!joins_left && !joins_right) {
        link(set, TRY(new_node(area)), previous);
    } else if (!joins_left) {
        next->area.range.begin = area.range.begin;
        next->area.first_page = area.first_page;
    } else {
        previous->area.range.end = joins_right ? next->area.range.end : area.range.end;
        if (joins_right) {
            unlink(set, next);
            free_node(next);
        }
    }
    return {};
}

Result<void> remove(Set* set, AddressRange range, Visit removed, void* context) {
    TRY(check(range));
    Node* node = lowest_above(set, range.begin);
    if (node && node->area.range.begin < range.begin && range.end < node->area.range.end) {
        divide(set, node, range.end, TRY(new_node({})));
    }
    while (node && node->area.range.begin < range.end) {
        Node* const next = node->next;
        const Area whole = node->area;
        if (whole.range.begin < range.begin) {
            node->area = part(whole, {whole.range.begin, range.begin});
        } else if (range.end < whole.range.end) {
            node->area = part(whole, {range.end, whole.range.end});
        } else {
            unlink(set, node);
            free_node(node);
        }
        if (removed) removed(context, part(whole, range));
        node = next;
    }
    return {};
}

Result<void> protect(Set* set, AddressRange range, Protection protection, Visit changed, void* context) {
    TRY(check(range));
    Node* first = lowest_above(set, range.begin);
    if (!first || range.begin < first->area.range.begin) return Error::NotMapped;
    Node* last = first;
    while (last->area.range.end < range.end) {
        if (!last->next || last->next->area.range.begin != last->area.range.end) return Error::NotMapped;
        last = last->next;
    }
    // All memory first: nothing may have changed when there is none.
    const bool splits_first = is_between(range.begin, first->area) && first->area.protection != protection;
    const bool splits_last = is_between(range.end, last->area) && last->area.protection != protection;
    Node* const for_first = splits_first ? TRY(new_node({})) : nullptr;
    Node* for_last = nullptr;
    if (splits_last) {
        const auto node = new_node({});
        if (node.is_error()) {
            if (for_first) free_node(for_first);
            return node.error();
        }
        for_last = node.value();
    }
    if (splits_last) divide(set, last, range.end, for_last);
    if (splits_first) {
        divide(set, first, range.begin, for_first);
        first = for_first;
    }
    for (Node* node = first; node && node->area.range.begin < range.end; node = node->next) {
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

/// Counts possible begins, from the highest down, up to number `wanted`.
struct Search {
    const Placement& placement;
    uint32_t wanted;
    uint32_t passed = 0;
    VirtAddr found{};

    /// Looks between an area that ends at page `low` and one that begins at `high`.
    bool look(Page low, Page high) {
        const Page step = static_cast<Page>(placement.alignment >> kPageShift), guard = bounded(placement.guard_pages);
        const Page begin = page_of(placement.window.begin), end = page_of(placement.window.end);
        const Page lowest = low + guard > begin ? low + guard : begin;
        const Page highest = (high - guard < end ? high - guard : end) - bounded(placement.pages);
        if (highest < lowest) return false;
        const Page last = highest & ~(step - 1);
        if (last < lowest) return false;
        const uint32_t places = static_cast<uint32_t>((last - lowest) / step) + 1;
        if (wanted - passed < places) {
            found = VirtAddr(static_cast<uint32_t>(last - static_cast<Page>(wanted - passed) * step) << kPageShift);
            return true;
        }
        passed += places;
        return false;
    }
};

bool search(const Set* set, Search& search) {
    Page high = kFarPages;
    for (const Node* node = set->last; node; node = node->previous) {
        if (search.look(page_of(node->area.range.end), high)) return true;
        high = page_of(node->area.range.begin);
    }
    return search.look(-kFarPages, high);
}

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
    Search all{.placement = placement, .wanted = UINT32_MAX};
    search(set, all);
    if (all.passed == 0) return Error::OutOfMemory;
    Search one{.placement = placement, .wanted = placement.random % all.passed};
    search(set, one);
    return one.found;
}

void for_each(const Set* set, Visit visit, void* context) {
    for (const Node* node = set->first; node; node = node->next) visit(context, node->area);
}

size_t count(const Set* set) { return set->count; }

} // namespace mm::areas
