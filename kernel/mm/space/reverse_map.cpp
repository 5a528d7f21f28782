#include "mm/space/reverse_map.h"

#include "lib/panic.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"
#include "mm/space/pageable.h"
#include "mm/space/pager.h"
#include "mm/space/present_pages.h"
#include "mm/space/space.h"

namespace mm {

namespace {

// FrameInfo::link[0] of a pageable frame: the page's address, or the page's number in the object in the same bits; and two flags below.
constexpr uint32_t kOfObject = 1u << 0;
constexpr uint32_t kDirtied = 1u << 1;
constexpr uint32_t kFlags = kOfObject | kDirtied;

constinit AddressSpace* all_spaces = nullptr;

/// The frame of zeros stays, and what is pageable already is in the books.
bool may_become_pageable(FrameNumber frame) {
    return frame_table::info(frame).use == FrameUse::Allocated && frame != spaces::zero_frame();
}

bool is_objects(const FrameInfo& info) { return info.link[0] & kOfObject; }

/// What a search carries from space to space.
struct Search {
    FrameNumber frame;
    reverse_map::Visit visit;
    void* context;
    size_t found = 0;

    void look(AddressSpace& space, VirtAddr page) {
        const Pde pde = spaces::directory_entry(space.directory, page);
        if (!pde.is_table()) return;
        const FrameMemory table = frame_memory(pde.frame());
        Pte& entry = table.as<Pte>()[page.table_index()];
        if (!entry.is_present() || entry.frame() != frame) return;
        ++found;
        visit(context, {&space, page, &entry});
    }
};

void search_family(Search& search, const FrameInfo& info) {
    const VirtAddr page(info.link[0] & ~kFlags);
    const auto* family = reinterpret_cast<const Family*>(info.link[1]);
    for (AddressSpace* space = family->first; space; space = space->next_in_family) search.look(*space, page);
}

/// What the search for an object's page looks for in each area.
struct ObjectSearch {
    Search& search;
    AddressSpace* space;
    const MemoryObject* object;
    size_t index;
};

void look_in_area(void* context, const Area& area) {
    auto& [search, space, object, index] = *static_cast<ObjectSearch*>(context);
    if (area.object != object || index < area.first_page || index - area.first_page >= area.range.pages()) return;
    search.look(*space, area.range.begin + (index - area.first_page) * kPageSize);
}

void search_objects_spaces(Search& search, const FrameInfo& info) {
    ObjectSearch where{search, nullptr, reinterpret_cast<MemoryObject*>(info.link[1]), info.link[0] >> kPageShift};
    const size_t most = info.references - 1; // one is the object's
    for (AddressSpace* space = all_spaces; space && search.found < most; space = space->next_space) {
        where.space = space;
        areas::for_each(space->areas, look_in_area, &where);
    }
}

} // namespace

namespace reverse_map {

size_t for_each(FrameNumber frame, Visit visit, void* context) {
    const FrameInfo info = frame_table::info(frame);
    Search search{frame, visit, context};
    if (is_objects(info)) search_objects_spaces(search, info);
    else search_family(search, info);
    return search.found;
}

MemoryObject* object_of(FrameNumber frame) {
    const FrameInfo& info = frame_table::info(frame);
    return is_objects(info) ? reinterpret_cast<MemoryObject*>(info.link[1]) : nullptr;
}

size_t index_of(FrameNumber frame) { return frame_table::info(frame).link[0] >> kPageShift; }

VirtAddr page_of(FrameNumber frame) { return VirtAddr(frame_table::info(frame).link[0] & ~kFlags); }

bool was_dirtied(FrameNumber frame) { return frame_table::info(frame).link[0] & kDirtied; }

void set_dirtied(FrameNumber frame, bool dirtied) {
    uint32_t& word = frame_table::info(frame).link[0];
    word = dirtied ? word | kDirtied : word & ~kDirtied;
}

} // namespace reverse_map

namespace spaces {

namespace {

void note_object_page(const Area& area, size_t index, FrameNumber frame) {
    if (!may_become_pageable(frame)) return;
    frames::make_pageable(frame, index << kPageShift | kOfObject, reinterpret_cast<uint32_t>(area.object));
    pager::get()->page_came(frame);
}

} // namespace

void join_family(AddressSpace& space, Family& family) {
    space.family = &family;
    space.next_in_family = family.first;
    family.first = &space;
    space.next_space = all_spaces;
    all_spaces = &space;
}

Family* leave_family(AddressSpace& space) {
    AddressSpace** link = &all_spaces;
    while (*link != &space) link = &(*link)->next_space;
    *link = space.next_space;
    link = &space.family->first;
    while (*link != &space) link = &(*link)->next_in_family;
    *link = space.next_in_family;
    return space.family->first ? nullptr : space.family;
}

AddressSpace* first_space() { return all_spaces; }

void note_private(AddressSpace& space, VirtAddr page, FrameNumber frame) {
    if (!pager::get() || !may_become_pageable(frame)) return;
    frames::make_pageable(frame, page.value(), reinterpret_cast<uint32_t>(space.family));
    pager::get()->page_came(frame);
}

void note_first_shown(AddressSpace& space, const Area& area, VirtAddr page, FrameNumber frame) {
    const bool is_private = !area.object || (area.sharing == Sharing::Private && frame_table::info(frame).references == 1);
    if (is_private) return note_private(space, page, frame);
    note_object_page(area, area.first_page + AddressRange{area.range.begin, page}.pages(), frame);
}

void note_original(const Area& area, VirtAddr page) {
    const size_t index = area.first_page + AddressRange{area.range.begin, page}.pages();
    const Result<FrameNumber> frame = area.object->operations->page_at_hand(*area.object, index);
    if (frame.is_error()) return;
    note_object_page(area, index, frame.value());
    KASSERT("an object keeps the frame of its page", !frames::release(frame.value()).is_error());
}

void note_dirty(AddressSpace& space, AddressRange range) {
    if (!pager::get()) return;
    for_each_present(space.directory, range, [](const PresentPage& page) {
        const bool tells = page.is_dirty && page.size == PageSize::Small && frame_table::info(page.frame).use == FrameUse::Pageable;
        if (tells) reverse_map::set_dirtied(page.frame, true);
    });
}

} // namespace spaces
} // namespace mm
