/// @file
/// What abi::SystemCall::Debug does in a kernel with the grader's guest (grader/guest/program_verbs.cpp): its first argument. This header
/// is seen by both sides and includes nothing of either.
#pragma once

#include <cstdint>

/// Unknown numbers are -EINVAL.
enum class DebugCall : uint32_t {
    Checkpoint = 1,   ///< (address of a name) -> 0. The machine stops, and the host looks at this process.
    FramesInUse,      ///< () -> frames that the kernel has handed out.
    CheckInvariants,  ///< () -> 0, or a panic: areas, page tables and counts of this process agree.
    FailAfter,        ///< (count) -> 0. So many frames can still be had, then no more.
    FailNever,        ///< () -> frames that the kernel has handed out, after its caches have given back what they can. Ends FailAfter.
    StarvedFork,      ///< (count) -> as Fork, which can have so many frames and no more. The caller lives on with all there are.
    StarvedExec,      ///< (count, path, arguments) -> as Exec, with so many frames.
    ForgetTranslations, ///< (address, pages) -> 0. The TLB forgets these pages, by INVLPG; kEverything: all that is not global, by CR3.
    OverflowStack,    ///< Does not return: the kernel calls itself until this process's kernel stack is full.
    FailSwapOf,       ///< (address) -> 0: the swap area's disk fails where this page of the caller lies, at every access. -ENOENT when
                      ///< it does not lie there.
    HealSwap,         ///< () -> 0. The swap area's disk works again.
};

/// For ForgetTranslations, in place of a number of pages.
inline constexpr uint32_t kNothing = 0, kEverything = UINT32_MAX;
