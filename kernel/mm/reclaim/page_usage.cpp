#include "mm/reclaim/page_usage.h"

#include <algorithm>

#include "mm/paging/tlb.h"
#include "mm/reclaim/swap.h"
#include "mm/space/address_space.h"
#include "mm/space/reverse_map.h"

namespace mm::page_usage {

namespace {

/// Takes a bit from an entry. The CPU sets it again when it walks to the entry, so the translation must go as well.
void clear(const Mapping& mapping, uint32_t bit) {
    *mapping.entry = Pte::from_word(mapping.entry->word() & ~bit);
    if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
}

} // namespace

Usage of(FrameNumber frame) {
    Usage usage{.mappings = 0, .accessed = false, .dirty = reverse_map::was_dirtied(frame)};
    usage.mappings = reverse_map::for_each(frame, [&](const Mapping& mapping) {
        usage.accessed |= mapping.entry->is_accessed();
        usage.dirty |= mapping.entry->is_dirty();
    });
    return usage;
}

bool test_and_clear_accessed(FrameNumber frame) {
    bool accessed = false;
    reverse_map::for_each(frame, [&](const Mapping& mapping) {
        if (!mapping.entry->is_accessed()) return;
        accessed = true;
        clear(mapping, entry_bits::kAccessed);
    });
    return accessed;
}

bool is_dirty(FrameNumber frame) {
    const MemoryObject* const object = reverse_map::object_of(frame);
    if (object && !object->is_shared_memory) return false; // no file can be written through a mapping
    return swap::slot_of(frame) == SwapSlot(0) || of(frame).dirty;
}

bool clean(FrameNumber frame) {
    if (swap::clean(frame).is_error()) return false;
    reverse_map::set_dirtied(frame, false);
    reverse_map::for_each(frame, [](const Mapping& mapping) {
        if (mapping.entry->is_dirty()) clear(mapping, entry_bits::kDirty);
    });
    return true;
}

uint32_t owner_time(FrameNumber frame) {
    uint32_t latest = 0;
    reverse_map::for_each(frame, [&](const Mapping& mapping) { latest = std::max(latest, spaces::virtual_time(mapping.space)); });
    return latest;
}

} // namespace mm::page_usage
