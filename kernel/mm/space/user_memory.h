/// @file
/// Checked copies between the kernel and the active address space: the only way to a user pointer. Every address may come, and no
/// contents of the page tables make the kernel panic: what user code could not do by itself is Error::BadAddress.
///
/// The range is checked first (inside the user range, no wrap). The copy then just runs, and faults as user code would: pages appear, are
/// copied on write, stacks grow. Where a fault cannot be resolved it has a fix-up (arch/i386/fixups.h), which ends the copy with an
/// error (Linux: exception tables):
///
///     Error::BadAddress   user code would get a signal
///     Error::OutOfMemory  the address is good, and there is no memory for its page (or the limit of resident pages is reached)
///     Error::DeviceError  the address is good, and the file behind it cannot be read
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"
#include "lib/result.h"

namespace mm {

/// @return one of the errors above; a part may have been copied then
Result<void> copy_from_user(void* to, VirtAddr from, size_t bytes);
/// @return one of the errors above; a part may have been copied then
Result<void> copy_to_user(VirtAddr to, const void* from, size_t bytes);

/// Makes sure that a copy_to_user() of so many bytes works, whatever happens before: every page of them is there and the caller's to write
/// to. No byte changes.
/// @return one of the errors above; pages may have become present then
Result<void> prepare_user_write(VirtAddr to, size_t bytes);

/// Copies a text up to its zero byte.
/// @return its length without the zero byte; one of the errors above; Error::OutOfRange when it does not fit
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

/// For who resolves page faults: an access of the functions above is about to end by its fix-up, and this is why.
void note_user_access_failed(Error why);

} // namespace mm
