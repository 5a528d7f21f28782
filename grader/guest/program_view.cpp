#include "guest/program_view.h"

#include "lib/memory.h"
#include "mm/physical/frames.h"
#include "mm/report/reports.h"
#include "mm/space/areas.h"
#include "mm/space/fault_services.h"

namespace programs_guest {

constinit View view{};

namespace {

struct AreaList {
    AreaWords* areas;
    size_t capacity;
    size_t count = 0;
};

struct Text {
    char* to;
    size_t capacity;
    size_t bytes = 0;
};

void note_area(void* context, const mm::Area& area) {
    auto& list = *static_cast<AreaList*>(context);
    const uint32_t protection = (area.protection.read ? 1u : 0) | (area.protection.write ? 2u : 0) | (area.protection.execute ? 4u : 0);
    if (list.count < list.capacity)
        list.areas[list.count] = {area.range.begin.value(), area.range.end.value(), protection, static_cast<uint32_t>(area.kind),
                                  static_cast<uint32_t>(area.sharing), address_of(area.object).value(), area.first_page};
    ++list.count;
}

void append(void* context, const char* text, size_t length) {
    auto& to = *static_cast<Text*>(context);
    const size_t room = to.bytes < to.capacity ? to.capacity - to.bytes : 0;
    memcpy(to.to + to.bytes, text, length < room ? length : room);
    to.bytes += length;
}

} // namespace

size_t list_areas(const mm::AddressSpace* space, AreaWords* areas, size_t capacity) {
    AreaList list{areas, capacity};
    mm::areas::for_each(mm::spaces::areas_of(space), note_area, &list);
    return list.count;
}

size_t write_maps(const mm::AddressSpace* space, char* text, size_t capacity) {
    Text to{text, capacity};
    mm::report::maps(space, append, &to);
    return to.bytes;
}

void look_at(proc::Process& process) {
    const mm::AddressSpace* const space = process.space;
    const mm::SpaceStatistics statistics = mm::spaces::statistics(space);
    view.pid = process.pid;
    view.directory = mm::spaces::directory(space).frame.value();
    view.execute_line = mm::spaces::execute_line(space).value();
    view.heap_begin = mm::spaces::heap_begin(space).value();
    view.heap_end = mm::spaces::heap_end(space).value();
    view.mapped = statistics.mapped;
    view.resident = statistics.resident;
    view.shared = statistics.shared;
    view.page_tables = statistics.page_tables;
    view.frames_in_use = mm::frames::in_use();
    view.zero_frame = mm::spaces::zero_frame().value();
    view.area_count = list_areas(space, view.areas, kMaxAreas);
    view.maps_bytes = write_maps(space, view.maps, kMaxMapsBytes);
    view.faults = process.faults;
}

} // namespace programs_guest
