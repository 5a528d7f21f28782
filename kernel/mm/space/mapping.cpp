// Areas come, go and change; page tables follow.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lib/panic.h"
#include "mm/object/commit.h"
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
    const size_t promised = promised_pages(part);
    space.promised -= promised;
    commit::take_back(promised);
    release_object(part);
}

void follow_protection(void* context, const Area& part) {
    AddressSpace& space = space_of(context);
    note_dirty(space, part.range);
    update_rights(space, part);
}

/// What a range has, and would have with another protection.
struct Sums {
    size_t mapped = 0;
    size_t unreachable = 0;
    size_t promised = 0, promised_then = 0;
};

Sums sums_for(const AddressSpace& space, AddressRange range, Protection protection) {
    Sums sums;
    for (const Area* area = areas::find_from(space.areas, range.begin); area && area->range.begin < range.end;
         area = areas::find_from(space.areas, area->range.end)) {
        Area part = *area;
        part.range = {std::max(area->range.begin, range.begin), std::min(area->range.end, range.end)};
        sums.mapped += part.range.pages();
        if (grants_nothing(part.protection)) sums.unreachable += part.range.pages();
        sums.promised += promised_pages(part);
        part.protection = protection;
        sums.promised_then += promised_pages(part);
    }
    return sums;
}

size_t mapped_pages(const AddressSpace& space, AddressRange range) {
    return sums_for(space, range, {}).mapped;
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

Result<void> change_protection(AddressSpace& space, AddressRange range, Protection protection) {
    TRY(split_large_pages(space, range));
    space.last_area = nullptr;
    return areas::protect(space.areas, range, protection, follow_protection, &space);
}

/// A new area and, without demand paging, its pages. Nothing has changed after an error.
Result<void> add(AddressSpace& space, const Area& area) {
    // The pages first: to forget them needs no memory, to take an area back that has merged with its neighbours may.
    if (kMapEagerly) TRY(make_present(space, area));
    space.last_area = nullptr;
    const Result<void> inserted = areas::insert(space.areas, area);
    if (inserted.is_error()) make_absent(space, area.range);
    return inserted;
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
    const size_t promised = promised_pages(area);
    TRY(commit::promise(promised));
    const Result<void> added = add(*space, area);
    if (added.is_error()) {
        commit::take_back(promised);
        return added.error();
    }
    retain_object(area);
    space->promised += promised;
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
    const Sums sums = sums_for(*space, range, protection);
    if (sums.mapped != range.pages()) return Error::NotMapped;
    const size_t more = sums.promised_then - std::min(sums.promised, sums.promised_then);
    TRY(commit::promise(more));
    const Result<void> changed = change_protection(*space, range, protection);
    if (changed.is_error()) {
        commit::take_back(more);
        return changed;
    }
    commit::take_back(sums.promised - std::min(sums.promised, sums.promised_then));
    space->promised += sums.promised_then - sums.promised;
    space->unreachable += (grants_nothing(protection) ? range.pages() : 0) - sums.unreachable;
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
