/// @file
/// Page faults: from the instruction that touches the page to the next one.
#include "bench.h"
#include "samples.h"

namespace {

constexpr size_t kPages = 256;
constexpr size_t kZeroed = 48;         ///< Of the 64 zeroed frames that the kernel keeps at hand, some go into page tables.
constexpr size_t kStackPages = 100;
constexpr uint32_t kIdleMilliseconds = 100;

void write_to(char* page) { *static_cast<volatile char*>(page) = 1; }
void read_from(const char* page) { (void)*static_cast<const volatile char*>(page); }

/// Pages in one page table that is there already.
char* map_prepared_pages(size_t count) {
    char* const pages = map_pages(count + 1);
    write_to(pages + count * kPageBytes);
    return pages;
}

void unmap(char* pages, size_t count) { munmap(pages, count * kPageBytes); }

void measure_writes(const char* name, char* pages, size_t count) {
    measure(name, count, [pages](size_t i) { write_to(pages + i * kPageBytes); });
}

void measure_anonymous_memory() {
    char* const drained = map_prepared_pages(kPages);
    for (size_t i = 0; i < kPages; ++i) write_to(drained + i * kPageBytes); // no zeroed frame is left at hand
    char* const pages = map_prepared_pages(kPages);
    measure_writes("first-write", pages, kPages);
    unmap(pages, kPages + 1);

    char* const zeroed = map_prepared_pages(kZeroed);
    sleep(kIdleMilliseconds); // the kernel clears frames while nobody wants to run
    measure_writes("first-write-zeroed", zeroed, kZeroed);
    unmap(zeroed, kZeroed + 1);

    char* const read = map_prepared_pages(kPages);
    measure("first-read", kPages, [read](size_t i) { read_from(read + i * kPageBytes); });
    measure_writes("write-after-read", read, kPages);
    unmap(read, kPages + 1);
    unmap(drained, kPages + 1);
}

void measure_copy_on_write() {
    char* const pages = map_prepared_pages(kPages);
    for (size_t i = 0; i < kPages; ++i) write_to(pages + i * kPageBytes);
    const int child = check("fork", fork());
    if (child == 0) {
        measure_writes("copy-on-write", pages, kPages);
        exit(0);
    }
    check("wait", wait(child, nullptr));
    measure_writes("last-owner", pages, kPages);
    unmap(pages, kPages + 1);
}

/// A file of kPages pages, whose pages `keeper` keeps in memory.
int make_file(char*& keeper) {
    const int file = check("open", open("/bench.dat", abi::O_RDWR | abi::O_CREAT | abi::O_TRUNC));
    static constinit char contents[kPageBytes] = {'x'};
    for (size_t i = 0; i < kPages; ++i) check("write", write_all(file, contents, kPageBytes));
    keeper = static_cast<char*>(mmap(nullptr, kPages * kPageBytes, abi::PROT_READ, abi::MAP_SHARED, file));
    if (is_error(keeper)) fail("mmap of a file", -abi::ENOMEM);
    for (size_t i = 0; i < kPages; ++i) read_from(keeper + i * kPageBytes);
    return file;
}

/// Pages of a file that are in memory already. A shared mapping brings one at a time; a private one its neighbours too.
void measure_file() {
    char* keeper = nullptr;
    const int file = make_file(keeper);
    char* const shared = static_cast<char*>(mmap(nullptr, kPages * kPageBytes, abi::PROT_READ, abi::MAP_SHARED, file));
    read_from(shared);
    measure("file-read", kPages, [shared](size_t i) { read_from(shared + i * kPageBytes); });
    char* const around = static_cast<char*>(mmap(nullptr, kPages * kPageBytes, abi::PROT_READ, abi::MAP_PRIVATE, file));
    read_from(around);
    measure("file-read-around", kPages, [around](size_t i) { read_from(around + i * kPageBytes); });
    printf("file-read-mean %u %u\n", samples.mean(), samples.worst());
    samples.keep_above(samples.mean());
    samples.print("file-fault-around");
    char* const copied = static_cast<char*>(mmap(nullptr, kPages * kPageBytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE, file));
    measure_writes("file-write", copied, kPages);
    char* const mappings[] = {keeper, shared, around, copied};
    for (char* const mapping : mappings) unmap(mapping, kPages);
    close(file);
    remove("/bench.dat");
}

/// One page further down at a time. From the middle of a page on: what the measuring itself puts on the stack lies in the same one then.
[[gnu::noinline]] void measure_stack() {
    const uint32_t overhead = clock_overhead();
    samples.clear();
    write_to(static_cast<char*>(__builtin_alloca(reinterpret_cast<uint32_t>(__builtin_frame_address(0)) % kPageBytes + kPageBytes / 2)));
    for (size_t i = 0; i < kStackPages; ++i) {
        char* const page = static_cast<char*>(__builtin_alloca(kPageBytes));
        const bool is_profiled = i == kProfiledRound && is_wanted("stack-growth");
        if (is_profiled) checkpoint("begin");
        const uint64_t before = now();
        write_to(page);
        samples.add(static_cast<uint32_t>(now() - before) - overhead);
        if (is_profiled) checkpoint("end");
    }
    samples.print("stack-growth");
}

/// In a child, with which the large stack goes again.
void measure_stack_apart() {
    const int child = check("fork", fork());
    if (child == 0) {
        measure_stack();
        exit(0);
    }
    check("wait", wait(child, nullptr));
}

} // namespace

void bench_faults() {
    measure_anonymous_memory();
    measure_copy_on_write();
    measure_file();
    measure_stack_apart();
}
