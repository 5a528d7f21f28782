// Areas come, go and change; page tables follow.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lib/panic.h"
#include "mm/space/areas.h"
#include "mm/space/pageable.h"
#include "mm/space/space.h"

namespace mm::spaces {

namespace {

AddressSpace& space_of(void* context) { return *static_cast<AddressSpace*>(context); }

/// A part of an area goes: called by areas::remove().
void take_away(void* context, const Area& part) {
    AddressSpace& space = space_of(context);
    make_absent(space, part.range);
    space.mapped -= part.range.pages();
    if (grants_nothing(part.protection)) space.unreachable -= part.range.pages();
    release_object(part);
}

void follow_protection(void* context, const Area& part) {
    AddressSpace& space = space_of(context);
    note_dirty(space, part.range);
    update_rights(space, part);
}

/// Pages of the range that are in areas of which `counts` is true.
template <typename Counts>
size_t pages_in_areas(const AddressSpace& space, AddressRange range, Counts counts) {
    size_t pages = 0;
    for (const Area* area = areas::find_from(space.areas, range.begin); area && area->range.begin < range.end;
         area = areas::find_from(space.areas, area->range.end)) {
        const AddressRange part{std::max(area->range.begin, range.begin), std::min(area->range.end, range.end)};
        if (counts(*area)) pages += part.pages();
    }
    return pages;
}

size_t mapped_pages(const AddressSpace& space, AddressRange range) {
    return pages_in_areas(space, range, [](const Area&) { return true; });
}

size_t unreachable_pages(const AddressSpace& space, AddressRange range) {
    if (space.unreachable == 0) return 0;
    return pages_in_areas(space, range, [](const Area& area) { return grants_nothing(area.protection); });
}

/// The range that a request means when its place is fixed.
Result<AddressRange> fixed_range(const MapRequest& request) {
    if (request.hint.page_offset() != 0) return Error::Misaligned;
    if (request.pages > (kUserEnd - kUserBegin) / kPageSize) return Error::OutOfRange;
    const AddressRange range{request.hint, request.hint + request.pages * kPageSize};
    TRY(check_range(range));
    TRY(check_arena(range, request.protection));
    return range;
}

/// Where the new area goes; it is free afterwards.
Result<AddressRange> make_room(AddressSpace& space, const MapRequest& request) {
    if (request.place == MapPlace::Anywhere) {
        if (request.pages > space.limits.address_space - std::min(space.mapped, space.limits.address_space)) return Error::LimitReached;
        const VirtAddr begin = TRY(find_place(space, request));
        return AddressRange{begin, begin + request.pages * kPageSize};
    }
    const AddressRange range = TRY(fixed_range(request));
    const size_t replaced = mapped_pages(space, range);
    if (replaced > 0 && request.place == MapPlace::FixedIfFree) return Error::Exists;
    if (space.mapped - replaced + request.pages > space.limits.address_space) return Error::LimitReached;
    if (replaced > 0) TRY(unmap(&space, range));
    return range;
}

} // namespace

Result<VirtAddr> map(AddressSpace* space, const MapRequest& request) {
    if (request.pages == 0) return Error::InvalidArgument;
    TRY(check_protection(request.protection));
    if (request.sharing == Sharing::Shared && !request.object) return Error::InvalidArgument; // whose pages would they share?
    if (request.object && request.first_page > UINT32_MAX - request.pages) return Error::InvalidArgument;
    const AddressRange range = TRY(make_room(*space, request));
    const Area area{.range = range,
                    .protection = request.protection,
                    .kind = request.kind,
                    .sharing = request.sharing,
                    .object = request.object,
                    .first_page = request.object ? request.first_page : 0};
    // The pages first: to forget them needs no memory, to take an area back that has merged with its neighbours may.
    if (kMapEagerly) TRY(make_present(*space, area));
    space->last_area = nullptr;
    const Result<void> inserted = areas::insert(space->areas, area);
    if (inserted.is_error()) {
        make_absent(*space, range);
        return inserted.error();
    }
    retain_object(area);
    space->mapped += request.pages;
    if (grants_nothing(area.protection)) space->unreachable += request.pages;
    if (area.protection.execute) draw_execute_line(*space);
    return range.begin;
}

Result<void> unmap(AddressSpace* space, AddressRange range) {
    TRY(check_range(range));
    TRY(split_large_pages(*space, range));
    space->last_area = nullptr;
    TRY(areas::remove(space->areas, range, take_away, space));
    if (range.begin < space->execute_line) draw_execute_line(*space);
    return {};
}

Result<void> protect(AddressSpace* space, AddressRange range, Protection protection) {
    TRY(check_range(range));
    TRY(check_protection(protection));
    TRY(check_arena(range, protection));
    if (mapped_pages(*space, range) != range.pages()) return Error::NotMapped;
    const size_t unreachable = unreachable_pages(*space, range);
    TRY(split_large_pages(*space, range));
    space->last_area = nullptr;
    TRY(areas::protect(space->areas, range, protection, follow_protection, space));
    space->unreachable += (grants_nothing(protection) ? range.pages() : 0) - unreachable;
    draw_execute_line(*space);
    return {};
}

Result<void> discard(AddressSpace* space, AddressRange range) {
    TRY(check_range(range));
    if (mapped_pages(*space, range) != range.pages()) return Error::NotMapped;
    TRY(split_large_pages(*space, range));
    for (const Area* area = areas::find_from(space->areas, range.begin); area && area->range.begin < range.end;
         area = areas::find_from(space->areas, area->range.end)) {
        if (area->object || area->sharing == Sharing::Shared) continue;
        make_absent(*space, {std::max(area->range.begin, range.begin), std::min(area->range.end, range.end)});
    }
    return {};
}

} // namespace mm::spaces
