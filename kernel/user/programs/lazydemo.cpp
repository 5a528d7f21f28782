/// @file
/// lazydemo: a mapping is a promise. What it costs to be promised memory, to read it, to write to it, and to give it back.
#include "user/library.h"

namespace {

constexpr size_t kPages = 256;       // 1 MiB
constexpr size_t kRead = 16;
constexpr size_t kWritten = 64;
constexpr size_t kLargeBytes = 8 << 20;
constexpr const char* kFile = "/bin/shell"; // runs, so its pages are in memory

constinit Meter before;

void step(const char* what) {
    const Meter now = read_meter();
    print_cost(what, before, now);
    before = read_meter();
}

char* map(size_t bytes, int file = kNoFile, void* wish = nullptr) {
    const uint32_t protection = file == kNoFile ? abi::PROT_READ | abi::PROT_WRITE : uint32_t{abi::PROT_READ};
    const uint32_t flags = file == kNoFile ? abi::MAP_PRIVATE | abi::MAP_ANONYMOUS : uint32_t{abi::MAP_PRIVATE};
    void* const memory = mmap(wish, bytes, protection, flags, file);
    if (!is_error(memory)) return static_cast<char*>(memory);
    printf("lazydemo: %s\n", error_text(static_cast<int>(system_call::word(memory))));
    exit(1);
}

void read_pages(const char* memory, size_t pages) {
    for (size_t page = 0; page < pages; ++page) static_cast<void>(*static_cast<const volatile char*>(memory + page * kPageBytes));
}

void write_pages(char* memory, size_t pages) {
    for (size_t page = 0; page < pages; ++page) *static_cast<volatile char*>(memory + page * kPageBytes) = 1;
}

void show_zeros() {
    char* const memory = map(kPages * kPageBytes);
    step("1 MiB mapped");
    read_pages(memory, kRead);
    step("16 pages of it read");
    write_pages(memory, kRead);
    step("these 16 written");
    write_pages(memory + kRead * kPageBytes, kWritten);
    step("64 others written");
    write_pages(memory, kRead + kWritten);
    step("all 80 written again");
    madvise(memory, kPages * kPageBytes, abi::MADV_DONTNEED);
    step("given back (MADV_DONTNEED)");
    munmap(memory, kPages * kPageBytes);
    step("unmapped");
}

void show_large_page() {
    char* const memory = map(kLargeBytes);
    write_pages(memory + kLargeBytes / 2, 1);
    step("8 MiB mapped, one byte written");
    munmap(memory, kLargeBytes);
    step("unmapped");
}

/// Neighbours come along within a block of eight pages, and chance places mappings: a free place where such a block begins.
char* begin_of_block() {
    constexpr uint32_t block = 8 * kPageBytes;
    char* const room = map(2 * block);
    munmap(room, 2 * block);
    return room + (block - system_call::word(room) % block) % block;
}

void show_file() {
    const int file = open(kFile, abi::O_RDONLY);
    if (file < 0) return;
    char* const place = begin_of_block();
    before = read_meter();
    const char* const memory = map(4 * kPageBytes, file, place);
    step("/bin/shell mapped, 4 pages");
    read_pages(memory, 1);
    step("its first page read");
    read_pages(memory, 4);
    step("all four read");
}

} // namespace

int main() {
    print_cost_heading(); // and the pages of this program that all this needs
    before = read_meter();
    before = read_meter();
    show_zeros();
    show_large_page();
    show_file();
    return 0;
}
