#include "fs/volume.h"

#include "fs/fat_file.h"
#include "fs/fat_folder.h"
#include "fs/fat_table.h"
#include "fs/fat_volume.h"

namespace fs {

using fat::volume;

namespace {

/// The first cluster of the folder that an entry of the root names.
Result<uint32_t> folder_named(const fat::Name& name) {
    const fat::Found found = TRY(fat::find_entry(fat::kRoot, name));
    if (!(found.entry.attributes & fat::kIsFolder)) return Error::NotFound;
    TRY(fat::check_entry(found.entry));
    return uint32_t{found.entry.first_cluster};
}

/// The folder that a path's last part lies in.
Result<uint32_t> folder_of(const fat::Path& path) {
    if (!path.has_folder) return uint32_t{fat::kRoot};
    return folder_named(path.folder);
}

/// Parses a path of something that should exist: what is no 8.3 name does not.
Result<fat::Path> path_of_existing(const char* text) {
    if (!is_mounted()) return Error::NotFound;
    const Result<fat::Path> path = fat::parse_path(text);
    if (path.is_error()) return Error::NotFound;
    return path;
}

/// Parses a path of something that shall exist.
Result<fat::Path> path_of_new(const char* text) {
    if (!is_mounted()) return Error::NotFound;
    return fat::parse_path(text);
}

Result<Node*> open_root() {
    fat::FolderEntry entry = {};
    entry.attributes = fat::kIsFolder;
    return static_cast<Node*>(TRY(fat::node_for(entry, {}, {})));
}

/// create() for a name that is there already.
Result<Node*> open_emptied(const fat::Found& found, const fat::Path& path) {
    if (found.entry.attributes & fat::kIsFolder) return Error::WrongKind;
    Node* const node = TRY(fat::node_for(found.entry, found.place, path));
    const Result<void> cut = fat::truncate(*node, 0);
    if (!cut.is_error()) return node;
    release(*node);
    return cut.error();
}

/// Fills a new folder's cluster: the folder itself, and its parent, which is the root.
Result<void> fill_folder(uint32_t cluster) {
    static constexpr fat::Name kDot = {{'.', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '}};
    static constexpr fat::Name kDots = {{'.', '.', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '}};
    TRY(fat::clear_cluster(cluster));
    fat::FolderEntry self = fat::make_entry(kDot, fat::kIsFolder);
    self.first_cluster = static_cast<uint16_t>(cluster);
    TRY(fat::write_entry({volume.sector_of(cluster), 0}, self));
    return fat::write_entry({volume.sector_of(cluster), 1}, fat::make_entry(kDots, fat::kIsFolder));
}

} // namespace

Result<void> mount(const BlockDevice& part) {
    static fat::BootSector boot;
    if (is_mounted()) return Error::Busy;
    TRY(part.read(part, 0, 1, &boot));
    volume = TRY(fat::read_geometry(boot, part));
    fat::scratch.forget();
    const Result<void> opened = fat::open_table();
    if (opened.is_error()) volume = {};
    return opened;
}

bool is_mounted() { return volume.device != nullptr; }

Result<void> unmount() {
    if (!is_mounted()) return Error::NotFound;
    if (fat::are_any_open()) return Error::Busy;
    TRY(fat::flush_table());
    volume = {};
    return {};
}

Result<Node*> open(const char* text) {
    const fat::Path path = TRY(path_of_existing(text));
    if (!path.has_name) return open_root();
    const uint32_t folder = TRY(folder_of(path));
    const fat::Found found = TRY(fat::find_entry(folder, path.name));
    return static_cast<Node*>(TRY(fat::node_for(found.entry, found.place, path)));
}

Result<Node*> create(const char* text) {
    const fat::Path path = TRY(path_of_new(text));
    if (!path.has_name) return Error::WrongKind;
    const uint32_t folder = TRY(folder_of(path));
    const Result<fat::Found> found = fat::find_entry(folder, path.name);
    if (!found.is_error()) return open_emptied(found.value(), path);
    if (found.error() != Error::NotFound) return found.error();

    const fat::Place place = TRY(fat::place_for_entry(folder));
    const fat::FolderEntry entry = fat::make_entry(path.name, fat::kArchive);
    Node* const node = TRY(fat::node_for(entry, place, path)); // memory first: a file that nobody gets would stay on the disk
    const Result<void> written = fat::write_entry(place, entry);
    if (!written.is_error()) return node;
    release(*node);
    return written.error();
}

Result<void> remove(const char* text) {
    const fat::Path path = TRY(path_of_existing(text));
    if (!path.has_name) return Error::WrongKind;
    const uint32_t folder = TRY(folder_of(path));
    const fat::Found found = TRY(fat::find_entry(folder, path.name));
    if (found.entry.attributes & fat::kIsFolder) return Error::WrongKind;
    if (found.entry.attributes & fat::kReadOnly) return Error::AccessDenied;
    if (fat::is_open(found.place)) return Error::Busy;
    TRY(fat::check_entry(found.entry));
    TRY(fat::erase_entry(folder, found));
    return fat::free_chain(found.entry.first_cluster);
}

Result<void> make_folder(const char* text) {
    const fat::Path path = TRY(path_of_new(text));
    if (!path.has_name) return Error::Exists;
    if (path.has_folder) return Error::InvalidArgument;
    const Result<fat::Found> found = fat::find_entry(fat::kRoot, path.name);
    if (!found.is_error()) return Error::Exists;
    if (found.error() != Error::NotFound) return found.error();

    const fat::Place place = TRY(fat::place_for_entry(fat::kRoot));
    fat::FolderEntry entry = fat::make_entry(path.name, fat::kIsFolder);
    entry.first_cluster = static_cast<uint16_t>(TRY(fat::take_chain(1)));
    Result<void> made = fill_folder(entry.first_cluster);
    if (!made.is_error()) made = fat::write_entry(place, entry);
    if (made.is_error()) static_cast<void>(fat::free_chain(entry.first_cluster));
    return made;
}

Result<Entry> entry(const char* folder, size_t index) {
    const fat::Path path = TRY(path_of_existing(folder));
    if (path.has_folder) return Error::NotFound;
    const fat::FolderEntry found = TRY(fat::entry_at(path.has_name ? TRY(folder_named(path.name)) : fat::kRoot, index));
    Entry line = {};
    fat::write_name(found, line.name);
    line.kind = found.attributes & fat::kIsFolder ? NodeKind::Folder : NodeKind::File;
    line.size = line.kind == NodeKind::Folder ? 0 : found.size;
    return line;
}

Result<VolumeStatistics> volume_statistics() {
    if (!is_mounted()) return Error::NotFound;
    return VolumeStatistics{volume.cluster_bytes(), volume.clusters, fat::free_clusters()};
}

} // namespace fs
