// Contents of files. A stop in the middle of anything here (power, a panic) leaves at most clusters that belong to nobody, or
// behind a file's end, and no cluster in two files:
//   growing    the new chain, ended and linked to nothing; the link to it; the data; the entry with size and first cluster
//   cutting    the entry; the end mark; then the clusters are freed
//   removing   the entry; then the clusters are freed
//   creating   the entry (a folder's cluster and what is in it first)
#include "fs/fat_file.h"

#include "fs/fat_table.h"
#include "fs/fat_volume.h"
#include "lib/memory.h"
#include "mm/heap/kmalloc.h"

namespace fs::fat {

namespace {

constinit FileNode* open_nodes = nullptr;

FileNode& file_of(Node& node) { return static_cast<FileNode&>(node); }

uint32_t clusters_for(uint32_t bytes) { return bytes / volume.cluster_bytes() + (bytes % volume.cluster_bytes() != 0); }

/// The file's cluster number `index`, which it has.
Result<uint32_t> cluster_at(FileNode& file, uint32_t index) {
    if (file.cursor_cluster == 0 || index < file.cursor_index) {
        file.cursor_index = 0;
        file.cursor_cluster = file.first_cluster;
    }
    while (file.cursor_index < index) {
        const uint32_t next = TRY(next_cluster(file.cursor_cluster));
        if (next == 0) return Error::BadFormat;
        file.cursor_cluster = next;
        ++file.cursor_index;
    }
    if (!volume.has_cluster(file.cursor_cluster)) return Error::BadFormat;
    return file.cursor_cluster;
}

/// What one step of a transfer moves: a part of one sector, or whole sectors of one cluster.
struct Piece {
    uint32_t sector;
    uint32_t offset; ///< In bytes.
    uint32_t bytes;
    bool is_whole() const { return offset == 0 && bytes % kSectorSize == 0; }
};

Result<Piece> piece_at(FileNode& file, uint32_t position, uint32_t bytes) {
    const uint32_t in_cluster = position % volume.cluster_bytes();
    const uint32_t cluster = TRY(cluster_at(file, position / volume.cluster_bytes()));
    const uint32_t sector = volume.sector_of(cluster) + in_cluster / kSectorSize, offset = position % kSectorSize;
    if (offset != 0 || bytes < kSectorSize) {
        const uint32_t rest = kSectorSize - offset;
        return Piece{sector, offset, bytes < rest ? bytes : rest};
    }
    const uint32_t rest = volume.cluster_bytes() - in_cluster;
    return Piece{sector, 0, (bytes < rest ? bytes : rest) / kSectorSize * kSectorSize};
}

Result<size_t> read(Node& node, uint32_t position, void* buffer, size_t bytes) {
    FileNode& file = file_of(node);
    if (file.kind != NodeKind::File) return Error::WrongKind;
    if (position >= file.size) return size_t{0};
    const uint32_t wanted = bytes < file.size - position ? bytes : file.size - position;
    auto* to = static_cast<uint8_t*>(buffer);
    for (uint32_t done = 0; done < wanted;) {
        const Piece piece = TRY(piece_at(file, position + done, wanted - done));
        if (piece.is_whole()) {
            TRY(read_sectors(piece.sector, piece.bytes / kSectorSize, to + done));
        } else {
            TRY(scratch.load(piece.sector));
            memcpy(to + done, scratch.bytes + piece.offset, piece.bytes);
        }
        done += piece.bytes;
    }
    return size_t{wanted};
}

/// A part of a sector; no source means zeros.
Result<void> put_part(const Piece& piece, const uint8_t* from) {
    TRY(scratch.load(piece.sector));
    if (from) memcpy(scratch.bytes + piece.offset, from, piece.bytes);
    else memset(scratch.bytes + piece.offset, 0, piece.bytes);
    return scratch.store();
}

/// Writes into clusters that the file has already.
Result<void> put(FileNode& file, uint32_t position, const uint8_t* from, uint32_t bytes) {
    for (uint32_t done = 0; done < bytes;) {
        const Piece piece = TRY(piece_at(file, position + done, bytes - done));
        if (piece.is_whole()) TRY(write_sectors(piece.sector, piece.bytes / kSectorSize, from + done));
        else TRY(put_part(piece, from + done));
        done += piece.bytes;
    }
    return {};
}

Result<void> put_zeros(FileNode& file, uint32_t position, uint32_t bytes) {
    for (uint32_t done = 0; done < bytes;) {
        const uint32_t left = bytes - done;
        const Piece piece = TRY(piece_at(file, position + done, left < kSectorSize ? left : kSectorSize));
        TRY(put_part(piece, nullptr));
        done += piece.bytes;
    }
    return {};
}

/// Writes size and first cluster into the file's entry.
Result<void> update_entry(const FileNode& file, uint32_t size) {
    TRY(scratch.load(file.place.sector));
    FolderEntry entry = reinterpret_cast<const FolderEntry*>(scratch.bytes)[file.place.index];
    entry.size = size;
    entry.first_cluster = static_cast<uint16_t>(size == 0 ? 0 : file.first_cluster);
    entry.attributes |= kArchive;
    entry.written_date = entry.read_date = kDate;
    entry.written_time = 0;
    return write_entry(file.place, entry);
}

/// Gives the file back the clusters behind its first `keep`, in the table alone.
Result<void> cut_chain(FileNode& file, uint32_t keep) {
    uint32_t rest = file.first_cluster;
    if (keep > 0) {
        const uint32_t last = TRY(cluster_at(file, keep - 1));
        rest = TRY(next_cluster(last));
        if (rest != 0) TRY(set_next(last, 0));
    } else {
        file.first_cluster = 0;
    }
    file.cursor_cluster = 0;
    return free_chain(rest);
}

/// Lengthens the chain of `have` clusters to `want`. The entry does not know of them yet.
Result<void> lengthen_chain(FileNode& file, uint32_t have, uint32_t want) {
    if (want <= have) return {};
    uint32_t last = 0;
    if (have > 0) {
        last = TRY(cluster_at(file, have - 1));
        if (TRY(next_cluster(last)) != 0) return Error::BadFormat;
    }
    const uint32_t first = TRY(take_chain(want - have));
    if (have == 0) {
        file.first_cluster = first;
        file.cursor_cluster = 0;
        return {};
    }
    const Result<void> linked = set_next(last, first);
    if (linked.is_error()) static_cast<void>(free_chain(first));
    return linked;
}

/// Brings the file to `end` bytes (if it is shorter), with zeros up to `position`, and `from`'s bytes between the two.
Result<void> grow(FileNode& file, uint32_t position, const uint8_t* from, uint32_t end) {
    const uint32_t have = clusters_for(file.size);
    TRY(lengthen_chain(file, have, clusters_for(end)));
    Result<void> done;
    if (position > file.size) done = put_zeros(file, file.size, position - file.size);
    if (!done.is_error()) done = put(file, position, from, end - position);
    if (done.is_error()) {
        static_cast<void>(cut_chain(file, have));
        return done;
    }
    if (end <= file.size) return {};
    TRY(update_entry(file, end));
    file.size = end;
    return {};
}

/// As many bytes as the file could have, with all free clusters.
uint32_t room_for(const FileNode& file) {
    const uint64_t bytes = uint64_t{clusters_for(file.size) + free_clusters()} * volume.cluster_bytes();
    return bytes < UINT32_MAX ? static_cast<uint32_t>(bytes) : UINT32_MAX;
}

Result<void> check_writable(const FileNode& file) {
    if (file.kind != NodeKind::File) return Error::WrongKind;
    return file.is_read_only ? Error::AccessDenied : Error::None;
}

Result<size_t> write(Node& node, uint32_t position, const void* buffer, size_t bytes) {
    FileNode& file = file_of(node);
    TRY(check_writable(file));
    if (bytes == 0) return size_t{0};
    const uint32_t room = room_for(file);
    if (position >= room) return Error::NoSpace;
    const uint32_t wanted = bytes < room - position ? bytes : room - position;
    file.object = nullptr; // mappings from now on show the new contents, those from before the old
    TRY(grow(file, position, static_cast<const uint8_t*>(buffer), position + wanted));
    return size_t{wanted};
}

void destroy(Node& node) {
    FileNode* const file = &file_of(node);
    FileNode** link = &open_nodes;
    while (*link != file) link = &(*link)->next;
    *link = file->next;
    static_cast<void>(mm::kfree(file));
}

void name(const Node& node, char* text, size_t bytes) {
    const char* const path = static_cast<const FileNode&>(node).path;
    size_t length = 0;
    for (; path[length] && length + 1 < bytes; ++length) text[length] = path[length];
    if (bytes > 0) text[length] = 0;
}

constexpr NodeOperations kOperations = {read, write, truncate, destroy, name};

FileNode* find_open(const Place& place) {
    for (FileNode* file = open_nodes; file; file = file->next) {
        if (file->place == place) return file;
    }
    return nullptr;
}

void append_name(char*& at, const Name& name) {
    FolderEntry entry = {};
    memcpy(entry.name, name.bytes, sizeof entry.name);
    char text[kMaxName];
    write_name(entry, text);
    *at++ = '/';
    for (const char* from = text; *from; ++from) *at++ = *from;
}

void write_path(char (&text)[kMaxPath], const Path& path) {
    static_assert(kMaxPath >= 2 * kMaxName + 1);
    char* at = text;
    if (path.has_folder) append_name(at, path.folder);
    if (path.has_name) append_name(at, path.name);
    else *at++ = '/';
    *at = 0;
}

/// Whether a folder's chain has an end, at the size that no folder exceeds or before it.
Result<void> check_folder_chain(uint32_t cluster) {
    const uint32_t per_cluster = volume.cluster_sectors * kFolderEntriesPerSector;
    for (uint32_t entries = 0; entries < kMaxFolderEntries; entries += per_cluster) {
        cluster = TRY(next_cluster(cluster));
        if (cluster == 0) return {};
    }
    return Error::BadFormat;
}

} // namespace

Result<void> check_entry(const FolderEntry& entry) {
    if (entry.attributes & kIsFolder) return check_folder_chain(entry.first_cluster);
    if (clusters_for(entry.size) > volume.clusters) return Error::BadFormat;
    return check_chain(entry.first_cluster, clusters_for(entry.size));
}

Result<FileNode*> node_for(const FolderEntry& entry, const Place& place, const Path& path) {
    if (FileNode* const open = find_open(place)) {
        retain(*open);
        return open;
    }
    if (place.sector != 0) TRY(check_entry(entry));
    auto* const file = static_cast<FileNode*>(TRY(mm::kmalloc(sizeof(FileNode))));
    const bool is_folder = entry.attributes & kIsFolder;
    *file = {};
    file->operations = &kOperations;
    file->kind = is_folder ? NodeKind::Folder : NodeKind::File;
    file->references = 1;
    file->size = is_folder ? 0 : entry.size;
    file->place = place;
    file->first_cluster = entry.first_cluster;
    file->is_read_only = entry.attributes & kReadOnly;
    write_path(file->path, path);
    file->next = open_nodes;
    open_nodes = file;
    return file;
}

bool is_open(const Place& place) { return find_open(place) != nullptr; }
bool are_any_open() { return open_nodes != nullptr; }

Result<void> truncate(Node& node, uint32_t bytes) {
    FileNode& file = file_of(node);
    TRY(check_writable(file));
    if (bytes == file.size) return {};
    file.object = nullptr;
    if (bytes > file.size) {
        if (bytes > room_for(file)) return Error::NoSpace;
        return grow(file, bytes, nullptr, bytes);
    }
    TRY(update_entry(file, bytes));
    file.size = bytes;
    return cut_chain(file, clusters_for(bytes));
}

} // namespace fs::fat
