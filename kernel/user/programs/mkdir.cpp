/// @file
/// mkdir NAME: makes a folder in the root.
#include "user/library.h"

int main(int argc, char** argv) {
    if (argc != 2) {
        printf("usage: mkdir NAME\n");
        return 2;
    }
    const int error = make_folder(argv[1]);
    if (error < 0) printf("mkdir: %s: %s\n", argv[1], error_text(error));
    return error < 0 ? 1 : 0;
}
