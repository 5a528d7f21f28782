// Where the parts of an address space go, and what may go where.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "arch/i386/user_mode.h"
#include "config.h"
#include "mm/space/areas.h"
#include "mm/space/space.h"
#include "mm/space/user_layout.h"

namespace mm::spaces {

namespace {

constexpr AddressRange kExecutableArena{VirtAddr(kExecutableBegin), VirtAddr(kExecutableEnd)};
constexpr AddressRange kStacksArena{VirtAddr(kStacksArenaBegin), VirtAddr(kStacksArenaEnd)};

/// So many pages of chance, or none without CONFIG_ASLR.
uint32_t chance(AddressSpace& space, unsigned bits) { return CONFIG_ASLR ? space.random.bits(bits) : 0; }

bool lies_in(AddressRange range, AddressRange arena) { return arena.begin <= range.begin && range.end <= arena.end; }

Result<VirtAddr> place_in(AddressSpace& space, const MapRequest& request, AddressRange window) {
    // What large pages can serve begins where one can.
    const bool wants_large_pages = CONFIG_LARGE_PAGES && !request.object && request.pages >= kPagesPerLargePage;
    return areas::place(space.areas, {.pages = request.pages,
                                      .alignment = wants_large_pages ? kLargePageSize : kPageSize,
                                      .window = window,
                                      .hint = VirtAddr(align_down(request.hint.value(), kPageSize))});
}

} // namespace

void choose_layout(AddressSpace& space) {
    space.mapping_top = VirtAddr(kStacksArenaBegin - chance(space, kMappingEntropy) * kPageSize);
    space.execute_line = kExecutableArena.begin;
    place_heap(&space, VirtAddr(kDataBegin));
}

void draw_execute_line(AddressSpace& space) {
    VirtAddr line = kExecutableArena.begin;
    for (const Area* area = areas::find_from(space.areas, line); area && area->range.begin < kExecutableArena.end;
         area = areas::find_from(space.areas, area->range.end)) {
        if (area->protection.execute) line = area->range.end;
    }
    if (line == space.execute_line) return;
    space.execute_line = line;
    if (active() == &space) i386::set_user_code_limit(line);
}

Result<void> check_range(AddressRange range) {
    if (range.begin == range.end) return Error::InvalidArgument;
    if (range.begin.page_offset() != 0 || range.end.page_offset() != 0) return Error::Misaligned;
    if (range.end < range.begin || range.begin < VirtAddr(kUserBegin) || range.end > VirtAddr(kUserEnd)) return Error::OutOfRange;
    return {};
}

Result<void> check_protection(Protection protection) {
    if (protection.write && (protection.execute || !protection.read)) return Error::InvalidArgument;
    return {};
}

Result<void> check_arena(AddressRange range, Protection protection) {
    if (protection.execute && !lies_in(range, kExecutableArena)) return Error::AccessDenied;
    if (protection.write && range.overlaps(kExecutableArena)) return Error::AccessDenied;
    return {};
}

Result<VirtAddr> find_place(AddressSpace& space, const MapRequest& request) {
    if (request.protection.execute) return place_in(space, request, kExecutableArena);
    const Result<VirtAddr> place = place_in(space, request, {VirtAddr(kDataBegin), space.mapping_top});
    if (!place.is_error() || place.error() != Error::OutOfMemory) return place;
    return place_in(space, request, {VirtAddr(kDataBegin), VirtAddr(kStacksArenaBegin)});
}

void place_heap(AddressSpace* space, VirtAddr image_end) {
    const uint32_t begin = std::max(image_end.value(), kDataBegin);
    space->heap_begin = VirtAddr(align_up(begin, kPageSize)) + chance(*space, kHeapEntropy) * kPageSize;
    space->heap_end = space->heap_begin;
}

VirtAddr heap_begin(const AddressSpace* space) { return space->heap_begin; }
VirtAddr heap_end(const AddressSpace* space) { return space->heap_end; }

Result<void> set_heap_end(AddressSpace* space, VirtAddr end) {
    if (end < space->heap_begin) return Error::OutOfRange;
    if (end > VirtAddr(kUserEnd)) return Error::OutOfMemory;
    const VirtAddr old_top(align_up(space->heap_end.value(), kPageSize));
    const VirtAddr new_top(align_up(end.value(), kPageSize));
    if (new_top > old_top) {
        const Area* const behind = areas::find(space->areas, new_top);
        if (behind && behind->kind == AreaKind::Stack) return Error::Exists;
        TRY(map(space, {.pages = AddressRange{old_top, new_top}.pages(),
                        .protection = {.read = true, .write = true},
                        .kind = AreaKind::Heap,
                        .place = MapPlace::FixedIfFree,
                        .hint = old_top}));
    } else if (new_top < old_top) {
        TRY(unmap(space, {new_top, old_top}));
    }
    space->heap_end = end;
    return {};
}

Result<VirtAddr> map_stack(AddressSpace* space) {
    const size_t room = space->limits.stack;
    const VirtAddr begin = TRY(areas::place(space->areas, {.pages = room,
                                                           .window = kStacksArena,
                                                           .hint = {},
                                                           .random = chance(*space, kStackEntropy)}));
    const VirtAddr top = begin + room * kPageSize;
    const size_t pages = kMapEagerly ? room : std::min(room, kFirstStackPages);
    TRY(map(space, {.pages = pages,
                    .protection = {.read = true, .write = true},
                    .kind = AreaKind::Stack,
                    .place = MapPlace::FixedIfFree,
                    .hint = begin + (room - pages) * kPageSize}));
    return top;
}

Result<VirtAddr> place_image(AddressSpace* space, size_t text_pages, size_t data_pages) {
    constexpr size_t kRoom = kImageDataOffset / kPageSize;
    if (text_pages > kRoom || data_pages > kRoom) return Error::OutOfMemory;
    const size_t slack = kRoom - text_pages + 1; // that many places keep the text in its arena
    return VirtAddr(kExecutableBegin) + chance(*space, kImageEntropy) % slack * kPageSize;
}

} // namespace mm::spaces
