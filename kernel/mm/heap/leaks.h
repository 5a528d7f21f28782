/// @file
/// Finding memory that was forgotten. Two ways: by call site (who allocates more than is freed?), and by reachability (which objects
/// does no pointer lead to any more?). Needs CONFIG_MEMORY_DEBUGGING; without it these report that they cannot know.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"

namespace mm::leaks {

/// Takes what is in use now as given: reports count from here. Holds sums for 256 call sites; what is beyond shares one line.
/// @return Error::Unsupported without CONFIG_MEMORY_DEBUGGING
Result<void> remember();

/// Prints, per call site, how many objects and bytes more are in use than when remember() was last called (since the boot, if never);
/// most bytes first. One line each:
///
///     1200 bytes in    12 objects  plant_leak() at kernel/monitor/heap_commands.cpp:41
///
/// @return objects in these lines; Error::Unsupported without CONFIG_MEMORY_DEBUGGING
Result<size_t> report();

/// What to do with objects that nothing leads to.
enum class Action { Report, Collect };

/// A conservative mark and sweep (Boehm and Weiser, "Garbage Collection in an Uncooperative Environment", 1988): every word of the
/// kernel's data, of the stacks and registers, and of objects that are reached is taken for a pointer; an object is reached
/// when a word points to any byte of it. What is not reached is printed with its cache and call site, and with Action::Collect
/// freed (but for objects of caches with a constructor, see slab::Object::owner). Never collects an object that is reached; may miss one that a number happens to point to.
///
/// @return unreachable objects; Error::OutOfMemory when there is no memory for the list of objects (12 bytes each); Error::Unsupported
///         without CONFIG_MEMORY_DEBUGGING
Result<size_t> find_unreachable(Action action);

/// Shows every stretch of kernel stack that is in use: pointers there keep objects alive. `here` is the lowest word of the running stack.
using StackFinder = void (*)(VirtAddr here, void (*show)(VirtAddr begin, VirtAddr end));

/// Who knows the stacks: the processes, a floor above. Until somebody registers there is the boot's stack alone.
void set_stack_finder(StackFinder finder);

} // namespace mm::leaks
