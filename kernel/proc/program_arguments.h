/// @file
/// What a new program finds on its stack (System V ABI, Intel386 supplement 1.1, 2.3.1; without environment and auxiliary vector).
#pragma once

#include <cstddef>
#include <span>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/space/address_space.h"

namespace proc {

/// Writes the arguments below `top`:
///
///     top       texts, each with its zero byte
///               0
///               address of the last text
///               ...
///               address of the first text
///     result    how many there are              a multiple of 16
///
/// @return the stack pointer at the entry; Error::LimitReached for more than kMaxArguments or kMaxArgumentBytes (zero bytes included);
///         what spaces::copy_into() returns
Result<VirtAddr> write_arguments(mm::AddressSpace* space, VirtAddr top, std::span<const char* const> arguments);

} // namespace proc
