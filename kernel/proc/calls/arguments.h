/// @file
/// What several system calls do with their arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/space/areas.h"
#include "mm/space/user_memory.h"

namespace proc::calls {

/// Copies a path from user memory.
/// @return as copy_text_from_user(); Error::NotFound for one that is too long to name anything (fs/volume.h)
inline Result<void> copy_path(std::span<char> path, uint32_t address) {
    const Result<size_t> length = mm::copy_text_from_user(path, VirtAddr(address));
    if (length.is_error()) return length.error() == Error::OutOfRange ? Error::NotFound : length.error();
    return {};
}

/// Bytes from `address` to the end of its page, but at most `bytes`.
inline size_t bytes_in_page(VirtAddr address, size_t bytes) {
    const size_t to_end = kPageSize - address.page_offset();
    return bytes < to_end ? bytes : to_end;
}

/// Whole pages for so many bytes.
/// @return Error::InvalidArgument for 0 bytes, and for more than there are addresses
inline Result<size_t> pages_for(uint32_t bytes) {
    if (bytes == 0 || bytes > align_down(UINT32_MAX, kPageSize)) return Error::InvalidArgument;
    return align_up(bytes, kPageSize) / kPageSize;
}

/// The pages that [address, address + bytes) touches; `address` begins one.
/// @return Error::Misaligned; Error::InvalidArgument for 0 bytes; Error::OutOfRange where it wraps
inline Result<mm::AddressRange> page_range(uint32_t address, uint32_t bytes) {
    if (!is_aligned(address, kPageSize)) return Error::Misaligned;
    const uint32_t length = static_cast<uint32_t>(TRY(pages_for(bytes)) * kPageSize);
    if (address + length < address) return Error::OutOfRange;
    return mm::AddressRange{VirtAddr(address), VirtAddr(address + length)};
}

/// abi::ProtectionBits.
/// @return Error::InvalidArgument for bits without a meaning
Result<mm::Protection> protection_of(uint32_t bits);

} // namespace proc::calls
