#include "guest/swap_view.h"

#include <algorithm>

#include "mm/object/memory_object.h"
#include "mm/physical/frame_table.h"
#include "mm/reclaim/reclaim.h"
#include "mm/space/address_space.h"
#include "mm/space/areas.h"
#include "proc/process.h"

namespace programs_guest {

SwapView swap_view;

namespace {

using harness::Call;
using namespace mm;

constexpr size_t kMaxObjects = 64;

/// Objects that were looked at already.
struct Objects {
    const MemoryObject* seen[kMaxObjects];
    size_t count = 0;
};

void note_statistics(const swap::Statistics& piece, const swap_area::Statistics& device) {
    swap_view.usable = piece.slots;
    swap_view.free = piece.free;
    swap_view.copies = piece.copies;
    swap_view.pages_out = piece.pages_out;
    swap_view.clean_out = piece.clean_out;
    swap_view.pages_in = piece.pages_in;
    swap_view.cache_hits = piece.cache_hits;
    swap_view.read_ahead = piece.read_ahead;
    swap_view.reads = device.reads;
    swap_view.writes = device.writes;
    swap_view.pages_read = device.pages_read;
    swap_view.pages_written = device.pages_written;
    swap_view.read_errors = device.read_errors;
    swap_view.write_errors = device.write_errors;
}

void note_entries() {
    for (uint32_t slot = 1; slot < std::min<size_t>(swap_view.slots, kMaxSlots); ++slot)
        swap_view.entries[slot] = std::min<uint32_t>(swap::entries(SwapSlot(slot)), UINT16_MAX);
}

void note_copies() {
    for (uint32_t frame = 0; frame < frame_table::frame_count(); ++frame) {
        const SwapSlot slot = swap::slot_of(FrameNumber(frame));
        if (slot == SwapSlot(0)) continue;
        if (swap_view.copy_count < kMaxCopies) swap_view.copy[swap_view.copy_count] = {slot.value(), frame};
        ++swap_view.copy_count;
    }
}

void note_object(void* context, const Area& area) {
    auto& objects = *static_cast<Objects*>(context);
    const MemoryObject* const object = area.object;
    if (!object || !object->is_shared_memory) return;
    if (std::find(objects.seen, objects.seen + objects.count, object) != objects.seen + objects.count) return;
    if (objects.count < kMaxObjects) objects.seen[objects.count++] = object;
    for (uint32_t index = 0; index < object->pages; ++index) {
        const SwapSlot slot = slot_of_shared_page(*object, index);
        if (slot == SwapSlot(0)) continue;
        if (swap_view.object_page_count < kMaxObjectPages)
            swap_view.object_pages[swap_view.object_page_count] = {static_cast<uint32_t>(reinterpret_cast<uintptr_t>(object)), index, slot.value()};
        ++swap_view.object_page_count;
    }
}

void note_objects_of(void* context, proc::Process& process) {
    if (process.has_user_code()) areas::for_each(spaces::areas_of(process.space), note_object, context);
}

/// swap.limit FRAMES: pageable frames that there may be from now on, so that a big machine is as short of memory as a small one.
void set_limit(Call& call) { reclaim::set_limit(call.number(0)); }

HARNESS_VERB("swap.limit", set_limit);

} // namespace

void look_at_swap(Call& call) {
    swap_view.slots = swap_area::is_open() && reclaim::is_initialized() ? swap_area::slots() : 0;
    swap_view.copy_count = swap_view.object_page_count = 0;
    if (swap_view.slots == 0) return;
    call.enter_piece();
    const swap::Statistics statistics = swap::statistics();
    note_entries();
    note_copies();
    call.leave_piece();
    note_statistics(statistics, swap_area::statistics());
    Objects objects;
    proc::for_each(note_objects_of, &objects);
}

} // namespace programs_guest
