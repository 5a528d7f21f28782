/// @file
/// ps: one line for each process.
#include "user/print.h"
#include "user/processes.h"

namespace {

const char* state_text(abi::ProcessState state) {
    switch (state) {
    case abi::ProcessState::Ready: return "ready";
    case abi::ProcessState::Running: return "running";
    case abi::ProcessState::Sleeping: return "sleeping";
    case abi::ProcessState::Waiting: return "waiting";
    case abi::ProcessState::Zombie: return "ended";
    case abi::ProcessState::Suspended: return "suspended";
    }
    return "?";
}

constexpr uint32_t kib(uint32_t pages) { return pages * 4; }

} // namespace

int main() {
    printf("  PID PARENT STATE     MAPPED RESIDENT SWAPPED  SHARED TABLES FAULTS CPU MS NAME\n");
    abi::ProcessInfo info;
    for (uint32_t i = 0; process_info(i, &info) == 0; ++i) {
        printf("%5u %6u %-8s %6u K %6u K %5u K %5u K %4u K %6u %6u %s\n", info.pid, info.parent, state_text(info.state), kib(info.mapped_pages),
               kib(info.resident_pages), kib(info.swapped_pages), kib(info.shared_pages), kib(info.page_table_frames), info.faults.all(), info.milliseconds, info.name);
    }
    return 0;
}
