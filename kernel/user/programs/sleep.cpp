/// @file
/// sleep SECONDS: waits.
#include "user/library.h"

int main(int argc, char** argv) {
    uint32_t seconds = 0;
    if (argc != 2 || !parse_number(argv[1], seconds) || seconds > 1'000'000) {
        printf("usage: sleep SECONDS\n");
        return 2;
    }
    return sleep(seconds * 1000) < 0 ? 1 : 0;
}
