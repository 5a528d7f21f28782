/// @file
/// A device that reads and writes sectors: what a file system and the swap area stand on, whoever the driver is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/address.h"
#include "lib/result.h"

inline constexpr size_t kSectorSize = 512;  ///< Bytes.
inline constexpr size_t kSectorsPerPage = kPageSize / kSectorSize;

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

    // One command for pages that lie anywhere in memory. nullptr for a device that cannot: call the functions below.
    Result<void> (*read_pages)(const BlockDevice& device, uint32_t first, std::span<void* const> pages) = nullptr;
    Result<void> (*write_pages)(const BlockDevice& device, uint32_t first, std::span<void* const> pages) = nullptr;
};

/// Reads whole pages from sector `first` on, each to its own place: in one request, if the device can do that. Errors as
/// BlockDevice::read(); a device that cannot may have read some pages when it finds the end.
inline Result<void> read_pages(const BlockDevice& device, uint32_t first, std::span<void* const> pages) {
    if (device.read_pages) return device.read_pages(device, first, pages);
    for (size_t i = 0; i < pages.size(); ++i) TRY(device.read(device, first + i * kSectorsPerPage, kSectorsPerPage, pages[i]));
    return {};
}

/// Writes whole pages to sector `first` and what follows it. The rest as read_pages().
inline Result<void> write_pages(const BlockDevice& device, uint32_t first, std::span<void* const> pages) {
    if (device.write_pages) return device.write_pages(device, first, pages);
    for (size_t i = 0; i < pages.size(); ++i) TRY(device.write(device, first + i * kSectorsPerPage, kSectorsPerPage, pages[i]));
    return {};
}
