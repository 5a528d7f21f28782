/// @file
/// Programs that ask for more than there is.
///
///     greedy hold PAGES SECONDS   writes to so many pages, says "holds", and sleeps
///     greedy memory               maps a megabyte after the other and writes to all of it, until it is refused or ended
///     greedy read                 the same, but the kernel writes: the first bytes of a file are read to each page
///     greedy maps                 maps pages that cannot be one area, until it is refused
///     greedy fork                 a process and each of its children fork many more than there is memory for; all wait for theirs and end
#include <cstddef>
#include <cstdint>

#include "user/library.h"

namespace {

constexpr uint32_t kReadWrite = abi::PROT_READ | abi::PROT_WRITE;
constexpr size_t kMib = 1 << 20;

char* map(size_t bytes, uint32_t protection = kReadWrite) {
    void* const memory = mmap(nullptr, bytes, protection, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
    return is_error(memory) ? nullptr : static_cast<char*>(memory);
}

void write_to(char* memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += kPageBytes) *reinterpret_cast<volatile uint32_t*>(memory + at) = at + 1;
}

bool has_kept(const char* memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += kPageBytes) {
        if (*reinterpret_cast<const volatile uint32_t*>(memory + at) != at + 1) return false;
    }
    return true;
}

int hold(size_t pages, uint32_t seconds) {
    char* const memory = map(pages * kPageBytes);
    if (!memory) {
        printf("refused\n");
        return 1;
    }
    write_to(memory, pages * kPageBytes);
    printf("holds\n");
    sleep(seconds * 1000);
    const bool is_whole = has_kept(memory, pages * kPageBytes);
    printf(is_whole ? "kept\n" : "lost\n");
    return is_whole ? 0 : 1;
}

int take_memory() {
    for (size_t mib = 0;; ++mib) {
        char* const memory = map(kMib);
        if (!memory) {
            printf("refused after %zu MiB\n", mib);
            return 0;
        }
        write_to(memory, kMib);
    }
}

int take_memory_by_reading() {
    const int file = open("/bin/greedy", abi::O_RDONLY);
    for (;;) {
        char* const memory = map(kMib);
        for (size_t at = 0; memory && at < kMib; at += kPageBytes) {
            if (seek(file, 0, abi::SEEK_SET) == 0 && read(file, memory + at, 4) == 4) continue;
            printf("not read\n");
            return 1;
        }
        if (!memory) return 0;
    }
}

/// Every other page of a range far away: each is an area of its own.
int take_maps() {
    constexpr uintptr_t begin = 0x4000'0000, end = 0x8000'0000;
    constexpr uint32_t flags = abi::MAP_PRIVATE | abi::MAP_ANONYMOUS | abi::MAP_FIXED_NOREPLACE;
    size_t count = 0;
    for (uintptr_t at = begin; at < end; at += 2 * kPageBytes) {
        if (is_error(mmap(reinterpret_cast<void*>(at), kPageBytes, kReadWrite, flags))) break;
        ++count;
    }
    printf("refused after %s maps\n", count > 1000 ? "many" : "few");
    return 0;
}

/// Each process has some pages of its own, and children until it is refused one.
int take_processes() {
    constexpr int children = 25, generations = 2;
    static uint32_t own[8 * kPageBytes / sizeof(uint32_t)];
    const int first = getpid();
    int generation = 0;
    for (int i = 0; i < children && generation < generations; ++i) {
        const int child = fork();
        if (child < 0) break;
        if (child > 0) continue;
        write_to(reinterpret_cast<char*>(own), sizeof own);
        ++generation;
        i = -1;
    }
    sleep(100); // nobody ends before all are there
    while (wait(-1, nullptr) > 0) {}
    if (getpid() == first) printf("all have ended\n");
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    const char* const what = argc > 1 ? argv[1] : "";
    uint32_t pages = 0, seconds = 0;
    if (argc == 4 && strcmp(what, "hold") == 0 && parse_number(argv[2], pages) && parse_number(argv[3], seconds)) return hold(pages, seconds);
    if (argc == 2 && strcmp(what, "memory") == 0) return take_memory();
    if (argc == 2 && strcmp(what, "read") == 0) return take_memory_by_reading();
    if (argc == 2 && strcmp(what, "maps") == 0) return take_maps();
    if (argc == 2 && strcmp(what, "fork") == 0) return take_processes();
    printf("usage: greedy hold PAGES SECONDS | memory | read | maps | fork\n");
    return 2;
}
