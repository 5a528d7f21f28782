/// @file
/// Files of the volume while they are open. Internal to kernel/fs.
#pragma once

#include <cstdint>

#include "fs/fat_folder.h"
#include "fs/node.h"

namespace fs::fat {

/// The node of a file or folder of the volume.
struct FileNode : Node {
    FileNode* next;          ///< In the list of open nodes.
    Place place;             ///< Its entry; the root folder has none: sector 0.
    uint32_t first_cluster;  ///< 0 for an empty file.
    uint32_t cursor_index;   ///< The cluster that was looked up last: its number in the file, and its number on the volume.
    uint32_t cursor_cluster; ///< 0: none.
    bool is_read_only;
    char path[kMaxPath];     ///< "/bin/shell".
};

/// The node for an entry, or its node if it is open already, with a reference for the caller.
/// @param place  of the entry; sector 0 for the root folder
/// @return Error::BadFormat when the entry's size and clusters contradict each other; OutOfMemory; DeviceError
Result<FileNode*> node_for(const FolderEntry& entry, const Place& place, const Path& path);

/// Whether an entry's size and clusters fit together. @return Error::BadFormat when not
Result<void> check_entry(const FolderEntry& entry);

bool is_open(const Place& place);
bool are_any_open();

/// NodeOperations::truncate().
Result<void> truncate(Node& node, uint32_t bytes);

} // namespace fs::fat
