// Lab 09: the area in clusters of eight slots, each with masks of what its slots are. Pages that leave together take a whole free cluster
// where there is one, and go on behind the last one that was taken. The copies are the nodes of a treap, in the order of their frames.
#include "mm/reclaim/swap.h"

#include <algorithm>
#include <bit>

#include "lib/panic.h"
#include "mm/paging/tlb.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace mm::swap {

namespace {

/// Aragon and Seidel's randomized search tree: ordered by key from left to right, by priority from top to bottom.
struct Node {
    Node *left, *right;
    uint32_t key; ///< The frame; 0 while the slot has no copy.
    uint32_t priority;
};

struct Cluster {
    uint8_t taken;      ///< Bit i: slot i has entries or a copy, or is on the way to that.
    uint8_t never;      ///< Slot i is not to be used.
    uint8_t reserved;   ///< Slot i is a page's that leaves just now.
    uint32_t entries[kCluster];
    Node copies[kCluster];

    uint8_t free() const { return ~(taken | never); }
};

constinit Cluster* clusters = nullptr;
constinit uint32_t cluster_count = 0;
constinit uint32_t last_cluster = 0; ///< That a page went to.
constinit Node* root = nullptr;
constinit uint32_t random_state = 1;
constinit Statistics figures = {};

/// A slot, as cluster and bit.
struct Place {
    Cluster* cluster;
    uint32_t index;

