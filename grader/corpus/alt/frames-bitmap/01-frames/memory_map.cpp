// Sorts all ends of entries, then counts how many usable and other entries are open while going over them.
#include "mm/physical/memory_map.h"

#include <algorithm>

namespace mm::memory_map {
namespace {

constexpr uint64_t kLimit = uint64_t{1} << 32;

struct Event {
    uint64_t at;
    int usable;  // +1: a usable entry begins here; -1: it ends
    int other;
};

} // namespace

Result<size_t> sanitise(std::span<const MemoryMapEntry> firmware, std::span<FrameRange> usable) {
    Event events[2 * kMaxEntries];
    size_t events_used = 0;
    for (const MemoryMapEntry& entry : firmware) {
        if (entry.length == 0 || entry.base >= kLimit) continue;
        uint64_t end = entry.base + entry.length;
        if (end < entry.base) end = ~uint64_t{0};
        const int is_usable = entry.kind == MemoryKind::Usable;
        events[events_used++] = {entry.base, is_usable, !is_usable};
        events[events_used++] = {std::min(end, kLimit), -is_usable, -!is_usable};
    }
    std::sort(events, events + events_used, [](const Event& a, const Event& b) { return a.at < b.at; });

    int open_usable = 0, open_other = 0;
    uint64_t begin = 0;
    bool inside = false;
    size_t count = 0;
    for (size_t i = 0; i < events_used;) {
        const uint64_t at = events[i].at;
        for (; i < events_used && events[i].at == at; ++i) open_usable += events[i].usable, open_other += events[i].other;
        const bool memory = open_usable > 0 && open_other == 0;
        if (memory && !inside) begin = at;
        if (!memory && inside) {
            const uint32_t first = static_cast<uint32_t>((begin + kPageSize - 1) / kPageSize);
            const uint32_t last = static_cast<uint32_t>(at / kPageSize);
            if (first < last) {
                if (count == usable.size()) return Error::OutOfMemory;
                usable[count++] = {FrameNumber(first), FrameNumber(last)};
            }
        }
        inside = memory;
    }
    return count;
}

} // namespace mm::memory_map
