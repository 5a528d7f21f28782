/// @file
/// The areas of one address space: which ranges of user addresses mean something, and what. **Contract of lab 05-spaces** (file
/// areas.cpp).
///
/// An *area* is a range of whole pages with one protection and one backing (Linux: vm_area_struct; Solaris and NetBSD: map entry).
/// The areas of an address space never overlap, and all lie in [kUserBegin, kUserEnd). They are the law: page tables only say which
/// pages of an area have a frame at the moment. This piece keeps the areas; the kernel (address_space.h) keeps the page tables in
/// step with what the piece tells it.
///
///     insert [4, 9)       remove [6, 7)          protect [2, 5)
///
///     0  2  4  6  8       0  2  4  6  8          0  2  4  6  8
///     |--|AAAAA|--|       |--|AA|-|A|--|         |--|r|A|-|A|--|
///
/// Areas are kept *merged*: whenever one area continues another (continues() below), the two are one area. So the same mappings
/// always make the same list of areas, however they came about; the tests compare it entry by entry.
///
/// The memory for areas comes from the heap (mm::slab, mm::kmalloc), and all of it goes back: what remove() cuts out, soon (a set may
/// keep a few nodes for the next change); the rest with destroy(). Caches that all sets share may stay.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "lib/result.h"

namespace mm {

struct MemoryObject; // object/memory_object.h: what backs an area

/// What user code may do with a page. The i386 cannot grant writing without reading.
struct Protection {
    bool read = false;
    bool write = false;
    bool execute = false;
    constexpr bool operator==(const Protection&) const = default;
};

/// What an area is for: shown in maps, and asked by policies.
enum class AreaKind : uint8_t { Image, Heap, Mapping, Stack };

/// Whether fork() gives the child pages of its own (Private), or both use the same ones (Shared).
enum class Sharing : uint8_t { Private, Shared };

/// User addresses [begin, end), whole pages.
struct AddressRange {
    VirtAddr begin;
    VirtAddr end;

