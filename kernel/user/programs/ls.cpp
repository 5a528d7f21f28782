/// @file
/// ls [FOLDER]: names and sizes.
#include "user/library.h"

int main(int argc, char** argv) {
    const char* const folder = argc > 1 ? argv[1] : "/";
    abi::FolderEntry entry;
    uint32_t count = 0;
    int result;
    while ((result = list_folder(folder, count, &entry)) == 0) {
        if (entry.is_folder) {
            printf("  %9s  %s/\n", "folder", entry.name);
        } else {
            printf("  %9u  %s\n", entry.size, entry.name);
        }
        ++count;
    }
    // An empty folder and one that is not there both end at once; only the latter cannot be opened.
    if (count == 0 && result == -abi::ENOENT) {
        const int file = open(folder, abi::O_RDONLY);
        if (file >= 0) close(file);
        if (file >= 0 || file == -abi::EISDIR) result = file >= 0 ? -abi::EINVAL : 0;
        if (result == -abi::EINVAL) printf("ls: %s: a file, no folder\n", folder);
    }
    if (result == -abi::ENOENT && count == 0) printf("ls: %s: %s\n", folder, error_text(result));
    return count == 0 && result != 0 ? 1 : 0;
}
