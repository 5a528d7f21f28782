/// @file
/// A disk that fails where it is told to, in front of one that works: emulated disks have no errors of their own, and what the
/// kernel does about errors has to be tried somehow.
///
/// Rules, parted by commas, end at a space or the text's end. Pages are 4 KiB; page 0, a swap area's header, is not counted.
///
/// | rule | what fails |
/// |------|------------|
/// | `write:N` | the N-th page that is written (N counts from 1) |
/// | `write:N+` | that one and all that come later |
/// | `read:N`, `read:N+` | so for reading |
/// | `slot:N` | page N of the device, at every access |
///
/// A request that has such a page in it fails as a whole: nothing of it reaches the disk behind.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/block_device.h"

/// What shall fail.
struct DiskFault {
    enum class Kind : uint8_t { Read, Write, Slot };
    Kind kind;
    bool goes_on;    ///< And all later ones.
    uint32_t number; ///< Which page: counted from 1, or its place.
};

/// Lives as long as anybody uses `device`.
struct FaultyDisk {
    static constexpr size_t kMaxFaults = 8;
    BlockDevice device = {};               ///< To be used instead of the disk behind; has its name and size.
    const BlockDevice* behind = nullptr;
    DiskFault faults[kMaxFaults] = {};
    size_t fault_count = 0;
    uint32_t pages_read = 0, pages_written = 0; ///< Since the rules were set; those of requests that failed are counted too.
};

/// Puts `faulty` in front of a disk. At first nothing fails.
void put_in_front(FaultyDisk& faulty, const BlockDevice& behind);

/// Replaces the rules, and begins to count anew.
/// @param rules  "" for none
/// @return Error::InvalidArgument for what is no rule; Error::NoSpace for more than kMaxFaults rules. No rule is in force then.
Result<void> set_faults(FaultyDisk& faulty, const char* rules);
