/// @file
/// The table of clusters: chains, taking and giving back. Internal to kernel/fs.
///
/// One sector of the table is in memory, changed there, and written (to both copies) when another one is needed, and by flush_table().
/// So the sectors reach the disk in the order in which they were changed, and who calls flush_table() between two steps knows that the
/// first is on the disk before the second begins. A sector that could not be written stays in memory, and is tried again before
/// any other.
#pragma once

#include <cstdint>

#include "lib/result.h"

namespace fs::fat {

/// Reads the whole table. @return Error::BadFormat when its copies differ; Error::DeviceError
Result<void> open_table();

/// Writes what has changed. To be called at the end of every operation that changed the table.
Result<void> flush_table();

/// The cluster behind `cluster` (one of the volume's), 0 at the end of the chain.
/// @return Error::BadFormat when the entry is no cluster: free, bad, or past the end
Result<uint32_t> next_cluster(uint32_t cluster);

/// Whether exactly `clusters` clusters hang on `first`: so the chain has no loop, and stays on the volume.
/// @return Error::BadFormat when not
Result<void> check_chain(uint32_t first, uint32_t clusters);

/// Takes `clusters` (1 at least) free clusters, linked to one another and to nothing else. On the disk they are lost clusters
/// until somebody points to the first.
/// @return the first; Error::NoSpace or DeviceError: nothing is taken then
Result<uint32_t> take_chain(uint32_t clusters);

/// Writes what comes behind a cluster: another cluster, or 0 for the end.
Result<void> set_next(uint32_t cluster, uint32_t next);

/// Frees a chain; 0 is none. Stops where the chain is damaged.
Result<void> free_chain(uint32_t first);

/// Clusters that are free.
uint32_t free_clusters();

} // namespace fs::fat