    uint8_t bit() const { return static_cast<uint8_t>(1u << index); }
    uint32_t& entries() const { return cluster->entries[index]; }
    Node& copy() const { return cluster->copies[index]; }
    bool has_copy() const { return copy().key != 0; }
    FrameNumber frame() const { return FrameNumber(copy().key); }
    SwapSlot slot() const { return SwapSlot(static_cast<uint32_t>(cluster - clusters) * kCluster + index); }
    bool exists() const { return cluster != nullptr; }
};
constexpr Place kNowhere{nullptr, 0};

Place place_of(SwapSlot slot) { return {&clusters[slot.value() / kCluster], static_cast<uint32_t>(slot.value() % kCluster)}; }

// The tree.

uint32_t next_random() {
    random_state ^= random_state << 13; // Marsaglia's xorshift
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/// All keys below `key` to the left, the others to the right.
void split(Node* tree, uint32_t key, Node*& left, Node*& right) {
    if (!tree) {
        left = right = nullptr;
    } else if (tree->key < key) {
        split(tree->right, key, tree->right, right);
        left = tree;
    } else {
        split(tree->left, key, left, tree->left);
        right = tree;
    }
}

Node* merge(Node* left, Node* right) {
    if (!left || !right) return left ? left : right;
    if (left->priority > right->priority) {
        left->right = merge(left->right, right);
        return left;
    }
    right->left = merge(left, right->left);
    return right;
}

Node* find(uint32_t key) {
    Node* node = root;
    while (node && node->key != key) node = key < node->key ? node->left : node->right;
    return node;
}

void insert(Node& node, uint32_t key) {
    Node *left, *right;
    node = {nullptr, nullptr, key, next_random()};
    split(root, key, left, right);
    root = merge(merge(left, &node), right);
}

void remove(Node& node) {
    Node *left, *middle, *right;
    split(root, node.key, left, middle);
    split(middle, node.key + 1, middle, right);
    root = merge(left, right);
    node.key = 0;
}

/// The slot whose copy the frame is.
Place place_with(FrameNumber frame) {
    Node* const node = frame.value() == 0 ? nullptr : find(frame.value());
    if (!node) return kNowhere;
    auto* const cluster = &clusters[(reinterpret_cast<uintptr_t>(node) - reinterpret_cast<uintptr_t>(clusters)) / sizeof(Cluster)];
    return {cluster, static_cast<uint32_t>(node - cluster->copies)};
}

// Slots.

void set_copy(Place place, FrameNumber frame) {
    insert(place.copy(), frame.value());
    ++figures.copies;
}

void drop_copy(Place place) {
    if (!place.has_copy()) return;
    remove(place.copy());
    --figures.copies;
}

void free_if_empty(Place place) {
    if (place.entries() > 0 || place.has_copy() || place.cluster->reserved & place.bit()) return;
    place.cluster->taken &= static_cast<uint8_t>(~place.bit());
    ++figures.free;
}

void retire(Place place) {
    drop_copy(place);
    place.cluster->never |= place.bit();
    place.cluster->reserved &= static_cast<uint8_t>(~place.bit());
    --figures.slots;
}

Place take(Cluster& cluster, uint32_t index) {
    const Place place{&cluster, index};
    cluster.taken |= place.bit();
    cluster.reserved |= place.bit();
    --figures.free;
    last_cluster = static_cast<uint32_t>(&cluster - clusters);
    return place;
}

/// The next cluster behind the last one that has all free, or any; null when there is none.
Cluster* next_cluster(bool is_good(const Cluster&)) {
    for (uint32_t i = 1; i <= cluster_count; ++i) {
        Cluster& one = clusters[(last_cluster + i) % cluster_count];
        if (is_good(one)) return &one;
    }
    return nullptr;
}

/// A free slot: behind `before` if that is a slot; in a cluster that is free as a whole, for several; in any.
Place take_free(Place before, size_t wanted) {
    if (figures.free == 0) return kNowhere;
    if (before.exists()) {
        const SwapSlot next(before.slot().value() + 1);
        if (next.value() / kCluster < cluster_count) {
            const Place place = place_of(next);
            if (place.cluster->free() & place.bit()) return take(*place.cluster, place.index);
        }
    }
    Cluster* cluster = wanted > 1 ? next_cluster([](const Cluster& one) { return one.taken == 0 && one.never == 0; }) : nullptr;
    if (!cluster) cluster = &clusters[last_cluster];
    if (cluster->free() == 0) cluster = next_cluster([](const Cluster& one) { return one.free() != 0; });
    return take(*cluster, static_cast<uint32_t>(std::countr_zero(cluster->free())));
}

/// A slot with a copy that nobody has an entry of loses that.
Place take_kept() {
    for (uint32_t i = 0; i < cluster_count * kCluster; ++i) {
        const Place place = place_of(SwapSlot(i));
        if (!place.has_copy() || place.entries() > 0 || place.cluster->reserved & place.bit()) continue;
        drop_copy(place);
        place.cluster->reserved |= place.bit();
        return place;
    }
    return kNowhere;
}

// Out.

void release_one(FrameNumber frame) { KASSERT("a page has a reference of its frame", !frames::release(frame).is_error()); }

struct Leaving {
    FrameNumber frame;
    Place place;
    bool writes;
};

bool is_dirty(FrameNumber frame) {
    if (reverse_map::was_dirtied(frame)) return true;
    uint32_t dirty = 0;
    reverse_map::for_each(frame, [&dirty](const Mapping& mapping) { dirty += mapping.entry->is_dirty(); });
    return dirty > 0;
}

/// Pages with a slot keep it; then the others get theirs.
void choose(std::span<Leaving> pages) {
    size_t without = 0;
    for (Leaving& page : pages) {
        page.place = place_with(page.frame);
        if (page.place.exists()) {
            page.place.cluster->reserved |= page.place.bit();
        } else {
            page.writes = true;
            ++without;
        }
    }
    Place before = kNowhere;
    for (Leaving& page : pages) {
        if (page.place.exists()) continue;
        page.place = take_free(before, without--);
        if (!page.place.exists()) page.place = take_kept();
        before = page.place;
    }
}

Result<void> write_once(std::span<const Leaving> run) {
    FrameNumber frames[kCluster];
    std::transform(run.begin(), run.end(), frames, [](const Leaving& page) { return page.frame; });
    return swap_area::write(run.front().place.slot(), {frames, run.size()});
}

void write(std::span<Leaving> run) {
    if (!write_once(run).is_error()) return;
    for (Leaving& page : run) {
        if (!write_once({&page, 1}).is_error()) continue;
        retire(page.place);
        page.place = kNowhere;
    }
}

void write_runs(std::span<Leaving> pages) {
    const auto must_be_written = [](const Leaving& page) { return page.writes && page.place.exists(); };
    while (!pages.empty()) {
        size_t length = 1;
        if (must_be_written(pages[0])) {
            const uint32_t first = pages[0].place.slot().value();
            while (length < pages.size() && must_be_written(pages[length]) && pages[length].place.slot().value() == first + length) ++length;
            write(pages.first(length));
        }
        pages = pages.subspan(length);
    }
}

void count_out(const Leaving& page) {
    ++figures.pages_out;
    figures.clean_out += !page.writes;
}

/// The slot has `more` entries more, and no copy. @return whether its entries had owned a reference of that
bool settle(Place place, uint32_t more) {
    const bool was_held = place.entries() > 0;
    drop_copy(place);
    place.cluster->reserved &= static_cast<uint8_t>(~place.bit());
    place.entries() += more;
    free_if_empty(place);
    return was_held;
}

void let_go(const Leaving& page) {
    const SwapSlot slot = page.place.slot();
    uint32_t references = reverse_map::for_each(page.frame, [slot](const Mapping& mapping) {
        *mapping.entry = Pte::swapped(slot);
        if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
        spaces::count_swapped_out(mapping.space);
    });
    references += settle(page.place, references);
    while (references-- > 0) release_one(page.frame);
    count_out(page);
}

// In.

/// Frames for the slots around one, which are read together.
struct Row {
    Cluster& cluster;
    uint32_t first, end;
    FrameNumber frames[kCluster];

    bool add(uint32_t index) {
        const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Unspecified);
        if (frame.is_error()) return false;
        frames[index] = frame.value();
        first = std::min(first, index);
        end = std::max(end, index + 1);
        return true;
    }
    bool is_wanted(uint32_t index) const {
        const Place place{&cluster, index};
        return place.entries() > 0 && !place.has_copy() && !(cluster.never & place.bit());
    }
    Result<void> read(uint32_t from, uint32_t to) const {
        return swap_area::read(Place{&cluster, from}.slot(), {&frames[from], to - from});
    }
    /// These are somebody's copies now, or nobody's frames.
    void finish(uint32_t from, uint32_t to) {
        for (uint32_t i = first; i < end; ++i) {
            if (i >= from && i < to) set_copy({&cluster, i}, frames[i]);
            else release_one(frames[i]);
        }
    }
};

Result<void> read(Place place) {
    Row row{*place.cluster, place.index, place.index, {}};
    if (!row.add(place.index)) return Error::OutOfMemory;
    while (row.end < kCluster && row.is_wanted(row.end) && row.add(row.end)) {}
    while (row.first > 0 && row.is_wanted(row.first - 1) && row.add(row.first - 1)) {}
    if (!row.read(row.first, row.end).is_error()) {
        figures.read_ahead += row.end - row.first - 1;
        row.finish(row.first, row.end);
        return {};
    }
    const Result<void> alone = row.read(place.index, place.index + 1);
    row.finish(place.index, place.index + !alone.is_error());
    return alone.is_error() ? Error::DeviceError : Error::None;
}

} // namespace

