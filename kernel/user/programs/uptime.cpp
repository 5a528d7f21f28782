/// @file
/// uptime: time since the boot.
#include "user/print.h"
#include "user/processes.h"

int main() {
    const uint32_t milliseconds = uptime();
    printf("up for %u.%03u s\n", milliseconds / 1000, milliseconds % 1000);
    return 0;
}
