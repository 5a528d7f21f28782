/// @file
/// tlbwork [count]: memory accesses whose page walks grader/bench_tlb.py measures. The same work lies between pairs of checkpoints, once in
/// each way that is compared, round by round; with `count` each once and short, so that the host can count every walk.
#include "debug.h"
#include "user/library.h"

namespace {

constexpr size_t kLargeBytes = 4u << 20;
constexpr size_t kLargePages = 4;           ///< Of 4 MiB: more pages of 4 KiB than Bochs's TLB has room for.
constexpr size_t kStride = kPageBytes + 64; ///< One access a page, never at the same offset twice in a row.
constexpr size_t kWorkingSet = 256;         ///< Pages that a process looks at between two changes of its page tables.
constexpr uint32_t kForgotten[] = {1, 8, 16, 32, 64, 128, 256};

bool is_counting = false;

size_t rounds() { return is_counting ? 1 : 7; }

[[noreturn]] void fail(const char* what) {
    printf("error: %s\n", what);
    exit(1);
}

char* map(size_t bytes) {
    void* const memory = mmap(nullptr, bytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
    if (is_error(memory)) fail("mmap");
    return static_cast<char*>(memory);
}

/// Aligned memory, of large pages as long as nobody has looked at any of it.
char* map_large(size_t large_pages) {
    const uint32_t begin = reinterpret_cast<uint32_t>(map((large_pages + 1) * kLargeBytes));
    return reinterpret_cast<char*>((begin + kLargeBytes - 1) / kLargeBytes * kLargeBytes);
}

void read_all(const char* memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += kStride) (void)*static_cast<const volatile char*>(memory + at);
}

void write_pages(char* memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += kPageBytes) *static_cast<volatile char*>(memory + at) = 1;
}

/// `work` in the way that `name` says, between two checkpoints.
template <typename Work>
void measure(const char* name, size_t times, Work work) {
    work(); // what is new to the CPU is known afterwards
    checkpoint(name);
    for (size_t i = 0; i < (is_counting ? 1 : times); ++i) work();
    checkpoint("end");
}

/// The same for work that can be done once only; `prepare` makes it possible again. Its walks are not counted: the kernel's would be, too.
template <typename Work, typename Prepare>
void measure_once(const char* name, Work work, Prepare prepare) {
    prepare();
    if (!is_counting) checkpoint(name);
    work();
    if (!is_counting) checkpoint("end");
}

void forget_contents(char* memory, size_t bytes) { madvise(memory, bytes, abi::MADV_DONTNEED); }

/// Where a page table is, no large page comes.
void make_page_tables(const char* memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += kLargeBytes) (void)*static_cast<const volatile char*>(memory + at);
}

/// The same memory in pages of two sizes.
void compare_sizes() {
    constexpr size_t bytes = kLargePages * kLargeBytes;
    char* const large = map_large(kLargePages);
    char* const small = map_large(kLargePages);
    for (size_t round = 0; round < rounds(); ++round) {
        measure_once("large-first", [=] { write_pages(large, bytes); }, [=] { forget_contents(large, bytes); });
        measure_once("small-first", [=] { write_pages(small, bytes); }, [=] { forget_contents(small, bytes); make_page_tables(small, bytes); });
        measure("small-pages", 20, [=] { read_all(small, bytes); });
        measure("large-pages", 20, [=] { read_all(large, bytes); });
    }
}

/// The rights of one page change, and the process goes on with its working set: the kernel has forgotten that page, or everything.
void compare_flushes() {
    char* const pages = map(kWorkingSet * kPageBytes);
    write_pages(pages, kWorkingSet * kPageBytes);
    const auto work = [=](uint32_t forgotten) {
        mprotect(pages, kPageBytes, abi::PROT_READ);
        forget_translations(pages, forgotten);
        read_all(pages, kWorkingSet * kPageBytes);
        mprotect(pages, kPageBytes, abi::PROT_READ | abi::PROT_WRITE);
        forget_translations(pages, forgotten);
        read_all(pages, kWorkingSet * kPageBytes);
    };
    for (size_t round = 0; round < rounds(); ++round) {
        measure("careful", 500, [=] { work(1); });
        measure("flush", 500, [=] { work(kEverything); });
    }
}

/// `count` pages one by one, against all at once and walking again for the working set.
void compare_ranges() {
    constexpr size_t kMost = kForgotten[sizeof(kForgotten) / sizeof(kForgotten[0]) - 1];
    char* const pages = map(kMost * kPageBytes);
    char* const working_set = map(kWorkingSet * kPageBytes);
    write_pages(pages, kMost * kPageBytes);
    write_pages(working_set, kWorkingSet * kPageBytes);
    const auto work = [=](uint32_t forgotten) {
        forget_translations(pages, forgotten);
        read_all(working_set, kWorkingSet * kPageBytes);
    };
    for (size_t round = 0; round < rounds(); ++round) {
        for (const uint32_t& count : kForgotten) {
            char name[16];
            snprintf(name, sizeof(name), "singly-%u", count);
            measure(name, 500, [=] { work(count); });
        }
        measure("nothing", 500, [=] { work(kNothing); });
        measure("at-once", 500, [=] { work(kEverything); });
    }
}

} // namespace

int main(int count, char**) {
    is_counting = count > 1;
    compare_sizes();
    compare_flushes();
    if (!is_counting) compare_ranges();
    return 0;
}
