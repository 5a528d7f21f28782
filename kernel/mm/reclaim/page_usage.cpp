#include "mm/reclaim/page_usage.h"

#include <algorithm>

#include "mm/paging/tlb.h"
#include "mm/reclaim/load_control.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/usage_notes.h"
#include "mm/space/address_space.h"
#include "mm/space/reverse_map.h"

namespace mm::page_usage {

namespace {

/// Takes bits from an entry. The CPU sets them again when it walks to the entry, so the translation must go as well.
void change(const Mapping& mapping, uint32_t word) {
    *mapping.entry = Pte::from_word(word);
    if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
}

} // namespace

Usage of(FrameNumber frame) {
    Usage usage{.mappings = 0, .accessed = false, .dirty = reverse_map::was_dirtied(frame)};
    usage.mappings = reverse_map::for_each(frame, [&](const Mapping& mapping) {
        usage.accessed |= usage_notes::is_used_for_policy(*mapping.entry);
        usage.dirty |= mapping.entry->is_dirty();
    });
    return usage;
}

bool test_and_clear_accessed(FrameNumber frame) {
    bool accessed = false;
    const uint32_t for_sample = load_control::is_on() ? usage_notes::kForSample : 0;
    reverse_map::for_each(frame, [&](const Mapping& mapping) {
        if (!usage_notes::is_used_for_policy(*mapping.entry)) return;
        accessed = true;
        change(mapping, usage_notes::taken_for_policy(*mapping.entry, for_sample));
    });
    return accessed;
}

bool is_dirty(FrameNumber frame) {
    const MemoryObject* const object = reverse_map::object_of(frame);
    if (object && !object->is_shared_memory) return false; // no file can be written through a mapping
    return !reclaim::has_swap() || swap::slot_of(frame) == SwapSlot(0) || of(frame).dirty;
}

bool clean(FrameNumber frame) {
    if (!reclaim::has_swap() || swap::clean(frame).is_error()) return false;
    reverse_map::set_dirtied(frame, false);
    reverse_map::for_each(frame, [](const Mapping& mapping) {
        if (mapping.entry->is_dirty()) change(mapping, mapping.entry->word() & ~entry_bits::kDirty);
    });
    return true;
}

uint32_t owner_time(FrameNumber frame) {
    uint32_t latest = 0;
    reverse_map::for_each(frame, [&](const Mapping& mapping) { latest = std::max(latest, spaces::virtual_time(mapping.space)); });
    return latest;
}

} // namespace mm::page_usage
