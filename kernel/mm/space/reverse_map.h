/// @file
/// From a frame to the page table entries that lead to it. A frame of user memory is *pageable* from the moment when it is first shown
/// (FrameUse::Pageable, where there is a pager), and its entry in the frame table says where to look:
///
/// - **Private pages**: fork() keeps addresses, and nothing else gives a private page to another space. So all entries that lead to one
///   frame lie at the same address, in spaces of one *family*: those that come from one another by fork(). The frame's words are that
///   address and the family.
/// - **Pages of objects** (files, shared memory): the words are the object and the number of the page in it; the areas that show the object
///   say where. References tell when all have been found: one for each page, one of the object, perhaps one of the swap cache.
///
/// Linux's anon_vma and address_space answer the same question (Gorman, *Understanding the Linux Virtual Memory Manager*, 3.4; van de Ven and
/// McCracken's object-based reverse mapping). The frame of zeros, large pages and the kernel's own frames are not pageable.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "mm/object/memory_object.h"
#include "mm/paging/pte.h"

namespace mm {

class AddressSpace;

/// One page table entry that leads to a frame. `entry` is good until the visit returns.
struct Mapping {
    AddressSpace* space;
    VirtAddr page;
    Pte* entry;
};

namespace reverse_map {

using Visit = void (*)(void* context, const Mapping& mapping);

/// Shows every entry that leads to `frame`, a pageable one. `visit` may change the entry.
/// @return how many there are
size_t for_each(FrameNumber frame, Visit visit, void* context);

/// The same with a function object: `for_each(frame, [&](const Mapping& mapping) { ... })`.
template <typename F>
size_t for_each(FrameNumber frame, F visit) {
    return for_each(frame, [](void* context, const Mapping& mapping) { (*static_cast<F*>(context))(mapping); }, &visit);
}

/// The object that the frame is a page of; null for a private page.
MemoryObject* object_of(FrameNumber frame);
/// Which page of it.
size_t index_of(FrameNumber frame);
/// The address of a private page, the same in every space that shows it.
VirtAddr page_of(FrameNumber frame);

/// Whether the frame was written through an entry that has gone since: the dirty bits of the others do not tell.
bool was_dirtied(FrameNumber frame);
void set_dirtied(FrameNumber frame, bool dirtied);

} // namespace reverse_map
} // namespace mm
