#include <cstddef>
#include <cstdint>

#include "drivers/ata.h"
#include "fs/volume.h"
#include "lib/format.h"
#include "lib/text.h"
#include "monitor/command.h"

namespace {

Result<void> show_disks(const Words&) {
    for (size_t i = 0; i < ata_disk_count(); ++i) {
        const BlockDevice& disk = ata_disk(i);
        print("{-6} {10} sectors, {} KiB\n", disk.name, disk.sectors, disk.sectors / 2);
    }
    if (ata_disk_count() == 0) print("no disk\n");
    if (!fs::is_mounted()) return {};
    const fs::VolumeStatistics volume = TRY(fs::volume_statistics());
    const uint32_t sectors = volume.cluster_bytes / kSectorSize;
    print("volume: {} clusters of {} bytes, {} KiB; ", volume.clusters, volume.cluster_bytes, volume.clusters * sectors / 2);
    print("{} clusters free, {} KiB\n", volume.free_clusters, volume.free_clusters * sectors / 2);
    return {};
}

Result<void> check_folder(const char* path) {
    fs::Node& folder = *TRY(fs::open(path));
    const fs::NodeKind kind = folder.kind;
    release(folder);
    return kind == fs::NodeKind::Folder ? Error::None : Error::WrongKind;
}

Result<void> list(const Words& words) {
    for (size_t i = 0;; ++i) {
        const Result<fs::Entry> entry = fs::entry(words.word(0), i);
        if (entry.error() == Error::NotFound) break; // past the last, if there is such a folder
        if (entry.is_error()) return entry.error();
        if (entry.value().kind == fs::NodeKind::Folder) print("  {-12} folder\n", entry.value().name);
        else print("  {-12} {10} bytes\n", entry.value().name, entry.value().size);
    }
    return check_folder(*words.word(0) ? words.word(0) : "/");
}

/// Prints a file's text; other bytes as dots.
Result<void> print_file(fs::Node& file) {
    char text[129];
    for (uint32_t position = 0;;) {
        const size_t bytes = TRY(file.operations->read(file, position, text, sizeof text - 1));
        if (bytes == 0) break;
        for (size_t i = 0; i < bytes; ++i) {
            if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~')) text[i] = '.';
        }
        text[bytes] = 0;
        print("{}", text);
        position += bytes;
    }
    print("\n");
    return {};
}

Result<void> show_file(const Words& words) {
    fs::Node& file = *TRY(fs::open(words.word(0)));
    const Result<void> shown = print_file(file);
    release(file);
    return shown;
}

Result<void> write_words(fs::Node& file, const Words& words) {
    for (size_t i = 1; i < words.count(); ++i) {
        TRY(file.operations->write(file, file.size, words.word(i), text_length(words.word(i))));
        TRY(file.operations->write(file, file.size, i + 1 < words.count() ? " " : "\n", 1));
    }
    return {};
}

Result<void> put(const Words& words) {
    if (words.count() == 0) return Error::InvalidArgument;
    fs::Node& file = *TRY(fs::create(words.word(0)));
    const Result<void> written = write_words(file, words);
    release(file);
    return written;
}

Result<void> remove(const Words& words) { return fs::remove(words.word(0)); }
Result<void> make_folder(const Words& words) { return fs::make_folder(words.word(0)); }

constexpr Command kCommands[] = {
    {"disks", "", "disks, and figures of the volume", show_disks},
    {"ls", "[FOLDER]", "files of a folder", list},
    {"cat", "FILE", "what stands in a file", show_file},
    {"put", "FILE [TEXT...]", "make a file with a line of text", put},
    {"rm", "FILE", "remove a file", remove},
    {"mkdir", "FOLDER", "make a folder in the root", make_folder},
};

} // namespace

std::span<const Command> file_commands() { return kCommands; }
