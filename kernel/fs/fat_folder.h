/// @file
/// Folders of the volume: names, entries, room for a new one. Internal to kernel/fs.
#pragma once

#include <cstdint>

#include "fs/fat_layout.h"
#include "fs/volume.h"
#include "lib/result.h"

namespace fs::fat {

/// A name as a folder holds it: 8 and 3 characters in upper case, filled up with spaces.
struct Name {
    uint8_t bytes[11];
};

/// A path in parts.
struct Path {
    bool has_folder = false;
    bool has_name = false; ///< Not so: the root itself.
    Name folder = {};
    Name name = {};
};
/// @return Error::InvalidArgument when a part is no 8.3 name, or when there are more than two
Result<Path> parse_path(const char* text);

/// The name for people: lower case, with a dot, characters that no name should have as "?".
void write_name(const FolderEntry& entry, char (&text)[kMaxName]);

/// The root folder, in place of a first cluster.
inline constexpr uint32_t kRoot = 0;

/// Where an entry lies: the sector, and which of its entries.
struct Place {
    uint32_t sector = 0;
    uint32_t index = 0;
    bool operator==(const Place&) const = default;
};

struct Found {
    FolderEntry entry;
    Place place;
    uint32_t slot;       ///< Counted from the folder's beginning, deleted ones too.
    uint32_t long_slots; ///< Right before it: the parts of its long name.
};

/// Looks for a name in the folder that begins with cluster `folder`.
/// @return Error::NotFound, BadFormat (the folder's chain), DeviceError
Result<Found> find_entry(uint32_t folder, const Name& name);

/// Entry `index` of those that are files or folders; `.` and `..` do not count.
Result<FolderEntry> entry_at(uint32_t folder, size_t index);

/// A place for a new entry. A folder that is full grows by a cluster; the root cannot.
/// @return Error::NoSpace, BadFormat, DeviceError
Result<Place> place_for_entry(uint32_t folder);

/// Writes one entry. It is on the disk afterwards.
Result<void> write_entry(const Place& place, const FolderEntry& entry);

/// Marks the entry as deleted, and the parts of its long name before it.
Result<void> erase_entry(uint32_t folder, const Found& found);

/// A new entry without contents, of today.
FolderEntry make_entry(const Name& name, uint8_t attributes);

} // namespace fs::fat
