/// @file
/// Which page leaves when memory is short. **Contract of lab 10-replace** (file policy.cpp).
///
/// The kernel tells the policy which pages come into memory and which go, and asks it for victims. How pages have been used, the policy
/// asks page_usage.h. One kind of policy is in force from the boot on (`policy=clock`). A page is named by its frame.
///
/// Every kind is described so exactly that two correct pieces choose the same victims:
///
/// - **Fifo**: the page that came first.
/// - **Clock** (second chance): the pages stand in a circle, in the order in which they came, and a hand points at the one to be looked at next;
///   a page that comes stands directly behind the hand, so that it is looked at last. choose_victim(): while the page at the hand
///   was accessed (the bit is cleared by asking), the hand moves on; then it is the victim, and the hand stays on it.
///   When the page at the hand goes, the hand points at the next one. (Corbato 1968)
/// - **Aging**: a page has a counter of 8 bits, 0x80 when it comes. At each tick() it is shifted right by one, and the accessed bit enters at
///   the left. The victim is the page with the smallest counter; of several, the one that came first. Accesses since the last tick do
///   not count. (Tanenbaum, *Modern Operating Systems*, 3.4.7)
/// - **TwoLists**: an active and an inactive list. A page that comes is put at the head of the inactive one. choose_victim() repeats: (a) while
///   fewer than a third of all pages are inactive (3 * inactive < all), the page at the tail of the active list is moved: to the head of the
///   active list if it was accessed, to the head of the inactive list if not; (b) the page at the tail of the inactive list, if it was
///   accessed, is moved to the head of the active list; if not, it is the victim. (Gorman, *Understanding the Linux Virtual Memory Manager*, 10.1)
/// - **WorkingSet** (WSClock): a circle and a hand as with Clock, and a time for each page: when it was last seen used, in its owner's virtual
///   time (page_usage::owner_time()); at first when it came. choose_victim() looks at the page at the hand: accessed, then its time is
///   now; else, older than kWorkingSetWindow (now - time > window) and clean, then it is the victim, and the hand stays on it; else,
///   old and dirty, then it is cleaned (page_usage::clean(); at most kCleaningsPerSearch for each search). Then the hand moves on. After two
///   turns without a victim it is the clean page with the smallest time, of several the first from the hand on; without
///   a clean page the same among all. The hand moves there. (Carr and Hennessy 1981)
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "lib/result.h"

namespace mm::policy {

enum class Kind : uint8_t { Fifo, Clock, Aging, TwoLists, WorkingSet };
inline constexpr unsigned kKinds = 5;

/// Timer ticks of its owner's time for which a page belongs to the working set after it was used (tau): half a second.
inline constexpr uint32_t kWorkingSetWindow = 50;
/// Pages that one search of WorkingSet cleans, at most.
inline constexpr size_t kCleaningsPerSearch = 8;

/// Begins without pages. What the piece remembers of a page, it takes memory for here: for frame_table::frame_count() frames. A second
/// call forgets everything, for another kind.
/// @return Error::OutOfMemory
Result<void> initialize(Kind kind);

/// The page in this frame is in memory from now on. It is not in the set.
void page_in(FrameNumber frame);

/// It is not any more, for whatever reason: it was a victim, or its owner is gone. Nothing happens when it is not in the set. The frame
/// may be somebody else's already: nothing can be asked about it.
void page_out(FrameNumber frame);

/// The page that is to leave next. It stays in the set until page_out().
/// @return Error::NotFound when there is no page
Result<FrameNumber> choose_victim();

/// A fixed time has passed (100 ms).
void tick();

/// Pages in the set.
size_t count();

} // namespace mm::policy
