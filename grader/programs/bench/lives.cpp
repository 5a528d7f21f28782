/// @file
/// Processes begin and end.
#include "bench.h"
#include "samples.h"

namespace {

constexpr size_t kRounds = 50;
constexpr int kCrowd = 300;            ///< Processes alive at once.
constexpr size_t kResident = 256;      ///< Pages of a process that is not so small.
constexpr uint32_t kLongSleep = 1'000'000;

void fork_exit_wait(size_t) {
    const int child = check("fork", fork());
    if (child == 0) exit(0);
    check("wait", wait(child, nullptr));
}

void fork_exec_wait(size_t) {
    static const char* const arguments[] = {"true", nullptr};
    const int child = check("fork", fork());
    if (child == 0) exit(exec("/bin/true", arguments));
    uint32_t status = 0;
    check("wait", wait(child, &status));
    if (status != 0) fail("/bin/true", -abi::ENOENT);
}

void measure_large_process() {
    char* const pages = map_pages(kResident);
    for (size_t i = 0; i < kResident; ++i) pages[i * kPageBytes] = 1;
    measure("fork-exit-wait-256", kRounds, fork_exit_wait);
    munmap(pages, kResident * kPageBytes);
}

/// How many frames each of many processes takes.
void measure_crowd() {
    static constinit int children[kCrowd];
    abi::MemoryInfo before, after;
    memory_info(&before);
    const uint64_t begin = now();
    for (int& child : children) {
        child = check("fork", fork());
        if (child == 0) {
            sleep(kLongSleep);
            exit(1);
        }
    }
    yield();
    const auto ticks = static_cast<uint32_t>((now() - begin) / kCrowd);
    memory_info(&after);
    printf("crowd %u %u %u\n", after.processes - before.processes, (after.in_use - before.in_use) / kCrowd, ticks);
    for (const int child : children) check("kill", kill(child, abi::SIGKILL));
    for (const int child : children) check("wait", wait(child, nullptr));
}

} // namespace

void bench_lives() {
    measure("fork-exit-wait", kRounds, fork_exit_wait);
    const uint32_t without_exec = samples.median();
    measure("fork-exec-exit-wait", kRounds, fork_exec_wait);
    printf("exec %u %u\n", samples.median() - without_exec, samples.worst() - without_exec);
    measure_large_process();
    measure_crowd();
}
