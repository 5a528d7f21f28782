/// @file
/// hog MIB [SECONDS]: maps memory, writes to page after page of it, and holds it for a while. What is mapped is only promised: a hog that
/// wants more than there is dies on the way.
#include "user/library.h"

namespace {

constexpr size_t kPagesPerMib = (1 << 20) / kPageBytes;
constexpr size_t kMibPerLine = 16;

/// A different value for each page, so that no two could be one.
uint32_t stamp(size_t page) { return static_cast<uint32_t>(page) * 2654435761u; }

uint32_t& word_of(char* memory, size_t page) { return *reinterpret_cast<uint32_t*>(memory + page * kPageBytes); }

void write_all_pages(char* memory, size_t mib) {
    for (size_t page = 0; page < mib * kPagesPerMib; ++page) {
        word_of(memory, page) = stamp(page);
        const size_t done = (page + 1) / kPagesPerMib;
        const bool is_whole = (page + 1) % (kMibPerLine * kPagesPerMib) == 0;
        if (is_whole && done < mib) printf("hog: %zu MiB written\n", done);
    }
}

bool check_all_pages(char* memory, size_t mib) {
    for (size_t page = 0; page < mib * kPagesPerMib; ++page) {
        if (word_of(memory, page) != stamp(page)) return false;
    }
    return true;
}

} // namespace

int main(int argc, char** argv) {
    uint32_t mib = 0, seconds = 0;
    if (argc < 2 || argc > 3 || !parse_number(argv[1], mib) || mib == 0 || mib > 4095 || (argc == 3 && !parse_number(argv[2], seconds))) {
        printf("usage: hog MIB [SECONDS]\n");
        return 2;
    }
    void* const mapped = mmap(nullptr, mib << 20, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
    if (is_error(mapped)) {
        printf("hog: %u MiB: %s\n", mib, error_text(static_cast<int>(system_call::word(mapped))));
        return 1;
    }
    char* const memory = static_cast<char*>(mapped);
    printf("hog: %u MiB mapped at %p\n", mib, mapped);
    write_all_pages(memory, mib);
    if (!check_all_pages(memory, mib)) {
        printf("hog: what was written is not there\n");
        return 1;
    }
    printf("hog: %u MiB, every page written\n", mib);
    if (seconds) sleep(seconds * 1000);
    return 0;
}
