// What the user library asks of the kernel, on the computer that runs the tests: so that its other parts can run under sanitizers.
// The names are C++'s and collide with nothing of the C library's; the calls go past that.
#include "user/files.h"
#include "user/memory.h"
#include "user/processes.h"

extern "C" long syscall(long number, ...);

namespace {
constexpr long kRead = 0, kWrite = 1, kMap = 9, kUnmap = 11, kExit = 231; // x86-64
constexpr size_t kBreakBytes = 64 << 20;
alignas(16) char break_memory[kBreakBytes];
size_t break_used = 0;
} // namespace

int read(int file, void* buffer, size_t bytes) { return static_cast<int>(syscall(kRead, file, buffer, bytes)); }
int write_all(int file, const void* buffer, size_t bytes) {
    for (auto at = static_cast<const char*>(buffer); bytes > 0;) {
        const long written = syscall(kWrite, file, at, bytes);
        if (written <= 0) return -1;
        at += written;
        bytes -= static_cast<size_t>(written);
    }
    return 0;
}

/// Every second time somebody else has moved the break in between: the heap gets a region of its own.
void* sbrk(int bytes) {
    static bool gap = false;
    if ((gap = !gap)) break_used += 24;
    if (bytes < 0 || static_cast<size_t>(bytes) > kBreakBytes - break_used - 24) return reinterpret_cast<void*>(-12);
    break_used += static_cast<size_t>(bytes);
    return break_memory + break_used - bytes;
}

void* mmap(void*, size_t bytes, uint32_t, uint32_t, int, uint32_t) {
    return reinterpret_cast<void*>(syscall(kMap, nullptr, bytes, 3, 0x22, -1, 0)); // read and write, private, anonymous
}
int munmap(void* begin, size_t bytes) { return static_cast<int>(syscall(kUnmap, begin, bytes)); }

void exit(int status) {
    for (;;) syscall(kExit, status);
}
void abort() { exit(134); }
