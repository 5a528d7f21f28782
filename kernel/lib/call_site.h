/// @file
/// Where in the source a function was called from: what leak reports and findings of the heap name.
#pragma once

#include <cstdint>

#include "config.h"

/// A place in the source: function, file, line. As a default argument it is the caller's:
///
///     Result<void*> kmalloc(size_t bytes, CallSite site = CallSite::here());
///     kmalloc(100);     // site names this function, this file, this line
///
/// Without CONFIG_MEMORY_DEBUGGING it is an empty struct, and costs nothing.
struct CallSite {
#if CONFIG_MEMORY_DEBUGGING
    const char* function = nullptr;  ///< Without namespace and arguments. nullptr: not known.
    const char* file = nullptr;      ///< As the compiler was given it: "kernel/mm/heap/pool.cpp".
    uint32_t line = 0;

    static constexpr CallSite here(const char* function = __builtin_FUNCTION(), const char* file = __builtin_FILE(),
                                   uint32_t line = __builtin_LINE()) {
        return {function, file, line};
    }
    constexpr bool operator==(const CallSite&) const = default; // the same literals: pointers are compared
#else
    static constexpr CallSite here() { return {}; }
    constexpr bool operator==(const CallSite&) const = default;
#endif
};