    constexpr size_t pages() const { return (end.value() - begin.value()) / kPageSize; }
    constexpr bool contains(VirtAddr address) const { return begin <= address && address < end; }
    constexpr bool overlaps(AddressRange other) const { return begin < other.end && other.begin < end; }
    constexpr bool operator==(const AddressRange&) const = default;
};

/// One area. Everything but the range is its *attributes*.
struct Area {
    AddressRange range{};
    Protection protection{};
    AreaKind kind = AreaKind::Mapping;
    Sharing sharing = Sharing::Private;
    MemoryObject* object = nullptr;  ///< Null for private memory of zeros. A bare pointer to this piece: the address space counts owners.
    uint32_t first_page = 0;         ///< The page of the object that `range.begin` shows. 0 without an object.
};

/// Whether `right` continues `left`: it follows directly, has the same attributes, and shows the following pages of the same object.
constexpr bool continues(const Area& left, const Area& right) {
    return left.range.end == right.range.begin && left.protection == right.protection && left.kind == right.kind &&
           left.sharing == right.sharing && left.object == right.object &&
           (left.object == nullptr || left.first_page + left.range.pages() == right.first_page);
}

namespace areas {

/// The areas of one address space. What it holds is the piece's own business: complete the type in areas.cpp.
struct Set;

/// Takes one area, or a part of one; the reference is good until it returns. It may read the set, and must not change it; other sets
/// it may change (fork() does). How much of a change that is going on the set shows just then is open.
using Visit = void (*)(void* context, const Area& area);

/// A set without areas.
/// @return Error::OutOfMemory
Result<Set*> create();

/// Forgets all areas, and the set. Nobody is told: who needs to know has removed them before.
void destroy(Set* set);

/// Adds an area, and merges it with neighbours that it continues or that continue it.
/// @return Error::InvalidArgument  the range is empty (begin == end)
///         Error::Misaligned      begin or end is not a multiple of the page size
///         Error::OutOfRange      end lies below begin (the range wraps), or the range leaves [kUserBegin, kUserEnd)
///         Error::Exists          it overlaps an area
///         Error::OutOfMemory     no memory to remember it; also where merging would have needed none
/// Nothing has changed after an error. Where several errors fit, any of them may be returned.
Result<void> insert(Set* set, const Area& area);

/// Takes [begin, end) out of all areas: some go altogether, some lose their head or tail, one may be split in two. What stays keeps
/// its attributes, and shows the pages of its object that it showed before. Addresses in no area are passed over.
/// @param removed  called for each part that is taken out, lowest address first, with its attributes as they were (`first_page`
///                 fits the part's begin). May be null.
/// @return Error::InvalidArgument, Misaligned, OutOfRange as insert(); Error::OutOfMemory when one area becomes two and there is no
///         memory for the second. Nothing has changed then, and `removed` was not called. All else never fails for want of memory:
///         who is short of it must be able to unmap.
Result<void> remove(Set* set, AddressRange range, Visit removed, void* context);

/// Gives [begin, end) another protection. Areas are split at its ends where they must, and merged where they can.
/// @param changed  called for each part whose protection was another before, lowest address first, as it is afterwards. Parts are
///                 shown as they were parted before the change; whether neighbours have merged since does not matter. May be null.
/// @return Error::InvalidArgument, Misaligned, OutOfRange as insert(); Error::NotMapped when any page of the range is in no area;
///         Error::OutOfMemory when a split needs memory, also where a part would have merged with a neighbour at once. Nothing has
///         changed then, and `changed` was not called.
Result<void> protect(Set* set, AddressRange range, Protection protection, Visit changed, void* context);

/// The area that holds `address` (any number, not only user addresses), or null. Valid until the set is changed.
/// Takes time in proportion to the logarithm of the number of areas, as insert() and a remove() of one area do: on average over many
/// calls, so a tree that keeps its balance by chance or by use is fine.
const Area* find(const Set* set, VirtAddr address);

/// The lowest area that ends above `address`: the one that holds it, else the next one. Null when there is none. Cost as find().
const Area* find_from(const Set* set, VirtAddr address);

/// What place() is asked.
struct Placement {
    size_t pages = 0;
    size_t alignment = kPageSize;  ///< Of the begin, in bytes: a power of two, at least kPageSize.
    AddressRange window{};         ///< All pages lie in here.
    VirtAddr hint{};               ///< Wished begin; 0 for no wish.
    uint32_t random = 0;           ///< Which of the possible places to take.
    size_t guard_pages = 1;        ///< Pages that stay free below and above, towards other areas.
};

/// Finds a place for a new area. Changes nothing: who wants the place inserts an area there.
///
/// A begin is *possible* when it is a multiple of `alignment`, all pages lie in `window`, and no area overlaps them or the
/// `guard_pages` pages below and above them (the guard pages may lie outside the window, even outside the user range: only areas count).
///
/// 1. The hint, if it is possible.
/// 2. Else the possible begins, counted from the highest down, from 0: number `random` modulo how many there are. So 0 takes the
///    highest, and a random number takes each with the same chance.
///
/// Example: pages 0 to 9 are the window, an area has page 4, three pages are wanted with a guard page. Possible begins are 7, 6, and 0:
/// `random` 0, 3 and 6 give 7; 1 and 4 give 6; 2 and 5 give 0.
///
/// @return Error::InvalidArgument  0 pages, a bad alignment, an empty window
///         Error::Misaligned      the window's ends are not multiples of the page size
///         Error::OutOfRange      the window leaves the user range or wraps
///         Error::OutOfMemory     no begin is possible
Result<VirtAddr> place(const Set* set, const Placement& placement);

/// Shows every area, lowest address first.
void for_each(const Set* set, Visit visit, void* context);

/// How many areas there are.
size_t count(const Set* set);

} // namespace areas
} // namespace mm