Result<void> initialize() {
    const auto slots = static_cast<uint32_t>(swap_area::slots());
    cluster_count = (slots + kCluster - 1) / kCluster;
    clusters = static_cast<Cluster*>(TRY(vmalloc::allocate(cluster_count * sizeof(Cluster))));
    root = nullptr;
    figures = {};
    last_cluster = cluster_count - 1;
    for (uint32_t i = 0; i < cluster_count; ++i) clusters[i] = {};
    for (uint32_t i = 0; i < cluster_count * kCluster; ++i) {
        const Place place = place_of(SwapSlot(i));
        if (i == 0 || i >= slots || swap_area::is_bad(SwapSlot(i))) place.cluster->never |= place.bit();
        else ++figures.slots;
    }
    figures.free = figures.slots;
    return {};
}

size_t swap_out(std::span<const FrameNumber> frames) {
    size_t out = 0;
    while (!frames.empty()) {
        Leaving pages[kCluster];
        const size_t count = std::min(kCluster, frames.size());
        for (size_t i = 0; i < count; ++i) pages[i] = {frames[i], kNowhere, is_dirty(frames[i])};
        choose({pages, count});
        write_runs({pages, count});
        for (size_t i = 0; i < count; ++i) {
            if (!pages[i].place.exists()) continue;
            let_go(pages[i]);
            ++out;
        }
        frames = frames.subspan(count);
    }
    return out;
}

