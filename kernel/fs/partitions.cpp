#include "fs/partitions.h"

#include <span>

#include "lib/format.h"
#include "lib/memory.h"

namespace fs {

namespace {

// The master boot record: four entries, and a signature (Intel, "Extensible Firmware Interface Specification", 1.10, 11.2.1).
constexpr size_t kFirstEntry = 446;
constexpr size_t kEntries = 4;
constexpr size_t kSignature = 510;
constexpr uint8_t kFatTypes[] = {0x04, 0x06, 0x0E};
constexpr uint8_t kSwapTypes[] = {0x82};

struct [[gnu::packed]] PartitionEntry {
    uint8_t status;
    uint8_t first_chs[3]; ///< Cylinder, head and sector of old: not used.
    uint8_t type;
    uint8_t last_chs[3];
    uint32_t first;       ///< Sector.
    uint32_t sectors;
};
static_assert(sizeof(PartitionEntry) == 16);

/// What stands behind a partition's device.
struct Part {
    const BlockDevice* disk = nullptr;
    uint32_t first = 0;
    char name[16] = {};
};

constexpr size_t kMaxParts = 12; // a volume and a swap area on each disk, and some for tests
constinit Part parts[kMaxParts];

bool is_one_of(std::span<const uint8_t> types, uint8_t type) {
    for (const uint8_t known : types) {
        if (type == known) return true;
    }
    return false;
}

/// A FAT boot sector begins with a jump, and says its sectors' size where a boot record has code (Microsoft, FAT 1.03, boot
/// sector).
bool is_fat_boot_sector(const uint8_t* sector) {
    const bool jumps = sector[0] == 0xE9 || (sector[0] == 0xEB && sector[2] == 0x90);
    return jumps && sector[11] == 0 && sector[12] == 2 && sector[16] != 0 && sector[16] <= 2;
}

Result<void> check_range(const BlockDevice& part, uint32_t first, size_t count) {
    return first > part.sectors || count > part.sectors - first ? Error::OutOfRange : Error::None;
}

Result<void> read(const BlockDevice& part, uint32_t first, size_t count, void* buffer) {
    TRY(check_range(part, first, count));
    const Part& place = *static_cast<const Part*>(part.driver);
    return place.disk->read(*place.disk, place.first + first, count, buffer);
}

Result<void> write(const BlockDevice& part, uint32_t first, size_t count, const void* buffer) {
    TRY(check_range(part, first, count));
    const Part& place = *static_cast<const Part*>(part.driver);
    return place.disk->write(*place.disk, place.first + first, count, buffer);
}

Result<void> read_all(const BlockDevice& part, uint32_t first, std::span<void* const> pages) {
    TRY(check_range(part, first, pages.size() * kSectorsPerPage));
    const Part& place = *static_cast<const Part*>(part.driver);
    return read_pages(*place.disk, place.first + first, pages);
}

Result<void> write_all(const BlockDevice& part, uint32_t first, std::span<void* const> pages) {
    TRY(check_range(part, first, pages.size() * kSectorsPerPage));
    const Part& place = *static_cast<const Part*>(part.driver);
    return write_pages(*place.disk, place.first + first, pages);
}

/// The record of the part that begins at this sector: the one that it has already, or a fresh one.
Result<Part*> place_for(const BlockDevice& disk, uint32_t first) {
    for (Part& place : parts) {
        if (!place.disk || (place.disk == &disk && place.first == first)) return &place;
    }
    return Error::LimitReached;
}

Result<void> read_boot_record(const BlockDevice& disk, uint8_t* sector) {
    TRY(disk.read(disk, 0, 1, sector));
    return sector[kSignature] == 0x55 && sector[kSignature + 1] == 0xAA ? Error::None : Error::NotFound;
}

/// The first partition of one of the types in the table of this boot record.
Result<void> find_partition(const BlockDevice& disk, const uint8_t* sector, std::span<const uint8_t> types, BlockDevice& part) {
    for (size_t i = 0; i < kEntries; ++i) {
        PartitionEntry entry;
        memcpy(&entry, sector + kFirstEntry + i * sizeof(entry), sizeof(entry));
        if (!is_one_of(types, entry.type)) continue;
        if (entry.first == 0 || entry.sectors == 0 || entry.first >= disk.sectors || entry.sectors > disk.sectors - entry.first) {
            return Error::BadFormat;
        }
        Part& place = *TRY(place_for(disk, entry.first));
        place.disk = &disk;
        place.first = entry.first;
        format_into(place.name, "{}p{}", disk.name, i + 1);
        part = {place.name, entry.sectors, &place, read, write, read_all, write_all};
        return {};
    }
    return Error::NotFound;
}

} // namespace

Result<void> find_fat_partition(const BlockDevice& disk, BlockDevice& part) {
    alignas(4) uint8_t sector[kSectorSize];
    TRY(read_boot_record(disk, sector));
    if (!is_fat_boot_sector(sector)) return find_partition(disk, sector, kFatTypes, part);
    part = disk;
    return {};
}

Result<void> find_swap_partition(const BlockDevice& disk, BlockDevice& part) {
    alignas(4) uint8_t sector[kSectorSize];
    TRY(read_boot_record(disk, sector));
    return is_fat_boot_sector(sector) ? Error::NotFound : find_partition(disk, sector, kSwapTypes, part);
}

} // namespace fs
