/// @file
/// cat FILE...: shows files.
#include "user/library.h"

namespace {

int show(const char* path) {
    const int file = open(path, abi::O_RDONLY);
    if (file < 0) return file;
    char buffer[1024];
    int result;
    while ((result = read(file, buffer, sizeof buffer)) > 0) {
        result = write_all(abi::kStandardOutput, buffer, static_cast<size_t>(result));
        if (result < 0) break;
    }
    close(file);
    return result;
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        printf("usage: cat FILE...\n");
        return 2;
    }
    int status = 0;
    for (int i = 1; i < argc; ++i) {
        if (const int error = show(argv[i]); error < 0) {
            printf("cat: %s: %s\n", argv[i], error_text(error));
            status = 1;
        }
    }
    return status;
}
