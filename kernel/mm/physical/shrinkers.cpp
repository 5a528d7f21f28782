#include "mm/physical/shrinker.h"

#include "lib/panic.h"
#include "mm/physical/frame_cache.h"

namespace mm::shrinkers {

namespace {

constexpr size_t kMaxShrinkers = 8;

// The frame cache is the cheapest giver of all, and always there.
constinit Shrinker registered[kMaxShrinkers] = {{"frame cache", frame_cache::drain}};
constinit size_t registered_count = 1;
constinit bool is_shrinking = false;

} // namespace

void add(Shrinker shrinker) {
    KASSERT("there is room for another shrinker", registered_count < kMaxShrinkers);
    registered[registered_count++] = shrinker;
}

size_t shrink_all() {
    if (is_shrinking) return 0;
    is_shrinking = true;
    size_t given = 0;
    for (size_t i = 0; i < registered_count; ++i) given += registered[i].shrink();
    is_shrinking = false;
    return given;
}

} // namespace mm::shrinkers
