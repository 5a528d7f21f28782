// What the areas of an address space are, and what a wild address in the user range comes close to.
#include <cstddef>
#include <cstdint>

#include "lib/format.h"
#include "mm/physical/frame_table.h"
#include "mm/report/reports.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"
#include "mm/space/present_pages.h"
#include "mm/space/swap_services.h"

namespace mm::report {

namespace {

constexpr size_t kMaxLine = 256;
constexpr size_t kMaxName = 48;

const char* kind_name(AreaKind kind) {
    switch (kind) {
    case AreaKind::Image: return "image";
    case AreaKind::Heap: return "heap";
    case AreaKind::Mapping: return "mapping";
    case AreaKind::Stack: return "stack";
    }
    return "?";
}

/// "rw-p", as in Linux's /proc/PID/maps.
struct RightsText {
    char text[5];
    explicit RightsText(const Area& area)
        : text{area.protection.read ? 'r' : '-', area.protection.write ? 'w' : '-', area.protection.execute ? 'x' : '-',
               area.sharing == Sharing::Shared ? 's' : 'p', 0} {}
};

/// What backs the area, and from which of its pages on.
void name_backing(const Area& area, std::span<char> text) {
    char name[kMaxName];
    if (!area.object) {
        format_into(text, "zeros");
        return;
    }
    area.object->operations->name(*area.object, name, sizeof name);
    format_into(text, "{} from page {}", name, area.first_page);
}

/// Where the lines go, and what they are about.
struct Maps {
    const AddressSpace* space;
    TextWriter write;
    void* context;

    void line(const char (&text)[kMaxLine], size_t length) const { write(context, text, length); }
};

struct PageCounts {
    size_t resident = 0;
    size_t shared = 0;
    size_t large = 0;
    size_t zeros = 0;   ///< That show the frame of zeros: nobody has written to them yet.
    size_t swapped = 0; ///< That have swap entries: in the swap area, not in memory.
};

PageCounts count_pages(const AddressSpace* space, AddressRange range) {
    PageCounts counts;
    spaces::for_each_present(spaces::directory(space), range, [&](const spaces::PresentPage& page) {
        counts.resident += page.pages();
        if (frame_table::info(page.frame).references > 1) counts.shared += page.pages();
        counts.large += page.size == PageSize::Large;
        counts.zeros += page.frame == spaces::zero_frame();
    });
    if (spaces::statistics(space).swapped > 0)
        spaces::for_each_swapped(spaces::directory(space), range, [](VirtAddr, Pte&) {}, [&](VirtAddr, size_t count) { counts.swapped += count; });
    return counts;
}

void write_area(void* context, const Area& area) {
    const Maps& maps = *static_cast<const Maps*>(context);
    const PageCounts pages = count_pages(maps.space, area.range);
    const RightsText rights(area);
    char backing[kMaxName + 24], line[kMaxLine];
    name_backing(area, backing);
    size_t length = format_into(line, "{x8}-{x8} {} {-7} {7} KiB, {7} resident, {7} shared: {}", area.range.begin, area.range.end,
                                static_cast<const char*>(rights.text), kind_name(area.kind), area.range.pages() * 4,
                                pages.resident * 4, pages.shared * 4, static_cast<const char*>(backing));
    if (pages.large > 0) length += format_into(std::span(line).subspan(length), ", {} of 4 MiB", pages.large);
    if (pages.zeros > 0) length += format_into(std::span(line).subspan(length), ", {} KiB in the frame of zeros", pages.zeros * 4);
    if (pages.swapped > 0) length += format_into(std::span(line).subspan(length), ", {} KiB in the swap area", pages.swapped * 4);
    length += format_into(std::span(line).subspan(length), "\n");
    maps.line(line, length);
}

} // namespace

void maps(const AddressSpace* space, TextWriter write, void* context) {
    Maps maps{space, write, context};
    areas::for_each(spaces::areas_of(space), write_area, &maps);
    const SpaceStatistics now = spaces::statistics(space);
    char line[kMaxLine];
    const size_t length = format_into(line, "{} areas, {} KiB, {} resident, {} shared, {} of page tables\n", now.areas, now.mapped * 4,
                                      now.resident * 4, now.shared * 4, now.page_tables * 4);
    maps.line(line, length);
}

void maps(const AddressSpace* space) {
    maps(space, [](void*, const char* text, size_t length) { print_text(text, length); }, nullptr);
}

const char* explain_user_fault(VirtAddr address) {
    static char text[kMaxLine];
    if (address < VirtAddr(kUserBegin) || address >= VirtAddr(kUserEnd)) return nullptr;
    const AddressSpace* const space = spaces::active();
    if (!space) return "a user address, and no address space is active";
    const Area* const area = areas::find_from(spaces::areas_of(space), address);
    if (!area) return "a user address above all areas of the active address space";
    const RightsText rights(*area);
    if (const SwapSlot slot = spaces::swap_entry(space, address); slot != SwapSlot(0)) {
        format_into(text, "a page of the {} area {x8} to {x8} ({}) that is in slot {} of the swap area; the kernel gets there by checked copies only",
                    kind_name(area->kind), area->range.begin, area->range.end, static_cast<const char*>(rights.text), slot.value());
    } else if (area->range.contains(address)) {
        format_into(text, "in the {} area {x8} to {x8} ({}) of the active address space; the kernel gets there by checked copies only",
                    kind_name(area->kind), area->range.begin, area->range.end, static_cast<const char*>(rights.text));
    } else if (area->range.begin.value() - address.value() <= kPageSize) {
        format_into(text, "guard page below the {} area {x8} to {x8} ({}) of the active address space", kind_name(area->kind),
                    area->range.begin, area->range.end, static_cast<const char*>(rights.text));
    } else {
        format_into(text, "in no area of the active address space; the next is {} {x8} to {x8}", kind_name(area->kind),
                    area->range.begin, area->range.end);
    }
    return text;
}

} // namespace mm::report