Result<void> swap_in(AddressSpace* space, const Area& area, VirtAddr page) {
    const Place place = place_of(spaces::swap_entry(space, page));
    const bool hit = place.has_copy();
    if (!hit) TRY(read(place));
    const FrameNumber frame = place.frame();
    frames::share(frame); // the page's own; that of the entries goes afterwards, if this was the last of them
    const bool is_last = place.entries() == 1;
    const bool is_own = is_last && frame_table::info(frame).references == 2;
    if (is_last) {
        place.entries() = 0;
        release_one(frame);
    }
    const Result<void> shown = spaces::show_swapped(space, area, page, frame, is_own && area.protection.write ? Access::ReadWrite : Access::ReadOnly);
    if (shown.is_error()) {
        if (is_last) place.entries() = 1;
        else release_one(frame);
        return shown;
    }
    if (!is_last) --place.entries();
    ++figures.pages_in;
    figures.cache_hits += hit;
    return {};
}

Result<FrameNumber> load(SwapSlot slot) {
    const Place place = place_of(slot);
    const bool hit = place.has_copy();
    if (!hit) TRY(read(place));
    ++figures.pages_in;
    figures.cache_hits += hit;
    if (--place.entries() > 0) frames::share(place.frame());
    return place.frame();
}

Result<SwapSlot> store(FrameNumber frame, bool changed) {
    Leaving page{frame, kNowhere, changed};
    choose({&page, 1});
    if (!page.place.exists()) return Error::NoSpace;
    write_runs({&page, 1});
    if (!page.place.exists()) return Error::DeviceError;
    count_out(page);
    if (settle(page.place, 1)) release_one(frame);
    return page.place.slot();
}

void share(SwapSlot slot) { ++place_of(slot).entries(); }

void release(SwapSlot slot) {
    const Place place = place_of(slot);
    if (--place.entries() > 0) return;
    const FrameNumber frame = place.frame();
    if (frame.value() == 0) return free_if_empty(place);
    if (frame_table::info(frame).references == 1) forget(frame);
    release_one(frame);
}

Result<void> clean(FrameNumber frame) {
    if (holds(frame)) return {};
    Leaving page{frame, kNowhere, true};
    choose({&page, 1});
    if (!page.place.exists()) return Error::NoSpace;
    write_runs({&page, 1});
    if (!page.place.exists()) return Error::DeviceError;
    page.place.cluster->reserved &= static_cast<uint8_t>(~page.place.bit());
    if (!page.place.has_copy()) set_copy(page.place, frame);
    return {};
}

void forget(FrameNumber frame) {
    const Place place = place_with(frame);
    if (!place.exists()) return;
    drop_copy(place);
    free_if_empty(place);
}

size_t shrink(size_t count) {
    size_t given = 0;
    for (uint32_t i = 0; i < cluster_count * kCluster && given < count; ++i) {
        const Place place = place_of(SwapSlot(i));
        const FrameNumber frame = place.frame();
        if (!place.has_copy() || place.entries() == 0 || frame_table::info(frame).references > 1) continue;
        drop_copy(place);
        release_one(frame);
        ++given;
    }
    return given;
}

SwapSlot slot_of(FrameNumber frame) {
    const Place place = place_with(frame);
    return place.exists() ? place.slot() : SwapSlot(0);
}

uint32_t entries(SwapSlot slot) { return place_of(slot).entries(); }

bool holds(FrameNumber frame) {
    const Place place = place_with(frame);
    return place.exists() && place.entries() > 0;
}

Statistics statistics() { return figures; }

} // namespace mm::swap
