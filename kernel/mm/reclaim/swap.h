/// @file
/// The slots of the swap area, and the way of a page out of memory and back. **Contract of lab 09-swap** (file swap.cpp).
///
/// A *slot* holds one page on the disk (swap_area.h). Who needs a page that is not in memory holds an *entry* of its slot: a swap entry in a
/// page table (mm/paging/pte.h), one for each space that shows the page, or a place in a memory object. A slot may also have a *copy*
/// in memory: a frame with the same contents. All slots with a copy together are the *swap cache*.
///
///     entries   copy   the slot is
///     0         no     free
///     0         yes    kept, so that the page need not be written again while nobody changes it; taken away when slots are short
///     1 or more no     the only place where the contents are
///     1 or more yes    read already: who loads it gets the copy, not another frame. The entries together own one reference of the copy.
///
/// That one reference does three things. The copy stays while somebody may ask for it. A page that shows it has a count of 2 or more, so
/// copy-on-write keeps it from being written: slot and copy stay equal. And what was shared when it went out is shared when it comes back.
///
/// The kernel calls these functions at safe points only (mm/space/pager.h), never one from within another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/paging/pte.h"
#include "mm/space/areas.h"

namespace mm {

class AddressSpace;

namespace swap {

/// Slots of one block, aligned: what is read ahead together.
inline constexpr size_t kCluster = 8;

/// Begins with an area all of whose slots are free: 1 to swap_area::slots() - 1, without those that swap_area::is_bad(). What the piece
/// remembers, it takes memory for here (mm::kmalloc, mm::vmalloc). Called once for each boot.
/// @return Error::OutOfMemory
Result<void> initialize();

// Pages of address spaces.

/// Takes private pages out of memory. Each frame is pageable (mm/space/reverse_map.h) and of no object, no frame comes twice; any number of
/// page table entries leads to it, perhaps none.
///
/// For each frame: its contents lie in a slot, every entry that led to it becomes a swap entry for that slot (no TLB of the CPU knows it
/// any more, the spaces have counted it: swap_services.h), and the frame has no reference left. The slot has one more entry for each.
/// A frame that nobody shows and no entry names is just given back.
///
/// - A frame that has a slot with equal contents is not written: it is the slot's copy, and no entry's dirty bit nor
///   reverse_map::was_dirtied() says that it was changed. One that was changed is written to the slot that it has.
/// - The others get free slots, one after another where such are free, and every run of neighbours is written with one swap_area::write().
/// - A run that fails is written once more, slot by slot. A slot that fails alone is never used again, and its frame stays in memory as it was.
/// - Where no slot is free, the slots of copies that nobody has an entry of are taken; when there is none either, the frame stays.
///
/// @return how many of the frames are out
size_t swap_out(std::span<const FrameNumber> frames);

/// Makes a page present that has a swap entry: with the slot's copy, or a frame (Zone::High) that is read. It may be written at once if the
/// area may be, and nobody else has the frame, nor an entry of the slot. The entry is gone from the slot's count.
/// @return Error::OutOfMemory, DeviceError, LimitReached (resident pages). Nothing has changed then, but that what was read may stay as a copy.
Result<void> swap_in(AddressSpace* space, const Area& area, VirtAddr page);

// Pages of memory objects: nobody shows them in the meantime.

/// The slot with the contents of `frame`, which gets one more entry. Written unless the slot's copy is still equal.
/// @param changed  whether the frame was written since it had its slot, if it has one
/// @return Error::NoSpace, DeviceError; nothing has changed then
Result<SwapSlot> store(FrameNumber frame, bool changed);

/// The frame with the slot's contents, and a reference for the caller, in exchange for one entry.
///
/// What must be read is read together with its neighbours: slots of the same block of kCluster, that lie next to it or to one another,
/// have entries and no copy. They come with the same swap_area::read(), as far as frames can be had, and become copies.
/// @return Error::OutOfMemory, DeviceError (the slot itself; a neighbour's failure is nobody's business). The entry is the caller's still then.
Result<FrameNumber> load(SwapSlot slot);

/// Another entry of a slot that has some: fork().
void share(SwapSlot slot);

/// One entry less: its owner is gone. With the last one goes the copy's reference; the slot is free if nobody else shows the copy.
void release(SwapSlot slot);

// The swap cache.

/// Writes a page that stays in memory: its frame is the slot's copy afterwards. For who writes dirty pages before they must leave.
/// @return Error::NoSpace, DeviceError; nothing has changed then
Result<void> clean(FrameNumber frame);

/// The frame's last owner is gone. If it was the copy of a slot, that is free. Called for every pageable frame.
void forget(FrameNumber frame);

/// Gives back the frames of copies that only entries own, at most `count` of them. @return how many
size_t shrink(size_t count);

// What there is, for reports and tests.

/// The slot whose copy is this frame; SwapSlot(0).
SwapSlot slot_of(FrameNumber frame);
/// Entries of a slot.
uint32_t entries(SwapSlot slot);
/// Whether the entries of its slot own a reference of this frame.
bool holds(FrameNumber frame);

struct Statistics {
    size_t slots;        ///< That can be used: neither header nor bad.
    size_t free;         ///< Of these.
    size_t copies;       ///< Slots with a copy in memory.
    uint32_t pages_out;  ///< Frames that left, since the boot.
    uint32_t clean_out;  ///< Of these, without a write.
    uint32_t pages_in;   ///< load(), since the boot.
    uint32_t cache_hits; ///< Of these, that found a copy.
    uint32_t read_ahead; ///< Neighbours read, since the boot.
};
Statistics statistics();

} // namespace swap
} // namespace mm
