/// @file
/// The account of promised pages: memory that somebody was told he has, and that may still have no frame. Demand paging makes promises cheap,
/// and so it is easy to promise more than there is (*overcommit*).
///
/// Promised are, in pages:
/// - private areas without an object that grant anything (heap, stack, private memory of zeros);
/// - private areas with an object that may be written (variables of a program): each page may become a copy;
/// - shared memory, by its size and once, however many show it.
///
/// Not promised is what needs no frame of its own or can be read again: files that are only read, areas that grant nothing. A page that was
/// written before its area lost its rights keeps its contents, and is out of the account all the same: the areas are what is counted.
/// The kernel's own memory (page tables, stacks, heap) is not promised either; a reserve stands for it.
///
/// Policies (the words are those of Linux's Documentation/mm/overcommit-accounting):
/// - **never**: all promises together stay within limit(): slots of the swap area, and usable frames without the reserve. Who has been promised a
///   page gets it.
/// - **heuristic**: a single request is refused if it could not be kept on an empty machine: more pages than usable frames and slots. The rest
///   is hoped for, as most programs use only a part of what they ask for.
/// - **always**: nothing is refused.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/result.h"

namespace mm::commit {

enum class Policy : uint8_t { Never, Heuristic, Always };

/// "heuristic"
const char* policy_name(Policy policy);
/// The other way round. @return Error::InvalidArgument
Result<Policy> policy_of(const char* name);

void set_policy(Policy policy);
Policy policy();

/// How many pages the swap area takes. Once, at boot.
void set_swap_slots(size_t slots);

/// Promises so many pages, or refuses.
/// @return Error::OutOfMemory when the policy forbids it. Nothing has changed then.
Result<void> promise(size_t pages);
/// So many pages need not be kept any more.
void take_back(size_t pages);

struct Statistics {
    size_t promised;   ///< Pages, now.
    size_t most;       ///< That were promised at one time.
    size_t limit;      ///< For `never`: usable frames without the reserve, and slots.
    size_t usable;     ///< Frames that the frame allocator had when it was first asked for a promise, whoever has them now.
    size_t reserve;    ///< Of these, for the kernel: an eighth, and at least kLeastReserve.
    size_t slots;      ///< Of the swap area.
    uint32_t refused;  ///< Requests.
};
Statistics statistics();

/// Frames of the reserve on small machines.
inline constexpr size_t kLeastReserve = 128;

} // namespace mm::commit
