/// @file
/// Taking pages out of memory: who decides when, how many, and in which order. Which page, says the policy (policy.h, lab 10); how it gets
/// out and back, the swap (swap.h, lab 09).
///
/// Pages are taken at safe points (mm/space/pager.h) when
/// - the frames at hand in all zones together are fewer than their low marks (mm/physical/watermarks.h): the reclaimer's thread is woken, which
///   takes pages until the high marks are reached; or fewer than the minimum marks: whoever is at the safe point takes a batch himself;
/// - something failed for want of memory (make_room());
/// - there are more pageable frames than set_limit() allows;
/// - `torture=N` is on the command line: one for every N-th frame that was allocated.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/reclaim/policy.h"

namespace mm::reclaim {

/// Pages that leave at once, so that they can be written at once.
inline constexpr size_t kBatch = 8;

/// Starts the policy, and registers with everybody below. Swapping begins with it if a swap area is open (swap_area.h), else only pages of
/// files are taken, and the policy knows no others. Once, at boot, before the first address space.
/// @return Error::OutOfMemory
Result<void> initialize(policy::Kind kind);
bool is_initialized();
/// Whether pages can leave for a swap area.
bool has_swap();
/// What `policy=` on the command line calls a kind: "clock".
const char* kind_name(policy::Kind kind);
/// The kind in force.
const char* policy_name();

/// Takes up to `count` pages. What was read ahead, and is too much of that, goes first; then the policy's victims; then all that was read ahead. When
/// large pages hold more memory than all pages that could leave, one of them is split before.
/// @return how many frames that gave back
size_t take_pages(size_t count);

/// Takes the policy's next victim only. @return its frame as it was; Error::NotFound without one, NoSpace, DeviceError when it could not leave
Result<FrameNumber> take_one();

/// What a safe point does; make_room() as Pager says.
void safe_point();
bool make_room(size_t attempt);

/// Takes pages until the high marks are reached, or nothing more can be taken: the reclaimer's thread. @return frames given back
size_t balance();
/// Who is called when free memory falls below the low marks.
void set_waker(void (*wake)());

/// At most so many pageable frames from now on; 0 is no limit. For tests, and for whoever wants to see a small machine: while programs run not
/// below kLeastForPrograms, or one page that an instruction needs drives out the other, for ever.
inline constexpr size_t kLeastForPrograms = 16;
void set_limit(size_t frames);
/// A page leaves for every n-th frame that is allocated, at the next safe point; 0 is none.
void set_torture(size_t n);
/// A timer tick has passed (10 ms): every tenth makes the next safe point call policy::tick(). Called in the timer's interrupt.
void note_time();

/// Frames that pages of user memory have, or could have before pages must be taken.
size_t frames_for_pages();

/// Which page left last, for tests: called before a victim goes.
void set_victim_listener(void (*listener)(FrameNumber victim));

struct Counters {
    uint32_t safe_points;   ///< That took pages because memory was low.
    uint32_t wakeups;       ///< Of the reclaimer's thread.
    uint32_t made_room;     ///< Attempts of make_room() that gave something.
    uint32_t victims;       ///< Chosen.
    uint32_t stayed;        ///< Of these, that could not leave.
    uint32_t anonymous, shared, files;  ///< Frames given back, by kind.
};
const Counters& counters();

/// Compares everything with everything, and panics with a sentence when something does not fit: all spaces (spaces::check_invariants()), the
/// references of all pageable frames, the policy's count, the entries of all slots, the free ones. Takes its time.
/// @return Error::OutOfMemory when there is no room to count in: nothing is known of the slots then
Result<void> check_invariants();

} // namespace mm::reclaim
