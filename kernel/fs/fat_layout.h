/// @file
/// FAT16 as it lies on the disk (Microsoft, "FAT: General Overview of On-Disk Format", 1.03). Internal to kernel/fs.
///
///     reserved sectors | table | its copy | root folder | data: clusters 2, 3, 4 ...
///
/// The table has 16 bits for each cluster: 0 for a free one, else the number of the file's next cluster, or an end mark.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/block_device.h"

namespace fs::fat {

/// The first sector, as far as FAT16 needs it.
struct [[gnu::packed]] BootSector {
    uint8_t jump[3];
    char maker[8];
    uint16_t sector_bytes;
    uint8_t cluster_sectors;
    uint16_t reserved_sectors;
    uint8_t tables;
    uint16_t root_entries;
    uint16_t sectors16;        ///< 0: see sectors32.
    uint8_t media;
    uint16_t table_sectors;
    uint16_t track_sectors;
    uint16_t heads;
    uint32_t hidden_sectors;
    uint32_t sectors32;
    uint8_t rest[474];
    uint16_t signature;
};
static_assert(sizeof(BootSector) == kSectorSize);
inline constexpr uint16_t kBootSignature = 0xAA55;

inline constexpr uint32_t kFirstCluster = 2;          ///< Two entries of the table are no clusters.
inline constexpr uint32_t kMinClusters = 4085;        ///< Fewer: FAT12.
inline constexpr uint32_t kMaxClusters = 65524;       ///< More: FAT32.
inline constexpr uint32_t kEntriesPerSector = kSectorSize / 2;
inline constexpr uint16_t kFree = 0;
inline constexpr uint16_t kBad = 0xFFF7;
inline constexpr uint16_t kEndMark = 0xFFFF;          ///< From 0xFFF8 on all mean the end.

/// One line of a folder.
struct [[gnu::packed]] FolderEntry {
    uint8_t name[11];          ///< 8 and 3 characters in upper case, filled up with spaces.
    uint8_t attributes;
    uint8_t reserved;
    uint8_t made_tenths;
    uint16_t made_time;
    uint16_t made_date;
    uint16_t read_date;
    uint16_t first_cluster_high; ///< FAT32's.
    uint16_t written_time;
    uint16_t written_date;
    uint16_t first_cluster;    ///< 0: the file is empty.
    uint32_t size;
};
static_assert(sizeof(FolderEntry) == 32);
inline constexpr uint32_t kFolderEntriesPerSector = kSectorSize / sizeof(FolderEntry);
inline constexpr uint32_t kMaxFolderEntries = 65536;

// FolderEntry::name[0]
inline constexpr uint8_t kEndOfFolder = 0x00;  ///< Free, and so are all behind it.
inline constexpr uint8_t kDeleted = 0xE5;

// FolderEntry::attributes
inline constexpr uint8_t kReadOnly = 0x01;
inline constexpr uint8_t kVolumeLabel = 0x08;
inline constexpr uint8_t kIsFolder = 0x10;
inline constexpr uint8_t kArchive = 0x20;
inline constexpr uint8_t kLongName = 0x0F;     ///< All four low bits: a part of a long name.

/// 2000-01-01: the kernel has no calendar. Bits 15:9 years since 1980, 8:5 month, 4:0 day.
inline constexpr uint16_t kDate = (2000 - 1980) << 9 | 1 << 5 | 1;

} // namespace fs::fat
