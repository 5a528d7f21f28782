/// @file
/// An address space: areas (lab 05's piece), a page directory that follows them (lab 02's), limits and counts.
///
/// Pages appear when somebody looks at them, by a page fault (mm/fault/demand.h); without CONFIG_DEMAND_PAGING when an area is made.
/// Either way the areas are the law, and after every call the page tables agree with them: every present user PTE lies in an area and
/// grants no more than the area does.
#pragma once

#include <cstddef>
#include <cstdint>

#include "config.h"
#include "lib/address.h"
#include "lib/result.h"
#include "mm/object/memory_object.h"
#include "mm/paging/page_table.h"
#include "mm/space/areas.h"

namespace mm {

/// What an address space may hold, in pages.
struct SpaceLimits {
    size_t address_space = kMaxFrames;  ///< In all areas together.
    size_t resident = kMaxFrames;       ///< Pages present, page tables not counted.
    size_t stack = CONFIG_DEMAND_PAGING ? 256 : 16;  ///< Of a stack, when it has grown; without demand paging it is made so large.
};

/// Where map() puts an area.
enum class MapPlace : uint8_t {
    Anywhere,      ///< At the hint if that is free, else where chance says.
    Fixed,         ///< Exactly at the hint; what is there goes (Linux: MAP_FIXED).
    FixedIfFree,   ///< Exactly at the hint, or Error::Exists.
};

struct MapRequest {
    size_t pages = 0;
    Protection protection;
    Sharing sharing = Sharing::Private;
    AreaKind kind = AreaKind::Mapping;
    MapPlace place = MapPlace::Anywhere;
    VirtAddr hint;
    MemoryObject* object = nullptr;     ///< Borrowed: map() takes a reference of its own.
    uint32_t first_page = 0;
};

/// Figures of one address space, in pages.
struct SpaceStatistics {
    size_t mapped;        ///< In areas.
    size_t resident;      ///< Present in its page tables.
    size_t swapped;       ///< In the swap area.
    size_t shared;        ///< Of these, frames with more than one owner.
    size_t page_tables;   ///< Frames of page tables, the directory included.
    size_t promised;      ///< In the account of promises (mm/object/commit.h).
    size_t areas;
};

class AddressSpace;

namespace spaces {

/// Takes the frame of zeros that untouched pages show (fault_services.h). Once, at boot, before any of the below.
void initialize();

/// An address space without areas.
/// @param random  chooses where the parts lie (ASLR); the same number, the same places. Ignored without CONFIG_ASLR.
/// @return Error::OutOfMemory
Result<AddressSpace*> create(uint32_t random, const SpaceLimits& limits);

/// Takes it apart: all areas, frames, page tables. It must not be active.
void destroy(AddressSpace* space);

/// How fork() shows the pages of one area in the child: copy_on_write::share() (mm/fault/copy_on_write.h), a floor above.
using SharePages = Result<void> (*)(AddressSpace* parent, AddressSpace* child, const Area& area);

/// A copy for fork(): same areas, same places. Large pages are split first, so that `share` meets small ones only.
/// @return Error::OutOfMemory; nothing is left behind then
Result<AddressSpace*> fork(AddressSpace* space, SharePages share);

/// Makes it the one that the CPU uses; null: none (the kernel's directory). Loads CR3 only when that changes something, and sets the
/// limit of the user code segment.
void activate(AddressSpace* space);
/// The active one, or null.
AddressSpace* active();

PageDirectory directory(const AddressSpace* space);
const areas::Set* areas_of(const AddressSpace* space);
SpaceStatistics statistics(const AddressSpace* space);
/// Single figures of these, for who asks often.
size_t resident_pages(const AddressSpace* space);
size_t swapped_pages(const AddressSpace* space);
size_t page_tables(const AddressSpace* space);
SpaceLimits& limits(AddressSpace* space);
/// Timer ticks in which the space's process ran: its virtual time. Whoever keeps the time adds to it.
uint32_t virtual_time(const AddressSpace* space);
void add_virtual_time(AddressSpace* space, uint32_t ticks);
/// One past the last address that may be executed: the limit of the code segment.
VirtAddr execute_line(const AddressSpace* space);

/// Adds an area. Without CONFIG_DEMAND_PAGING its pages are present and (without an object) zero: large ones where 4 MiB of private
/// memory can be one; pages that grant nothing, and those behind the end of the object, stay absent.
/// Areas that may be executed go into the executable arena, those that may be written never do: write and execute together are
/// refused, and so is what would lie on the wrong side.
/// @return the begin
///         Error::InvalidArgument  0 pages, Write and Execute together, Write without Read, Shared without an object
///         Error::Misaligned, OutOfRange  a fixed place that is none
///         Error::Exists           FixedIfFree
///         Error::AccessDenied     a fixed place in the wrong arena for its protection
///         Error::LimitReached     a limit of this space
///         Error::OutOfMemory, DeviceError (the object's)
/// Nothing has changed after an error, except that MapPlace::Fixed may have taken away what was there.
Result<VirtAddr> map(AddressSpace* space, const MapRequest& request);

/// Takes [begin, end) away: areas, pages, frames. What is not mapped is passed over.
/// @return Error::InvalidArgument, Misaligned, OutOfRange, OutOfMemory (a split). Nothing has changed then.
Result<void> unmap(AddressSpace* space, AddressRange range);

/// Changes the protection of areas and pages. A page without read, write or execute keeps its contents and is out of user code's
/// reach. A private page that may be written now, and whose frame others show as well, stays read-only: its first write copies.
/// @return as unmap(); Error::NotMapped when a page is in no area; Error::InvalidArgument, AccessDenied as map(). Nothing has changed then.
Result<void> protect(AddressSpace* space, AddressRange range, Protection protection);

/// Where the heap begins, and the break: one past its last byte. The kernel's program loader says where the image ends.
void place_heap(AddressSpace* space, VirtAddr image_end);
VirtAddr heap_begin(const AddressSpace* space);
VirtAddr heap_end(const AddressSpace* space);
/// Moves the break, in bytes: the heap's area grows or shrinks by whole pages.
/// @return Error::OutOfMemory, LimitReached, OutOfRange (below the heap's begin), Exists (something is in the way, or would lose the
///         guard page that a stack has below it)
Result<void> set_heap_end(AddressSpace* space, VirtAddr end);

/// Maps the first pages of a stack, where it has room to grow to the limit's size with a guard page below it; without
/// CONFIG_DEMAND_PAGING all of it.
/// @return one past its last byte
Result<VirtAddr> map_stack(AddressSpace* space);

/// Where an image of `pages` pages (text and variables, from its first to its last byte) goes; chance decides.
Result<VirtAddr> place_image(AddressSpace* space, size_t text_pages, size_t data_pages);

/// Gives the frames of private pages without an object back; the next look shows zeros (madvise MADV_DONTNEED).
Result<void> discard(AddressSpace* space, AddressRange range);

/// Makes one page present before anybody looks, as its area says: a zeroed frame, or the object's. Nothing happens when it is.
/// @return Error::NotMapped (no area), OutOfMemory, LimitReached, DeviceError, OutOfRange (past the object's end)
Result<void> resolve_page(AddressSpace* space, VirtAddr address);

/// Writes into a space that need not be active, through the frames and whatever the protection says: for who prepares a program. The
/// pages become present as with resolve_page(), and are the space's own: never those of an object (a private page of a file is a copy).
/// @return as resolve_page(), and Error::AccessDenied for a page that is not the space's own; a part may have been written then
Result<void> copy_into(AddressSpace* space, VirtAddr to, const void* from, size_t bytes);

/// Whether the page at `address` is present.
bool is_resident(const AddressSpace* space, VirtAddr address);

/// Takes all private pages of a space whose process is about to die and will not see user code again: frames and swap slots go at once, areas
/// stay until destroy(). Whoever looks at a page from now on, a system call say, finds no memory for it. The space must not be active.
/// @return how many frames that gave back
size_t reap(AddressSpace* space);
bool is_reaped(const AddressSpace* space);

/// Panics when areas, page tables and counts contradict each other. For tests; takes time for every page.
void check_invariants(const AddressSpace* space);

/// Panics when the account of promises (mm/object/commit.h) is not what the areas of all spaces and all shared memory add up to.
void check_promises();

} // namespace spaces
} // namespace mm
