/// @file
/// Names for code addresses, from the table that kernel/tools/symbols.py puts into the kernel's own image.
#pragma once

#include <cstdint>

#include "lib/address.h"

/// A place in the kernel's code.
struct CodeLocation {
    const char* name; ///< Of the function ("mm::page_table::map"), or nullptr when the table has none for the address.
    uint32_t offset;  ///< Bytes from the function's beginning.
};

/// The function that holds `address`. Works, and finds nothing, in a kernel that was linked without the table.
CodeLocation find_symbol(VirtAddr address);
