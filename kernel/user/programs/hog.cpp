/// @file
/// hog MIB [SECONDS]: maps memory, writes to every page of it, and holds it for a while.
#include "user/library.h"

namespace {

/// A different value for each page, so that no two could be one.
uint32_t stamp(size_t page) { return static_cast<uint32_t>(page) * 2654435761u; }

bool touch_all(char* memory, size_t pages) {
    for (size_t page = 0; page < pages; ++page) *reinterpret_cast<uint32_t*>(memory + page * kPageBytes) = stamp(page);
    for (size_t page = 0; page < pages; ++page) {
        if (*reinterpret_cast<uint32_t*>(memory + page * kPageBytes) != stamp(page)) return false;
    }
    return true;
}

} // namespace

int main(int argc, char** argv) {
    uint32_t mib = 0, seconds = 0;
    if (argc < 2 || argc > 3 || !parse_number(argv[1], mib) || mib == 0 || mib > 2048 || (argc == 3 && !parse_number(argv[2], seconds))) {
        printf("usage: hog MIB [SECONDS]\n");
        return 2;
    }
    const size_t bytes = mib << 20;
    void* const memory = mmap(nullptr, bytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
    if (is_error(memory)) {
        printf("hog: %u MiB: %s\n", mib, error_text(static_cast<int>(system_call::word(memory))));
        return 1;
    }
    if (!touch_all(static_cast<char*>(memory), bytes / kPageBytes)) {
        printf("hog: what was written is not there\n");
        return 1;
    }
    printf("hog: %u MiB at %p, every page written\n", mib, memory);
    if (seconds) sleep(seconds * 1000);
    return 0;
}
