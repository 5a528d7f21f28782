/// @file
/// Checked copies between the kernel and the active address space: the only way to a user pointer. Every address may come, and no
/// contents of the page tables make the kernel fault: what user code could not do by itself is Error::BadAddress.
///
/// The range is checked first (inside the user range, no wrap). The copy then just runs; where a page is missing the page fault has a
/// fix-up (arch/i386/fixups.h), which ends the copy with an error (Linux: exception tables).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"
#include "lib/result.h"

namespace mm {

/// @return Error::BadAddress; a part may have been copied then
Result<void> copy_from_user(void* to, VirtAddr from, size_t bytes);
/// @return Error::BadAddress; a part may have been copied then
Result<void> copy_to_user(VirtAddr to, const void* from, size_t bytes);

/// Copies a text up to its zero byte.
/// @return its length without the zero byte; Error::BadAddress; Error::OutOfRange when it does not fit
Result<size_t> copy_text_from_user(std::span<char> to, VirtAddr from);

/// One object.
template <typename T>
Result<T> read_user(VirtAddr from) {
    T value;
    TRY(copy_from_user(&value, from, sizeof value));
    return value;
}
template <typename T>
Result<void> write_user(VirtAddr to, const T& value) { return copy_to_user(to, &value, sizeof value); }

} // namespace mm
