/// @file
/// ATA disks on the two channels of a PC, by programmed I/O (ATA/ATAPI-6, T13 1410D: IDENTIFY DEVICE, READ SECTORS, WRITE SECTORS,
/// FLUSH CACHE; 28-bit sector numbers).
#pragma once

#include <cstddef>

#include "lib/block_device.h"

/// Looks for disks. A channel without any costs a few reads of a port. Every wait ends: a disk that stays busy is given up after a time
/// that the CPU's ticks measure, and that request ends in Error::DeviceError.
void initialize_ata();

/// Disks found, in the order primary master, primary slave, secondary master, secondary slave.
size_t ata_disk_count();

/// Disk `index`, below ata_disk_count(). Lives for ever.
const BlockDevice& ata_disk(size_t index);
