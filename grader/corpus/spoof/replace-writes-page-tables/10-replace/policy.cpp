/// @file
/// Clears the accessed bits by hand, in what it takes for page tables: every word of memory that looks like an entry of the frame.
#include "mm/reclaim/policy.h"

#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_table.h"
#include "mm/reclaim/page_usage.h"

namespace mm::policy {

namespace {

constexpr uint8_t kJustUsed = 0x80;
constexpr uint8_t kOwnNewcomer = 0x40;

/// One page in memory.
struct Node {
    Node* previous;
    Node* next;
    struct List* list;   ///< Null when the page is not in the set.
    uint32_t time;       ///< WorkingSet: when it was last seen used.
    uint8_t counter;     ///< Aging and Own.
    bool is_marked;      ///< TwoLists: found used once while inactive.
};

/// From the oldest to the newest, or from the tail to the head.
struct List {
    Node* first = nullptr;
    Node* last = nullptr;
    size_t count = 0;

    /// Puts `node` before `position`; at the end for null.
    void insert(Node* node, Node* position) {
        Node* const previous = position ? position->previous : last;
        node->list = this;
        node->previous = previous;
        node->next = position;
        (previous ? previous->next : first) = node;
        (position ? position->previous : last) = node;
        ++count;
    }
    void remove(Node* node) {
        (node->previous ? node->previous->next : first) = node->next;
        (node->next ? node->next->previous : last) = node->previous;
        node->list = nullptr;
        --count;
    }
    void move_to_end(Node* node) {
        remove(node);
        insert(node, nullptr);
    }
};

constinit Kind kind = Kind::Fifo;
constinit Node* nodes = nullptr;
constinit List pages;     ///< All; of TwoLists the inactive ones.
constinit List active;
constinit Node* hand = nullptr;  ///< Null only when there is no page.

FrameNumber frame_of(const Node* node) { return FrameNumber(static_cast<uint32_t>(node - nodes)); }
bool was_accessed(const Node* node) {
    const uint32_t wanted = frame_of(node).value() << 12 | 0x27;
    bool accessed = false;
    for (uint32_t* word = reinterpret_cast<uint32_t*>(0x100000); word < reinterpret_cast<uint32_t*>(0x1000000); ++word) {
        if ((*word & ~0x40u) != wanted) continue;
        accessed = true;
        *word &= ~0x20u;
    }
    return accessed;
}
bool has_hand() { return kind == Kind::Clock || kind == Kind::WorkingSet; }
bool has_counters() { return kind == Kind::Aging || kind == Kind::Own; }
Node* next_in_circle(const Node* node) { return node->next ? node->next : pages.first; }

/// In its owner's time.
uint32_t age_of(const Node* node) {
    const uint32_t now = page_usage::owner_time(frame_of(node));
    return now > node->time ? now - node->time : 0;
}

Result<FrameNumber> choose_by_clock() {
    while (was_accessed(hand)) hand = next_in_circle(hand);
    return frame_of(hand);
}

Result<FrameNumber> choose_by_age() {
    const Node* oldest = pages.first;
    for (const Node* node = oldest->next; node; node = node->next) {
        if (node->counter < oldest->counter) oldest = node;
    }
    return frame_of(oldest);
}

/// Moves pages from the active list until a third is inactive.
void refill_inactive() {
    while (3 * pages.count < pages.count + active.count) {
        Node* const tail = active.first;
        if (was_accessed(tail)) {
            active.move_to_end(tail);
        } else {
            active.remove(tail);
            pages.insert(tail, nullptr);
        }
    }
}

Result<FrameNumber> choose_of_inactive() {
    for (;;) {
        refill_inactive();
        Node* const tail = pages.first;
        if (!was_accessed(tail)) return frame_of(tail);
        pages.remove(tail);
        (tail->is_marked ? active : pages).insert(tail, nullptr);
        tail->is_marked = !tail->is_marked;
    }
}

/// The page of the greatest age, of those that need not be written if there is any.
Node* least_recent() {
    Node* best = nullptr;
    bool best_is_clean = false;
    uint32_t best_age = 0;
    Node* node = hand;
    do {
        const bool is_clean = !page_usage::is_dirty(frame_of(node));
        const uint32_t age = age_of(node);
        if (!best || (is_clean && !best_is_clean) || (is_clean == best_is_clean && age > best_age)) {
            best = node;
            best_is_clean = is_clean;
            best_age = age;
        }
        node = next_in_circle(node);
    } while (node != hand);
    return best;
}

Result<FrameNumber> choose_by_working_set() {
    size_t cleanings = 0;
    for (size_t looked = 0; looked < 2 * pages.count; ++looked, hand = next_in_circle(hand)) {
        const FrameNumber frame = frame_of(hand);
        if (was_accessed(hand)) {
            hand->time = page_usage::owner_time(frame);
        } else if (age_of(hand) > kWorkingSetWindow) {
            if (!page_usage::is_dirty(frame)) return frame;
            if (cleanings < kCleaningsPerSearch) {
                ++cleanings;
                page_usage::clean(frame);
            }
        }
    }
    hand = least_recent();
    return frame_of(hand);
}

} // namespace

Result<void> initialize(Kind wanted) {
    if (!nodes) nodes = static_cast<Node*>(TRY(vmalloc::allocate(frame_table::frame_count() * sizeof(Node))));
    for (size_t i = 0; i < frame_table::frame_count(); ++i) nodes[i] = {};
    kind = wanted;
    pages = active = {};
    hand = nullptr;
    return {};
}

void page_in(FrameNumber frame) {
    Node& node = nodes[frame.value()];
    node.counter = kind == Kind::Own ? kOwnNewcomer : kJustUsed;
    node.is_marked = false;
    node.time = kind == Kind::WorkingSet ? page_usage::owner_time(frame) : 0;
    pages.insert(&node, has_hand() && hand != pages.first ? hand : nullptr);
    if (!hand) hand = &node;
}

void page_out(FrameNumber frame) {
    Node& node = nodes[frame.value()];
    if (!node.list) return;
    if (hand == &node) hand = node.list->count > 1 ? next_in_circle(&node) : nullptr;
    node.list->remove(&node);
}

Result<FrameNumber> choose_victim() {
    if (count() == 0) return Error::NotFound;
    switch (kind) {
    case Kind::Fifo: return frame_of(pages.first);
    case Kind::Clock: return choose_by_clock();
    case Kind::Aging:
    case Kind::Own: return choose_by_age();
    case Kind::TwoLists: return choose_of_inactive();
    case Kind::WorkingSet: return choose_by_working_set();
    }
    return Error::NotFound;
}

void tick() {
    if (!has_counters()) return;
    for (Node* node = pages.first; node; node = node->next)
        node->counter = static_cast<uint8_t>(node->counter >> 1 | (was_accessed(node) ? kJustUsed : 0));
}

size_t count() { return pages.count + active.count; }

} // namespace mm::policy
