/// @file
/// The mounted volume's geometry, and its sectors one at a time. Internal to kernel/fs.
#pragma once

#include <cstdint>

#include "fs/fat_layout.h"
#include "lib/block_device.h"
#include "lib/result.h"

namespace fs::fat {

/// Where things lie, in sectors of the device. Checked by mount(): every part lies on the device, and they do not overlap.
struct Geometry {
    const BlockDevice* device = nullptr; ///< Null: nothing is mounted.
    uint32_t table_begin = 0;
    uint32_t table_sectors = 0;          ///< Of one copy.
    uint32_t tables = 0;                 ///< Copies: 1 or 2.
    uint32_t root_begin = 0;
    uint32_t root_sectors = 0;
    uint32_t data_begin = 0;
    uint32_t cluster_sectors = 0;
    uint32_t clusters = 0;

    uint32_t cluster_bytes() const { return cluster_sectors * kSectorSize; }
    bool has_cluster(uint32_t cluster) const { return cluster >= kFirstCluster && cluster - kFirstCluster < clusters; }
    /// The first sector of a cluster that has_cluster().
    uint32_t sector_of(uint32_t cluster) const { return data_begin + (cluster - kFirstCluster) * cluster_sectors; }
};

extern Geometry volume;

/// Believes nothing of a boot sector. @return Error::BadFormat
Result<Geometry> read_geometry(const BootSector& boot, const BlockDevice& device);

/// Reads whole sectors of the volume.
Result<void> read_sectors(uint32_t first, uint32_t count, void* data);
/// Writes whole sectors of folders and files.
Result<void> write_sectors(uint32_t first, uint32_t count, const void* data);
/// Fills a cluster with zeros.
Result<void> clear_cluster(uint32_t cluster);

/// A sector in memory, for those who look at or change a few bytes of one.
struct SectorBuffer {
    uint32_t sector = 0;
    bool is_loaded = false;
    alignas(4) uint8_t bytes[kSectorSize] = {};

    /// Makes it hold `number`; reads only when it does not yet.
    Result<void> load(uint32_t number);
    /// Writes it back. After an error it holds nothing any more.
    Result<void> store();
    void forget() { is_loaded = false; }
};

/// The one buffer for folders and files. Being the only one it cannot be older than another. What lies in it is valid until
/// anybody loads another sector.
extern SectorBuffer scratch;

} // namespace fs::fat
