/// @file
/// rm FILE...: removes files.
#include "user/library.h"

int main(int argc, char** argv) {
    if (argc < 2) {
        printf("usage: rm FILE...\n");
        return 2;
    }
    int status = 0;
    for (int i = 1; i < argc; ++i) {
        if (const int error = remove(argv[i]); error < 0) {
            printf("rm: %s: %s\n", argv[i], error_text(error));
            status = 1;
        }
    }
    return status;
}
