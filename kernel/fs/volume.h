/// @file
/// The one mounted volume: FAT16 (Microsoft, "FAT: General Overview of On-Disk Format", 1.03), with 8.3 names, files in the root
/// and in one level of folders. "/bin/shell", "bin/shell" and "BIN/SHELL" name the same file. Long names are passed over.
///
/// Everything is written through at once: the image on the host is clean (fsck.fat) whenever no call is running. Whatever a
/// damaged volume says, no call reads or writes outside the volume, loops for ever, or panics: Error::BadFormat.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fs/node.h"
#include "lib/block_device.h"
#include "lib/result.h"

namespace fs {

/// A name of up to 8 and 3 characters with its dot, in lower case, and a zero byte.
inline constexpr size_t kMaxName = 13;
/// A path, zero byte included.
inline constexpr size_t kMaxPath = 32;

/// One line of a folder.
struct Entry {
    char name[kMaxName];
    NodeKind kind;
    uint32_t size;        ///< Bytes.
};

/// Reads the boot sector and believes nothing. `part` must live as long as the volume is mounted.
/// @return Error::BadFormat  no FAT16, or its figures contradict each other or the device's size, or the two copies of its table
///                           differ (fsck.fat repairs that)
///         Error::DeviceError
///         Error::Busy       a volume is mounted already
Result<void> mount(const BlockDevice& part);
bool is_mounted();
/// Forgets the volume. @return Error::Busy while nodes are open
Result<void> unmount();

/// The file or folder that `path` names, with a reference for the caller.
/// @return Error::NotFound (also without a volume), BadFormat, DeviceError, OutOfMemory
Result<Node*> open(const char* path);

/// Makes an empty file, or cuts an existing one to 0 bytes.
/// @return as open(), and Error::NoSpace, Error::InvalidArgument (no 8.3 name), Error::WrongKind (a folder has this name),
///         Error::AccessDenied (its read-only attribute; writing to such a node is refused with the same)
Result<Node*> create(const char* path);

/// Removes a file that nobody has open.
/// @return as open(), and Error::Busy, Error::WrongKind (a folder), Error::AccessDenied (its read-only attribute)
Result<void> remove(const char* path);

/// Makes a folder in the root. @return as create(), and Error::Exists
Result<void> make_folder(const char* path);

/// Entry number `index` of a folder ("" or "/" is the root), deleted ones not counted.
/// @return Error::NotFound past the last, or when there is no such folder
Result<Entry> entry(const char* folder, size_t index);

/// Figures of the volume, for reports.
struct VolumeStatistics {
    uint32_t cluster_bytes;
    uint32_t clusters;
    uint32_t free_clusters;
};
Result<VolumeStatistics> volume_statistics();

} // namespace fs
