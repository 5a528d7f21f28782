/// @file
/// A device that reads and writes sectors: what a file system and the swap area stand on, whoever the driver is.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/result.h"

inline constexpr size_t kSectorSize = 512;  ///< Bytes.

/// One disk, or one part of a disk. A table of functions, so that a partition, a RAM disk or a test's failing disk can stand in
/// front of a driver.
struct BlockDevice {
    const char* name;      ///< "ata0", "ata0p1"; lives as long as the device.
    uint32_t sectors;      ///< In all.
    void* driver;          ///< The functions' own.

    /// Reads `count` sectors from number `first` on into `buffer` (kernel memory).
    /// @return Error::OutOfRange past the end (nothing is read then); Error::DeviceError when the device fails or does not answer in time
    ///         (the buffer's contents are unspecified then)
    Result<void> (*read)(const BlockDevice& device, uint32_t first, size_t count, void* buffer);

    /// Writes. Errors as read(); after DeviceError some of the sectors may have been written.
    Result<void> (*write)(const BlockDevice& device, uint32_t first, size_t count, const void* buffer);
};
