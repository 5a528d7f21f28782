#include "mm/object/commit.h"

#include <algorithm>
#include <iterator>

#include "lib/panic.h"
#include "lib/text.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frames.h"

namespace mm::commit {

namespace {

constexpr const char* kNames[] = {"never", "heuristic", "always"};

constinit Policy in_force = Policy::Heuristic;
constinit size_t promised = 0;
constinit size_t most = 0;
constinit uint32_t refused = 0;
constinit size_t slots = 0;
constinit size_t usable = 0;  ///< 0: nobody has counted yet.

size_t count_usable() {
    size_t frames = frames::in_use();
    for (const Zone zone : kAllZones)
        frames += frame_allocator::free_frames(zone) + frame_cache::hot_count(zone) + frame_cache::zeroed_count(zone);
    return frames;
}

size_t usable_frames() {
    if (usable == 0) usable = count_usable();
    return usable;
}

size_t reserve() { return std::min(usable_frames(), std::max(usable_frames() / 8, kLeastReserve)); }

size_t limit() { return usable_frames() - reserve() + slots; }

bool must_refuse(size_t pages) {
    if (in_force == Policy::Always) return false;
    if (in_force == Policy::Heuristic) return pages > usable_frames() + slots;
    const size_t most_allowed = limit();
    return promised >= most_allowed || pages > most_allowed - promised;
}

} // namespace

const char* policy_name(Policy policy) { return kNames[static_cast<size_t>(policy)]; }

Result<Policy> policy_of(const char* name) {
    for (size_t i = 0; i < std::size(kNames); ++i) {
        if (text_is_word(name, kNames[i])) return static_cast<Policy>(i);
    }
    return Error::InvalidArgument;
}

void set_policy(Policy policy) { in_force = policy; }
Policy policy() { return in_force; }
void set_swap_slots(size_t count) { slots = count; }

Result<void> promise(size_t pages) {
    if (pages == 0) return {};
    if (must_refuse(pages)) {
        ++refused;
        return Error::OutOfMemory;
    }
    promised += pages;
    most = std::max(most, promised);
    return {};
}

void take_back(size_t pages) {
    KASSERT("what is taken back was promised", pages <= promised);
    promised -= pages;
}

Statistics statistics() {
    return {.promised = promised,
            .most = most,
            .limit = limit(),
            .usable = usable_frames(),
            .reserve = reserve(),
            .slots = slots,
            .refused = refused};
}

} // namespace mm::commit
