#include "guest/family_view.h"

#include <algorithm>
#include <iterator>

#include "mm/fault/page_fault.h"
#include "mm/object/memory_object.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"
#include "proc/process.h"

namespace programs_guest {

FamilyView family;

namespace {

constexpr size_t kMaxObjects = 64;

/// Objects that were looked at already.
struct Objects {
    const mm::MemoryObject* seen[kMaxObjects];
    size_t count = 0;
};

FaultWords words_of(const mm::fault::Counters& counters) {
    static_assert(std::size(FaultWords{}.outcomes) == mm::fault::kOutcomes && std::size(FaultWords{}.hows) == mm::fault::kHows);
    FaultWords words;
    std::copy(std::begin(counters.outcomes), std::end(counters.outcomes), words.outcomes);
    std::copy(std::begin(counters.hows), std::end(counters.hows), words.hows);
    words.stack_growths = counters.stack_growths;
    words.neighbours = counters.neighbours;
    return words;
}

/// Adds the frames that an area's object has in memory, once for each object. Nothing is read or made for it.
void note_object(void* context, const mm::Area& area) {
    auto& objects = *static_cast<Objects*>(context);
    if (!area.object || std::find(objects.seen, objects.seen + objects.count, area.object) != objects.seen + objects.count) return;
    if (objects.count < kMaxObjects) objects.seen[objects.count++] = area.object;
    for (size_t page = 0; page < area.object->pages; ++page) {
        const Result<FrameNumber> frame = area.object->operations->page_at_hand(*area.object, page);
        if (frame.is_error()) continue;
        (void)mm::frames::release(frame.value());
        if (family.frame_count < kMaxObjectFrames)
            family.object_frames[family.frame_count] = frame.value().value() * 2 + area.object->is_shared_memory;
        ++family.frame_count;
    }
}

void note_member(void* context, proc::Process& process) {
    if (!process.has_user_code()) return;
    if (family.member_count < kMaxMembers) {
        const mm::SpaceStatistics statistics = mm::spaces::statistics(process.space);
        family.members[family.member_count] = {process.pid, process.parent ? process.parent->pid : 0,
                                               mm::spaces::directory(process.space).frame.value(), static_cast<uint32_t>(statistics.resident),
                                               static_cast<uint32_t>(statistics.page_tables), words_of(process.faults)};
    }
    ++family.member_count;
    mm::areas::for_each(mm::spaces::areas_of(process.space), note_object, context);
}

} // namespace

void look_at_family() {
    Objects objects;
    family.member_count = family.frame_count = 0;
    family.zero_frame = mm::spaces::zero_frame().value();
    family.frames_in_use = mm::frames::in_use();
    family.faults = words_of(mm::fault::counters());
    proc::for_each(note_member, &objects);
}

} // namespace programs_guest
