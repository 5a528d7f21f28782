/// @file
/// Thrashing, noticed and ended: when the pages that all processes are using do not fit into memory together, each takes from the others what
/// they will need next, and the machine does nothing but swap. Then a whole process is *held*: it does not go back to user code, its pages leave
/// by themselves, and the rest has room. (Denning, *The Working Set Model for Program Behavior*, 1968, and *Working Sets Past and
/// Present*, 1980.) Here spaces are measured and chosen; kernel/proc/suspension.h has the processes.
///
/// **Working set** of a space: the pages used within its last window, kWindow ticks of its *virtual time*, in which its process ran. The
/// time that the swap area's disk took does not count: a process that only waits for its pages uses few of them. Timer ticks say
/// which process ran, and the disk's share of a sample is taken from all alike. At the window's end the working set is estimated as
///
///     min(present pages with the accessed bit + used pages that left within the window, present pages + pages in the swap area)
///
/// Pages used that have stayed are counted exactly. One that left after its use and was used again counts twice, so the estimate is too
/// large by at most the swap-ins of the window, and never larger than all pages of the space; it is never too small, except that a page whose
/// only use came after the accessed bit was looked at counts in the next window. Shared pages count in each space, large pages and the
/// frame of zeros not at all: they do not swap.
///
/// The accessed bits belong to the policy (policy.h), which clears them in its own time. So either side that clears one leaves a note for the other
/// in the entry's available bits, and both see every use.
///
/// **Decisions**, at each sample (kSampleTicks):
/// - The *demand* is the sum of the working sets of spaces whose processes want to run. It is too large when it exceeds capacity(), and pages come
///   back from the swap area kBusySwapIns times or more in a sample.
/// - After kPatience such samples in a row one space is held: of those that may be, the one whose turn has lasted longest, if kShortestTurn is
///   over. The last one that wants to run is never held.
/// - The space that has been held longest is let go when the demand with its working set, as it was, fits into 90 % of the capacity: the gap
///   between holding and letting go keeps it from flapping. After kLongestHold it is let go anyhow, and another one is held in its place:
///   so all get turns, long enough to be worth their pages' way back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "mm/space/address_space.h"
#include "mm/space/load_notes.h"

namespace mm::load_control {

// In timer ticks of 10 ms, if nothing else is said.
inline constexpr uint32_t kSampleTicks = 10;
inline constexpr uint32_t kWindow = 12'000'000;  ///< CPU ticks.
inline constexpr uint32_t kBusySwapIns = 8;      ///< In a sample, of all spaces.
inline constexpr uint32_t kPatience = 3;         ///< Samples.
inline constexpr uint32_t kShortestTurn = 200;
inline constexpr uint32_t kLongestHold = 1000;

/// What only the floors above know of a space.
struct Hooks {
    bool (*wants_to_run)(const AddressSpace* space);  ///< It has a process, and that waits for nothing but the CPU.
    bool (*may_hold)(const AddressSpace* space);      ///< That process may be held as well.
    void (*let_go)(AddressSpace* space);              ///< It is held no more.
};

/// From now on samples decide. Once, at boot; there must be a policy (reclaim.h).
void initialize(const Hooks& hooks);
bool is_initialized();

/// Off: nobody is held from now on, and who is held is let go.
void set_on(bool on);
bool is_on();

/// Looks, and decides. @param now  timer ticks
void sample(uint32_t now);

/// Spaces held: at the last sample, and since. One that ends while it is held is counted until the next.
extern uint32_t held;

/// Whether the space's process has to wait on its way to user code. Asked at every switch, when nearly always nobody is held.
inline bool is_held(const AddressSpace* space) { return held != 0 && spaces::load_notes(space).is_held; }

/// A page is about to leave memory.
void note_leaving(FrameNumber frame);

struct Counters {
    uint32_t samples;
    uint32_t overloads;   ///< Samples in which the demand was too large.
    uint32_t holds;       ///< Spaces held,
    uint32_t releases;    ///< let go because there was room,
    uint32_t turns;       ///< let go because it was their turn.
    uint32_t demand;      ///< Pages, at the last sample.
    uint32_t capacity;    ///< Pages, at the last sample.
};
const Counters& counters();

} // namespace mm::load_control
