/// @file
/// For the programs of tests: what the kernel under test does for them besides its system calls.
#pragma once

#include "debug_calls.h"
#include "user/system_call.h"

/// Stops the machine, so that the host may look at this process. @param name  a word of up to 31 characters
inline void checkpoint(const char* name) {
    system_call::debug(static_cast<uint32_t>(DebugCall::Checkpoint), system_call::word(name));
}

/// Frames that the kernel has handed out, to anybody.
inline uint32_t frames_in_use() { return system_call::debug(static_cast<uint32_t>(DebugCall::FramesInUse)); }

/// Lets the kernel have `count` more frames, then none, until fail_never().
inline void fail_after(uint32_t count) { system_call::debug(static_cast<uint32_t>(DebugCall::FailAfter), count); }
/// @return frames that the kernel has handed out, caches emptied
inline uint32_t fail_never() { return system_call::debug(static_cast<uint32_t>(DebugCall::FailNever)); }

/// fork() and exec(), which can have so many frames, while this process needs none itself.
inline int starved_fork(uint32_t count) {
    return static_cast<int>(system_call::debug(static_cast<uint32_t>(DebugCall::StarvedFork), count));
}
inline int starved_exec(uint32_t count, const char* path, const char* const* words) {
    return static_cast<int>(system_call::system_call_with_six(abi::SystemCall::Debug, static_cast<uint32_t>(DebugCall::StarvedExec), count,
                                                              system_call::word(path), system_call::word(words), 0, 0));
}

/// Has the kernel compare areas, page tables and counts of this process. It panics when they do not agree.
inline void check_invariants() { system_call::debug(static_cast<uint32_t>(DebugCall::CheckInvariants)); }

/// The swap area's disk fails where this page lies, from now on, for everybody. @return 0; -ENOENT when it does not lie there
inline int fail_swap_of(const volatile void* page) {
    return static_cast<int>(system_call::debug(static_cast<uint32_t>(DebugCall::FailSwapOf), system_call::word(const_cast<const void*>(page))));
}
/// Its disk works again.
inline void heal_swap() { system_call::debug(static_cast<uint32_t>(DebugCall::HealSwap)); }

/// Has the TLB forget `pages` pages, kNothing or kEverything.
inline void forget_translations(const void* begin, uint32_t pages) {
    system_call::debug(static_cast<uint32_t>(DebugCall::ForgetTranslations), system_call::word(begin), pages);
}
