/// @file
/// Where the swap area is: looks through the disks at boot, and opens what mkswap has made there.
///
/// Words of the kernel's command line: `swap=off` leaves every disk alone; `swap_fault=RULES` makes the area's disk fail (see
/// drivers/faulty_disk.h).
#pragma once

#include "lib/block_device.h"

/// Whether a disk has a partition for swapping, or mkswap's header as a whole (a damaged one, too), and no volume.
bool is_for_swapping(const BlockDevice& disk);

/// The device of the swap area: the first partition for swapping (type 0x82) of any disk; else the first disk that has mkswap's header
/// as a whole. A disk with a FAT volume on it is never taken as a whole. Says which disks are neither.
/// @return nullptr when there is none; otherwise it lives for ever
const BlockDevice* find_swap_device();

/// Finds the swap area, puts it into use (mm/reclaim/swap_area.h), and says so, or what is wrong with it: the kernel works without
/// one. Call once, after initialize_ata().
void open_swap_area();

/// Makes the swap area's disk fail, from now on: for tests. Rules and errors as set_faults() of drivers/faulty_disk.h.
Result<void> set_swap_faults(const char* rules);
