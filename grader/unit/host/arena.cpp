#include "host/arena.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace host {

namespace {

void reserve(uint32_t begin, uint32_t end) {
    void* const wanted = pointer_to<void>(VirtAddr(begin));
    void* const got = mmap(wanted, end - begin, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == wanted) return;
    std::fprintf(stderr,
                 "host tests: addresses 0x%08x to 0x%08x of this process are not to be had (%s).\n"
                 "They stand for the machine's physical memory. Something else is mapped there, or /proc/sys/vm/mmap_min_addr is\n"
                 "above 65536. `make grade` tests the same pieces in the emulator.\n",
                 begin, end, got == MAP_FAILED ? std::strerror(errno) : "the kernel chose other ones");
    std::_Exit(70);
}

void open_pages(uint32_t begin, uint32_t bytes) {
    void* const pages = pointer_to<void>(VirtAddr(begin));
    if (mprotect(pages, bytes, PROT_READ | PROT_WRITE) != 0) {
        std::perror("host tests: mprotect");
        std::_Exit(70);
    }
}

} // namespace

void reserve_addresses() {
    static bool done = false;
    if (done) return;
    done = true;
    reserve(kMemoryBegin, kMemoryEnd);
    reserve(kVmallocWindow, kVmallocWindowEnd);
}

void add_memory(FrameRange frames) { open_pages(frames.begin.address().value(), frames.count() * kPageSize); }
void add_pages(uint32_t begin, uint32_t bytes) { open_pages(begin, bytes); }

void forbid(uint32_t begin, size_t bytes) { __asan_poison_memory_region(pointer_to<void>(VirtAddr(begin)), bytes); }
void allow(uint32_t begin, size_t bytes) { __asan_unpoison_memory_region(pointer_to<void>(VirtAddr(begin)), bytes); }

} // namespace host
