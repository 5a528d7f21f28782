#include "fs/fat_table.h"

#include "fs/fat_volume.h"
#include "lib/memory.h"

namespace fs::fat {

namespace {

/// The sector of the table that is in memory.
constinit SectorBuffer buffer;
constinit bool is_changed = false;
constinit uint32_t free_count = 0;
constinit uint32_t search_from = kFirstCluster; ///< Where the next free cluster is looked for.

Result<void> write_copies() {
    for (uint32_t copy = 0; copy < volume.tables; ++copy) {
        TRY(volume.device->write(*volume.device, buffer.sector + copy * volume.table_sectors, 1, buffer.bytes));
    }
    return {};
}

/// The entry of a cluster that is one of the volume's, in memory.
Result<uint16_t*> entry_of(uint32_t cluster) {
    const uint32_t sector = volume.table_begin + cluster / kEntriesPerSector;
    if (!buffer.is_loaded || buffer.sector != sector) {
        TRY(flush_table());
        TRY(buffer.load(sector));
    }
    return reinterpret_cast<uint16_t*>(buffer.bytes) + cluster % kEntriesPerSector;
}

Result<void> set_entry(uint32_t cluster, uint16_t value) {
    uint16_t& entry = *TRY(entry_of(cluster));
    if (entry == kFree && value != kFree) --free_count;
    if (entry != kFree && value == kFree) ++free_count;
    entry = value;
    is_changed = true;
    return {};
}

/// The next free cluster from `search_from` on, round the table once.
Result<uint32_t> find_free() {
    for (uint32_t looked = 0; looked < volume.clusters; ++looked) {
        const uint32_t cluster = search_from;
        search_from = volume.has_cluster(cluster + 1) ? cluster + 1 : kFirstCluster;
        if (*TRY(entry_of(cluster)) == kFree) return cluster;
    }
    return Error::NoSpace;
}

Result<uint32_t> take_one() {
    const uint32_t cluster = TRY(find_free());
    TRY(set_entry(cluster, kEndMark));
    return cluster;
}

/// Appends to the chain that ends with `last`, until it has `clusters` more.
Result<void> append(uint32_t last, uint32_t clusters) {
    for (; clusters > 0; --clusters) {
        const uint32_t cluster = TRY(take_one());
        TRY(set_entry(last, static_cast<uint16_t>(cluster)));
        last = cluster;
    }
    return flush_table();
}

/// Entries of clusters in sector `index` of the table: the first two entries are none, and the last sector may have some too
/// many.
uint32_t entries_in(uint32_t index) {
    const uint32_t begin = index * kEntriesPerSector, end = volume.clusters + kFirstCluster;
    if (begin >= end) return 0;
    return end - begin < kEntriesPerSector ? end - begin : kEntriesPerSector;
}

} // namespace

Result<void> open_table() {
    alignas(4) uint8_t copy[kSectorSize];
    buffer.forget();
    is_changed = false;
    free_count = 0;
    search_from = kFirstCluster;
    for (uint32_t index = 0; index < volume.table_sectors; ++index) {
        TRY(buffer.load(volume.table_begin + index));
        if (volume.tables == 2) {
            TRY(volume.device->read(*volume.device, buffer.sector + volume.table_sectors, 1, copy));
            if (memcmp(copy, buffer.bytes, kSectorSize) != 0) return Error::BadFormat;
        }
        const auto* const entries = reinterpret_cast<const uint16_t*>(buffer.bytes);
        for (uint32_t i = index == 0 ? kFirstCluster : 0; i < entries_in(index); ++i) free_count += entries[i] == kFree;
    }
    return {};
}

Result<void> flush_table() {
    if (!is_changed) return {};
    TRY(write_copies());
    is_changed = false;
    return {};
}

Result<uint32_t> next_cluster(uint32_t cluster) {
    if (!volume.has_cluster(cluster)) return Error::BadFormat;
    const uint16_t entry = *TRY(entry_of(cluster));
    if (entry > kBad) return 0u;
    if (!volume.has_cluster(entry)) return Error::BadFormat;
    return uint32_t{entry};
}

Result<void> check_chain(uint32_t first, uint32_t clusters) {
    uint32_t cluster = first;
    for (; clusters > 0; --clusters) {
        if (!volume.has_cluster(cluster)) return Error::BadFormat;
        cluster = TRY(next_cluster(cluster));
    }
    return cluster == 0 ? Error::None : Error::BadFormat;
}

Result<uint32_t> take_chain(uint32_t clusters) {
    if (clusters > free_count) return Error::NoSpace;
    const uint32_t first = TRY(take_one());
    const Result<void> rest = append(first, clusters - 1);
    if (!rest.is_error()) return first;
    static_cast<void>(free_chain(first));
    return rest.error();
}

Result<void> set_next(uint32_t cluster, uint32_t next) {
    if (!volume.has_cluster(cluster)) return Error::BadFormat;
    TRY(set_entry(cluster, next == 0 ? kEndMark : static_cast<uint16_t>(next)));
    return flush_table();
}

Result<void> free_chain(uint32_t first) {
    Result<void> chain;
    while (volume.has_cluster(first)) { // each turn frees a cluster, so a loop ends at one that is free
        const Result<uint32_t> next = next_cluster(first);
        if (next.is_error() && next.error() != Error::BadFormat) return next.error();
        TRY(set_entry(first, kFree));
        if (next.is_error()) {
            chain = Error::BadFormat;
            break;
        }
        first = next.value();
    }
    TRY(flush_table());
    return chain;
}

uint32_t free_clusters() { return free_count; }

} // namespace fs::fat
