/// @file
/// meminfo: who has the memory, as the kernel counts it.
#include "user/memory.h"
#include "user/print.h"
#include "user/system_call.h"

namespace {

void row(const char* what, uint32_t pages) { printf("  %-28s %7u %9u\n", what, pages, pages * 4); }

} // namespace

int main() {
    abi::MemoryInfo info;
    if (const int error = memory_info(&info); error < 0) {
        printf("meminfo: %s\n", error_text(error));
        return 1;
    }
    const uint32_t free = info.free + info.cached_zeroed;
    printf("                                 pages       KiB\n");
    row("memory", info.total);
    row("since the boot: the kernel", info.total - info.in_use - free);
    row("handed out", info.in_use);
    row("  of these, the heap's", info.heap_frames);
    row("  of these, vmalloc's", info.vmalloc_pages);
    row("  of these, pages of files", info.file_frames);
    row("free", free);
    row("  of these, cleared already", info.cached_zeroed);
    if (info.swap_slots > 0) {
        row("swap", info.swap_slots);
        row("  of these, free", info.swap_free);
    }
    printf("\n  %-28s %7u\n  %-28s %7u\n  %-28s %7u\n", "processes", info.processes, "page faults", info.faults, "signals", info.signals);
    return 0;
}
