/// @file
/// mm::slab and mm::kmalloc (mm/heap) for the labs whose piece uses the heap: strict, and able to fail.
///
/// Every object lies alone between bytes that nobody may touch, and stays forbidden for long when it was freed, so that AddressSanitizer names who goes on
/// using it. What is not an object in use is not taken back: the program panics.
#pragma once

#include <cstddef>

namespace host::heap {

/// Objects and blocks in use now.
size_t in_use();

/// Calls that asked for memory, those that failed included.
size_t requests();

/// After so many more that succeed, every request fails with OutOfMemory.
void fail_after(size_t count);
void fail_never();

} // namespace host::heap
