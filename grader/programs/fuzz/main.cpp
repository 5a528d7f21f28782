// The fuzzer of system calls: fuzz SEED PROCESSES. Rounds of so many processes, each with a few hundred random calls, until the kernel
// (grader/guest/fuzz_verbs.cpp) has seen enough. What the calls return is of no interest: that the kernel survives is, with all its
// books in order.
#include "../fuzz_calls.h"
#include "user/library.h"
#include "worker.h"

namespace {

constexpr unsigned kCallsOfAWorker = 400;
constexpr uint32_t kSharedBytes = 16 * kPageBytes;

uint32_t debug(FuzzCall call, uint32_t argument = 0) { return system_call::debug(static_cast<uint32_t>(call), argument); }

/// Every worker has the shared memory that is number 0, an area of everyday memory, and no input to wait for.
[[noreturn]] void become_worker(Random random) {
    close(abi::kStandardInput);
    close(abi::kStandardOutput);
    Worker worker(random, 0);
    worker.run(kCallsOfAWorker);
}

bool play_round(Random& random, unsigned processes) {
    unsigned started = 0;
    for (; started < processes; ++started) {
        const Random of_worker = random.branch();
        const int pid = fork();
        if (pid == 0) become_worker(of_worker);
        if (pid < 0) return false;
    }
    for (; started > 0; --started) {
        uint32_t status;
        if (wait(-1, &status) < 0) return false;
        debug(FuzzCall::Ended, status);
    }
    return true;
}

uint32_t processes_alive() {
    uint32_t count = 0;
    abi::ProcessInfo info;
    while (process_info(count, &info) == 0) ++count;
    return count;
}

/// A worker that was killed leaves children behind, which go on without it. They get two seconds; then they are killed, too.
void wait_for_orphans(uint32_t others) {
    for (int i = 0; i < 40 && processes_alive() > others; ++i) sleep(50);
    abi::ProcessInfo info;
    for (uint32_t i = others; process_info(i, &info) == 0; ++i) kill(static_cast<int>(info.pid), abi::SIGKILL);
    while (processes_alive() > others) sleep(10);
}

void touch(uint32_t begin, uint32_t end, bool may_write) {
    for (uint32_t page = begin; page < end; page += kPageBytes) {
        auto* const byte = reinterpret_cast<volatile char*>(page);
        const char value = *byte;
        if (may_write) *byte = value;
    }
}

/// Makes every page of this process present, and its own where it may be: one that appeared in a later round would look like a frame that
/// the round has lost. The areas stand in the lines of the maps, "0x10000000-0x10003000 r-xp ...".
bool touch_everything() {
    static char text[4096];
    const int length = maps(getpid(), text, sizeof text - 1);
    if (length <= 0) return false;
    for (char* line = text; *line == '0'; line = strchr(line, '\n') + 1) {
        uint32_t begin, end;
        line[10] = line[21] = 0;
        if (!parse_number(line, begin) || !parse_number(line + 11, end)) return false;
        line[10] = line[21] = ' ';
        touch(begin, end, line[23] == 'w');
    }
    return true;
}

} // namespace

int main(int argc, char** argv) {
    uint32_t seed, processes;
    if (argc != 3 || !parse_number(argv[1], seed) || !parse_number(argv[2], processes)) return 2;
    // It stays as long as the fuzzer.
    const int shared = create_shared(kSharedBytes);
    if (shared != 0 || is_error(attach_shared(shared, nullptr, abi::PROT_READ | abi::PROT_WRITE))) return 3;
    if (!touch_everything()) return 3;
    make_folder("/fuzz");
    Random random(seed);
    const uint32_t others = processes_alive(); // the kernel and this one: who comes later has a higher number
    while (debug(FuzzCall::Round) != 0) {
        if (!play_round(random, processes)) return 4;
        wait_for_orphans(others);
    }
    return 0;
}
