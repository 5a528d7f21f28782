/// @file
/// The inside of an address space, for the files of this folder.
///
/// Who owns what: every present page of the user range holds one reference of its frame (a large page: of its run of 1024), so taking
/// a page away is: forget the entry, drop the reference. Every page of an area with an object holds one reference of that object,
/// present or not: areas merge and split without anybody being told, and pages do not.
#pragma once

#include <cstddef>
#include <cstdint>

#include "config.h"
#include "lib/random.h"
#include "mm/paging/page_table.h"
#include "mm/space/address_space.h"
#include "mm/space/areas.h"
#include "mm/space/load_notes.h"

namespace mm {

struct Family;

class AddressSpace {
public:
    PageDirectory directory;
    areas::Set* areas = nullptr;
    SpaceLimits limits;
    size_t mapped = 0;         ///< Pages in areas.
    size_t resident = 0;       ///< Pages present.
    size_t swapped = 0;        ///< Pages that have swap entries.
    size_t large_pages = 0;    ///< Of the present ones, in units of 4 MiB.
    size_t promised = 0;       ///< Pages in areas that the account of promises knows (mm/object/commit.h).
    size_t unreachable = 0;    ///< Pages in areas that grant nothing: while there are any, checked copies must ask the areas.
    VirtAddr execute_line;     ///< One past the last page that may be executed; kExecutableBegin when there is none.
    VirtAddr heap_begin;
    VirtAddr heap_end;         ///< The break, in bytes.
    VirtAddr mapping_top;      ///< Where mappings begin, downwards.
    VirtAddr hand;             ///< Where give_one_page() goes on (pageable.h).
    uint32_t virtual_time = 0;  ///< Timer ticks in which its process ran.
    bool is_reaped = false;     ///< Its private pages have been taken for good (reap()).
    LoadNotes load;
    Random random;
    Family* family = nullptr;               ///< Spaces that come from one another by fork() (pageable.h).
    AddressSpace* next_in_family = nullptr;
    AddressSpace* next_space = nullptr;     ///< Of all there are.
    const Area* last_area = nullptr;  ///< What find_area() found; null once any area changes.
};

namespace spaces {

/// Whether pages appear when an area is made, or when somebody looks at them. Everything works either way.
inline constexpr bool kMapEagerly = !CONFIG_DEMAND_PAGING;

/// Pages of a stack that are in its area from the beginning; it grows as it is used. The first holds the program's arguments.
inline constexpr size_t kFirstStackPages = 2;

inline constexpr bool grants_nothing(Protection protection) {
    return !protection.read && !protection.write && !protection.execute;
}

/// Whether somebody was promised the pages of such an area: each may come to need a frame that can nowhere be read again.
inline constexpr bool is_promise(const Area& area) {
    return area.sharing == Sharing::Private && (area.object ? area.protection.write : !grants_nothing(area.protection));
}
inline constexpr size_t promised_pages(const Area& area) { return is_promise(area) ? area.range.pages() : 0; }

/// For every page of an area with an object there is a reference of that.
inline void retain_object(const Area& area) {
    if (area.object) area.object->references += area.range.pages();
}
inline void release_object(const Area& area) {
    if (!area.object) return;
    area.object->references -= area.range.pages() - 1;
    release(*area.object);
}

/// The most that the page tables say for pages of such an area: private pages that others show as well say less (copy_on_write.h). A page
/// that grants nothing stays where it is, for the kernel only.
inline constexpr Rights rights_of(Protection protection) {
    return {.access = protection.write ? Access::ReadWrite : Access::ReadOnly,
            .privilege = grants_nothing(protection) ? Privilege::Supervisor : Privilege::User,
            .scope = Scope::Local};
}

// pages.cpp: what is present.

/// Makes all pages of a new area present, in large pages where that works; those past the end of the object stay absent, and so do all of
/// an area that grants nothing. On an error none are.
/// @return Error::OutOfMemory, LimitReached, DeviceError
Result<void> make_present(AddressSpace& space, const Area& area);

/// Makes one page present that is not. @return as resolve_page()
Result<void> make_page(AddressSpace& space, const Area& area, VirtAddr page);

/// Takes the pages of the range out of the page tables, and drops their references. No large page may lie across its ends.
void make_absent(AddressSpace& space, AddressRange range);

/// Splits the large pages that lie across the ends of the range, so that both sides can go their own ways. They look the same to user
/// code before and after.
/// @return Error::OutOfMemory
Result<void> split_large_pages(AddressSpace& space, AddressRange range);

/// Gives the present pages of an area, whose protection has just changed, the rights that it grants. Private pages whose frame others show
/// as well stay read-only: their first write copies.
void update_rights(AddressSpace& space, const Area& area);

/// Splits all large pages of the area, so that fork() can share what is in them page by page.
/// @return Error::OutOfMemory; some may be split then
Result<void> split_all_large_pages(AddressSpace& space, const Area& area);

/// Drops the references of all pages of the area, and leaves the page tables alone: they go as a whole.
void abandon_pages(AddressSpace& space, AddressRange range);

// placement.cpp: where things go.

void choose_layout(AddressSpace& space);
/// Moves the line behind the last executable area, and tells the CPU when the space is active.
void draw_execute_line(AddressSpace& space);
/// @return Error::AccessDenied when the range lies in the wrong arena for the protection; Error::InvalidArgument for one that the
///         i386, or W^X, cannot grant
Result<void> check_protection(Protection protection);
Result<void> check_arena(AddressRange range, Protection protection);
Result<VirtAddr> find_place(AddressSpace& space, const MapRequest& request);

/// @return Error::InvalidArgument for an empty range, Misaligned, OutOfRange
Result<void> check_range(AddressRange range);

} // namespace spaces
} // namespace mm
