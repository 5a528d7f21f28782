/// @file
/// What abi::SystemCall::Debug does for the fuzzer of system calls (grader/programs/fuzz, grader/guest/fuzz_verbs.cpp). Seen by both
/// sides; includes nothing of either.
#pragma once

#include <cstdint>

/// In the low half of the first argument.
enum class FuzzCall : uint32_t {
    Record = 100,  ///< (number in the high half; its first five arguments) -> 1, or 0 when enough calls were made. Before every call.
    Sixth,         ///< (sixth argument) of the call that was recorded last.
    Ended,         ///< (wait status) of a worker.
    Round,         ///< () -> 1, or 0 when enough calls were made. Between rounds: the kernel looks for contradictions, and panics.
};
