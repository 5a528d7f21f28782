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
/// A copy without entries may be written by whoever has it. The slot stays its own, with contents that are old then.
///
/// A slot is *retired* when its sectors cannot be written: it is none of the area's slots any more.
///
/// The kernel calls these functions at safe points only (mm/space/pager.h), never one from within another; but for forget(), which
/// comes from within frames::release(), also when it is the piece that releases.
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

/// Takes private pages out of memory. Each frame is pageable (mm/space/reverse_map.h) and of no object, no frame comes twice. It has one
/// reference for each page table entry that leads to it, and no other but the one that a slot's entries may own: a copy may have that one alone.
///
/// For each frame: its contents lie in a slot, every entry that led to it becomes a swap entry for that slot (no TLB of the CPU knows it
/// any more, the spaces have counted it: swap_services.h), and the frame has no reference left. The slot has one more entry for each.
///
/// - A frame that has a slot with equal contents is not written: it is the slot's copy, and no entry's dirty bit nor
///   reverse_map::was_dirtied() says that it was changed. One that was changed is written to the slot that it has.
/// - The others get free slots, one after another where such are free, in the order of the frames.
/// - Frames that come one after another, must be written, and have neighbouring slots in the same order, are written with one swap_area::write(): at
///   least among each kCluster of the frames.
/// - A run that fails is written once more, slot by slot. A slot that fails alone is retired, and its frame stays in memory as it was, without
///   a slot.
/// - Where no slot is free, the slots of copies that nobody has an entry of are taken, and these frames are no copies any more; when there is
///   none either, the frame stays.
///
/// @param frames  any number of them
/// @return how many of the frames are out
size_t swap_out(std::span<const FrameNumber> frames);

/// Makes a page present that has a swap entry: with the slot's copy, or a frame (Zone::High) that is read. It may be written at once if the
/// area may be, and nobody else has the frame, nor an entry of the slot. The entry is gone from the slot's count.
/// Reads as load().
/// @return Error::OutOfMemory, DeviceError, LimitReached (resident pages). Nothing has changed then, but that what was read may stay as a copy.
Result<void> swap_in(AddressSpace* space, const Area& area, VirtAddr page);

// Pages of memory objects: nobody shows them in the meantime.

/// The slot with the contents of `frame`, which gets one more entry. Written unless the frame is the slot's copy and still equal. It is no
/// copy any more: if entries owned a reference of it, that is gone. The caller's own reference is his to give back.
/// @param changed  whether the frame was written since it had its slot, if it has one
/// @return Error::NoSpace, DeviceError (a slot that cannot be written is retired, as in swap_out()). Nothing else has changed then.
Result<SwapSlot> store(FrameNumber frame, bool changed);

/// The frame with the slot's contents, and a reference for the caller, in exchange for one entry. It stays the slot's copy.
///
/// What must be read is read together with its neighbours: the slots of the same block of kCluster that make one run with it, each with
/// entries and no copy. They come with the same swap_area::read(), as far as frames can be had, and become copies.
/// @return Error::OutOfMemory, DeviceError (the slot itself; a neighbour's failure is nobody's business). The entry is the caller's still then.
Result<FrameNumber> load(SwapSlot slot);

/// Another entry of a slot that has some: fork().
void share(SwapSlot slot);

/// One entry less: its owner is gone. With the last one goes the entries' reference of the copy. If that was the copy's last reference, or there
/// is no copy, the slot is free.
void release(SwapSlot slot);

// The swap cache.

/// Writes a page that stays in memory, to its own slot or a free one, as swap_out() does: its frame is the slot's copy afterwards. For who writes
/// dirty pages before they must leave, and clears their dirty marks himself (mm/reclaim/page_usage.h). A copy that entries own a
/// reference of is equal, and not written.
/// @return Error::NoSpace, DeviceError (a slot that cannot be written is retired). Nothing else has changed then.
Result<void> clean(FrameNumber frame);

/// The frame's last reference is about to go. If it was the copy of a slot, which has no entries then, that slot is free. Called for every
/// pageable frame, from within frames::release(); and for the other frames of load() by whoever has them.
void forget(FrameNumber frame);

/// Gives back the frames of copies whose only reference is that of the entries, at most `count` of them. @return how many
size_t shrink(size_t count);

// What there is, for reports and tests.

/// The slot whose copy is this frame; SwapSlot(0) when it is none's. For any frame of memory.
SwapSlot slot_of(FrameNumber frame);
/// Entries of a slot; 0 for one that cannot be used.
uint32_t entries(SwapSlot slot);
/// Whether the entries of its slot own a reference of this frame.
bool holds(FrameNumber frame);

struct Statistics {
    size_t slots;        ///< That can be used: not the header, nor bad or retired ones.
    size_t free;         ///< Of these, without entries and without a copy.
    size_t copies;       ///< Slots with a copy in memory.
    uint32_t pages_out;  ///< Frames that left by swap_out() or store(), since the boot.
    uint32_t clean_out;  ///< Of these, without a write.
    uint32_t pages_in;   ///< What load() and swap_in() have given, since the boot.
    uint32_t cache_hits; ///< Of these, that found a copy.
    uint32_t read_ahead; ///< Neighbours read, since the boot.
};
Statistics statistics();

} // namespace swap
} // namespace mm
