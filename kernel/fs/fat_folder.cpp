#include "fs/fat_folder.h"

#include "fs/fat_table.h"
#include "fs/fat_volume.h"
#include "lib/memory.h"

namespace fs::fat {

namespace {

/// Goes through a folder's slots. The slot lies in `scratch` until another sector is loaded.
class Walk {
public:
    explicit Walk(uint32_t folder) : cluster_(folder) {}

    /// The next slot; nullptr behind the last.
    Result<FolderEntry*> next() {
        if (is_at_limit() || !TRY(step())) return nullptr;
        TRY(scratch.load(sector_));
        return reinterpret_cast<FolderEntry*>(scratch.bytes) + index();
    }

    Place place() const { return {sector_, index()}; }
    uint32_t slot() const { return slot_ - 1; }
    /// At the end: the folder's last cluster.
    uint32_t cluster() const { return cluster_; }
    bool is_at_limit() const { return slot_ == kMaxFolderEntries; }

private:
    uint32_t index() const { return slot() % kFolderEntriesPerSector; }

    /// Moves to slot number `slot_`; false when there is none.
    Result<bool> step() {
        const uint32_t slot = slot_;
        if (slot % kFolderEntriesPerSector == 0) {
            const uint32_t sector = slot / kFolderEntriesPerSector;
            if (!TRY(cluster_ == kRoot ? step_in_root(sector) : step_in_chain(sector))) return false;
        }
        slot_ = slot + 1;
        return true;
    }

    Result<bool> step_in_root(uint32_t sector) {
        if (sector == volume.root_sectors) return false;
        sector_ = volume.root_begin + sector;
        return true;
    }

    Result<bool> step_in_chain(uint32_t sector) {
        const uint32_t in_cluster = sector % volume.cluster_sectors;
        if (in_cluster == 0 && sector > 0) {
            const uint32_t next = TRY(next_cluster(cluster_));
            if (next == 0) return false;
            cluster_ = next;
        }
        if (!volume.has_cluster(cluster_)) return Error::BadFormat;
        sector_ = volume.sector_of(cluster_) + in_cluster;
        return true;
    }

    uint32_t cluster_;
    uint32_t sector_ = 0;
    uint32_t slot_ = 0; ///< The next one's number.
};

bool is_long_name(const FolderEntry& entry) { return (entry.attributes & kLongName) == kLongName; }
/// A file or folder: not deleted, no label, no part of a long name.
bool is_visible(const FolderEntry& entry) { return entry.name[0] != kDeleted && !(entry.attributes & kVolumeLabel); }
bool is_dots(const FolderEntry& entry) { return entry.name[0] == '.'; }

char upper(char character) { return character >= 'a' && character <= 'z' ? static_cast<char>(character - 'a' + 'A') : character; }
char lower(char character) { return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character; }

/// What a name may hold (FAT 1.03, "Naming Conventions": letters, digits, and these), in upper case.
bool may_stand_in_name(char character) {
    if ((character >= 'A' && character <= 'Z') || (character >= '0' && character <= '9')) return true;
    for (const char* allowed = "$%'-_@~`!(){}^#&"; *allowed; ++allowed) {
        if (character == *allowed) return true;
    }
    return false;
}

/// Reads one part of a path, up to a slash or the end, and the slashes behind it.
Result<Name> parse_name(const char*& text) {
    Name name;
    memset(name.bytes, ' ', sizeof name.bytes);
    size_t at = 0, end = 8;
    for (; *text && *text != '/'; ++text) {
        const char character = upper(*text);
        if (character == '.' && end == 8 && at > 0) {
            at = 8;
            end = 11;
        } else {
            if (at == end || !may_stand_in_name(character)) return Error::InvalidArgument;
            name.bytes[at++] = static_cast<uint8_t>(character);
        }
    }
    if (at == 0 || (end == 11 && at == 8)) return Error::InvalidArgument; // nothing, or a dot with nothing behind it
    while (*text == '/') ++text;
    return name;
}

} // namespace

Result<Path> parse_path(const char* text) {
    Path path;
    while (*text == '/') ++text;
    if (*text == 0) return path;
    path.has_name = true;
    path.name = TRY(parse_name(text));
    if (*text == 0) return path;
    path.has_folder = true;
    path.folder = path.name;
    path.name = TRY(parse_name(text));
    if (*text != 0) return Error::InvalidArgument;
    return path;
}

void write_name(const FolderEntry& entry, char (&text)[kMaxName]) {
    size_t length = 0;
    bool has_dot = false;
    for (size_t i = 0; i < sizeof entry.name; ++i) {
        const char character = static_cast<char>(entry.name[i]);
        if (character == ' ') continue;
        if (i >= 8 && !has_dot) text[length++] = '.';
        has_dot = i >= 8;
        text[length++] = may_stand_in_name(character) ? lower(character) : '?';
    }
    text[length] = 0;
}

Result<Found> find_entry(uint32_t folder, const Name& name) {
    uint32_t long_slots = 0;
    for (Walk walk(folder);;) {
        const FolderEntry* const entry = TRY(walk.next());
        if (!entry || entry->name[0] == kEndOfFolder) return Error::NotFound;
        if (is_visible(*entry) && memcmp(entry->name, name.bytes, sizeof name.bytes) == 0) {
            return Found{*entry, walk.place(), walk.slot(), long_slots};
        }
        long_slots = entry->name[0] != kDeleted && is_long_name(*entry) ? long_slots + 1 : 0;
    }
}

Result<FolderEntry> entry_at(uint32_t folder, size_t index) {
    for (Walk walk(folder);;) {
        const FolderEntry* const entry = TRY(walk.next());
        if (!entry || entry->name[0] == kEndOfFolder) return Error::NotFound;
        if (is_visible(*entry) && !is_dots(*entry) && index-- == 0) return *entry;
    }
}

Result<Place> place_for_entry(uint32_t folder) {
    Walk walk(folder);
    for (;;) {
        const FolderEntry* const entry = TRY(walk.next());
        if (!entry) break;
        if (entry->name[0] == kEndOfFolder || entry->name[0] == kDeleted) return walk.place();
    }
    if (folder == kRoot || walk.is_at_limit()) return Error::NoSpace;
    const uint32_t fresh = TRY(take_chain(1));
    Result<void> done = clear_cluster(fresh);
    if (!done.is_error()) done = set_next(walk.cluster(), fresh);
    if (!done.is_error()) return Place{volume.sector_of(fresh), 0};
    static_cast<void>(free_chain(fresh));
    return done.error();
}

Result<void> write_entry(const Place& place, const FolderEntry& entry) {
    TRY(scratch.load(place.sector));
    reinterpret_cast<FolderEntry*>(scratch.bytes)[place.index] = entry;
    return scratch.store();
}

Result<void> erase_entry(uint32_t folder, const Found& found) {
    for (Walk walk(folder);;) {
        FolderEntry* const entry = TRY(walk.next());
        if (!entry) return Error::BadFormat;
        if (walk.slot() < found.slot - found.long_slots) continue;
        entry->name[0] = kDeleted;
        const bool is_last = walk.slot() == found.slot;
        if (is_last || walk.place().index == kFolderEntriesPerSector - 1) TRY(scratch.store());
        if (is_last) return {};
    }
}

FolderEntry make_entry(const Name& name, uint8_t attributes) {
    FolderEntry entry = {};
    memcpy(entry.name, name.bytes, sizeof entry.name);
    entry.attributes = attributes;
    entry.made_date = entry.read_date = entry.written_date = kDate;
    return entry;
}

} // namespace fs::fat
