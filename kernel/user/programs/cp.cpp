/// @file
/// cp FROM TO: copies a file.
#include "user/library.h"

namespace {

int copy(int from, int to) {
    char buffer[2048];
    int result;
    while ((result = read(from, buffer, sizeof buffer)) > 0) {
        result = write_all(to, buffer, static_cast<size_t>(result));
        if (result < 0) break;
    }
    return result;
}

int fail(const char* path, int error) {
    printf("cp: %s: %s\n", path, error_text(error));
    return 1;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        printf("usage: cp FROM TO\n");
        return 2;
    }
    if (strcmp(argv[1], argv[2]) == 0) return fail(argv[2], -abi::EBUSY); // opening the copy would empty it
    const int from = open(argv[1], abi::O_RDONLY);
    if (from < 0) return fail(argv[1], from);
    const int to = open(argv[2], abi::O_WRONLY | abi::O_CREAT | abi::O_TRUNC);
    if (to < 0) return fail(argv[2], to);
    const int error = copy(from, to);
    return error < 0 ? fail(argv[2], error) : 0;
}
