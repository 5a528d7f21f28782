/// @file
/// ls [FOLDER]: names and sizes.
#include "user/library.h"

namespace {

void show(const abi::FolderEntry& entry) {
    if (entry.is_folder) {
        printf("  %9s  %s/\n", "folder", entry.name);
    } else {
        printf("  %9u  %s\n", entry.size, entry.name);
    }
}

/// Why a folder has no first entry: it is empty (0), a file, or not there.
int why_nothing(const char* path) {
    const int file = open(path, abi::O_RDONLY);
    if (file < 0) return file;
    char byte;
    const int result = read(file, &byte, 1);
    close(file);
    return result == -abi::EISDIR ? 0 : -abi::EINVAL;
}

} // namespace

int main(int argc, char** argv) {
    if (argc > 2) {
        printf("usage: ls [FOLDER]\n");
        return 2;
    }
    const char* const folder = argc > 1 ? argv[1] : "/";
    abi::FolderEntry entry;
    uint32_t count = 0;
    int result;
    while ((result = list_folder(folder, count, &entry)) == 0) {
        show(entry);
        ++count;
    }
    if (result == -abi::ENOENT) result = count > 0 ? 0 : why_nothing(folder);
    if (result < 0) printf("ls: %s: %s\n", folder, result == -abi::EINVAL ? "a file, no folder" : error_text(result));
    return result < 0 ? 1 : 0;
}
