/// @file
/// The parts of a disk, as its master boot record says them.
#pragma once

#include "lib/block_device.h"

namespace fs {

/// The first partition with a FAT16 file system (types 0x04, 0x06, 0x0E), as a device of its own; a disk without a partition
/// table that begins with a FAT boot sector is returned as it is.
/// @param part  filled in; must live as long as it is used
/// @return Error::NotFound when there is none; Error::BadFormat when the table says what cannot be (a partition past the disk's
///         end); Error::DeviceError
Result<void> find_fat_partition(const BlockDevice& disk, BlockDevice& part);

/// The first partition for swapping (type 0x82), as a device of its own. What is in it is not looked at. Parameters and errors as
/// find_fat_partition().
Result<void> find_swap_partition(const BlockDevice& disk, BlockDevice& part);

} // namespace fs
