#include "fs/fat_volume.h"

namespace fs::fat {

constinit Geometry volume;
constinit SectorBuffer scratch;

namespace {

constexpr uint32_t kMaxClusterSectors = 64; // 32 KiB: more, and old readers fail

alignas(4) constexpr uint8_t kZeros[kSectorSize] = {};

bool is_power_of_two(uint32_t value) { return value != 0 && (value & (value - 1)) == 0; }

} // namespace

Result<Geometry> read_geometry(const BootSector& boot, const BlockDevice& device) {
    const uint32_t sectors = boot.sectors16 != 0 ? boot.sectors16 : boot.sectors32;
    if (boot.signature != kBootSignature || boot.sector_bytes != kSectorSize || sectors > device.sectors) return Error::BadFormat;
    if (!is_power_of_two(boot.cluster_sectors) || boot.cluster_sectors > kMaxClusterSectors) return Error::BadFormat;
    if (boot.reserved_sectors == 0 || boot.tables < 1 || boot.tables > 2 || boot.table_sectors == 0) return Error::BadFormat;
    if (boot.root_entries == 0 || boot.root_entries % kFolderEntriesPerSector != 0) return Error::BadFormat;

    // Sums of 16-bit numbers: nothing here can wrap.
    Geometry found;
    found.device = &device;
    found.table_begin = boot.reserved_sectors;
    found.table_sectors = boot.table_sectors;
    found.tables = boot.tables;
    found.root_begin = found.table_begin + found.tables * found.table_sectors;
    found.root_sectors = boot.root_entries / kFolderEntriesPerSector;
    found.data_begin = found.root_begin + found.root_sectors;
    found.cluster_sectors = boot.cluster_sectors;
    if (sectors <= found.data_begin) return Error::BadFormat;
    found.clusters = (sectors - found.data_begin) / found.cluster_sectors;
    if (found.clusters < kMinClusters || found.clusters > kMaxClusters) return Error::BadFormat;
    if (found.clusters + kFirstCluster > found.table_sectors * kEntriesPerSector) return Error::BadFormat;
    return found;
}

Result<void> read_sectors(uint32_t first, uint32_t count, void* data) {
    return volume.device->read(*volume.device, first, count, data);
}

Result<void> write_sectors(uint32_t first, uint32_t count, const void* data) {
    if (scratch.sector - first < count) scratch.forget();
    return volume.device->write(*volume.device, first, count, data);
}

Result<void> clear_cluster(uint32_t cluster) {
    for (uint32_t i = 0; i < volume.cluster_sectors; ++i) TRY(write_sectors(volume.sector_of(cluster) + i, 1, kZeros));
    return {};
}

Result<void> SectorBuffer::load(uint32_t number) {
    if (is_loaded && sector == number) return {};
    is_loaded = false;
    TRY(read_sectors(number, 1, bytes));
    sector = number;
    is_loaded = true;
    return {};
}

Result<void> SectorBuffer::store() {
    const Result<void> written = volume.device->write(*volume.device, sector, 1, bytes);
    if (written.is_error()) forget();
    return written;
}

} // namespace fs::fat
