/// @file
/// Which page leaves when memory is short. **Contract of lab 10-replace** (file policy.cpp).
///
/// The kernel tells the policy which pages come into memory and which go, and asks it for victims. How pages have been used, the policy
/// asks page_usage.h. One kind of policy is in force from the boot on (`policy=clock`). A page is named by its frame.
///
/// Fifo and Clock (with no page accessed) must find a victim in a time that does not depend on how many pages there are; so must page_in() and
/// page_out() for every kind. They are called in the middle of page faults, with interrupts off.
///
/// Every kind but the last is described so exactly that two correct pieces choose the same victims:
///
/// - **Fifo**: the page that came first.
/// - **Clock** (second chance): the pages stand in a circle, in the order in which they came, and a hand points at the one to be looked at next;
///   a page that comes stands directly behind the hand, so that it is looked at last. choose_victim(): while the page at the hand
///   was accessed (the bit is cleared by asking), the hand moves on; then it is the victim, and the hand stays on it.
///   When the page at the hand goes, the hand points at the next one. (Corbato 1968)
/// - **Aging**: a page has a counter of 8 bits, 0x80 when it comes. At each tick() it is shifted right by one, and the accessed bit (cleared by
///   asking) enters at the left. The victim is the page with the smallest counter; of several, the one that came first. Accesses since the
///   last tick do not count, and stay for the next. (Tanenbaum, *Modern Operating Systems*, 3.4.7)
/// - **TwoLists**: an active and an inactive list. A page that comes is put at the head of the inactive one, without a mark. choose_victim() repeats:
///   (a) while fewer than a third of all pages are inactive (3 * inactive < all), the page at the tail of the active list is moved: to
///   the head of the active list if it was accessed, to the head of the inactive list if not. (b) The page at the tail of the inactive
///   list is the victim if it was not accessed. If it was, and has no mark, it gets one, and moves to the head of the inactive list;
///   if it has one, that is taken away, and the page moves to the head of the active list. So it takes two uses to become active, and a
///   page that is used once for ever does not. (Gorman, *Understanding the Linux Virtual Memory Manager*, 10.1)
/// - **WorkingSet** (WSClock): a circle and a hand as with Clock, and a time for each page: when it was last seen used, in its owner's virtual
///   time (page_usage::owner_time()); at first when it came. Its age is its owner's time now less that; 0 when that would be negative
///   (the owner of then is gone). choose_victim() looks at the page at the hand: was it accessed, then its time is now; else, is its
///   age above kWorkingSetWindow, and it is clean, then it is the victim, and the hand stays on it; else, is its age above
///   kWorkingSetWindow, and it is dirty, then it is cleaned (page_usage::clean(); at most kCleaningsPerSearch attempts for each search).
///   Then the hand moves on. After two turns (2 * count() pages looked at) without a victim it is the clean page of the greatest age, of
///   several the first from the hand on; without a clean page the same among all. The hand moves there. (Carr and Hennessy 1981)
/// - **Own**: whatever you like. It must name a page of the set; how few faults it leads to, is measured.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "lib/result.h"

namespace mm::policy {

enum class Kind : uint8_t { Fifo, Clock, Aging, TwoLists, WorkingSet, Own };
inline constexpr unsigned kKinds = 6;

/// Timer ticks of its owner's time for which a page belongs to the working set after it was used (tau): half a second.
inline constexpr uint32_t kWorkingSetWindow = 50;
/// Pages that one search of WorkingSet cleans, at most.
inline constexpr size_t kCleaningsPerSearch = 8;

/// Begins without pages. What the piece remembers of a page, it takes memory for here, once: for frame_table::frame_count() frames
/// (kmalloc, vmalloc). A later call forgets everything, for any kind, and takes no more memory.
/// @return Error::OutOfMemory
Result<void> initialize(Kind kind);

/// The page in this frame is in memory from now on. It is not in the set. Its page table entry leads to it already; the access that
/// it came for is still to be made, and will set its accessed bit.
void page_in(FrameNumber frame);

/// It is not any more, for whatever reason: it was a victim, or its owner is gone. Nothing happens when it is not in the set (a page that came
/// before the last initialize(), say). Page_usage must not be asked about it. When the same frame comes again it is another page.
void page_out(FrameNumber frame);

/// The page that is to leave next. It stays in the set until page_out(); a victim that cannot leave (the disk is full, say) gets page_out() and
/// page_in(), like a page that has just come.
/// @return Error::NotFound when there is no page
Result<FrameNumber> choose_victim();

/// A fixed time has passed (100 ms). Only Aging has work to do, and Own perhaps: accessed bits are the next search's otherwise.
void tick();

/// Pages in the set. Must not count them: it is asked at every page fault.
size_t count();

} // namespace mm::policy
