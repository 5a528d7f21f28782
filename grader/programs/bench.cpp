/// @file
/// bench: what the kernel's calls cost, in ticks of the CPU. One line for each: a name, the median, the worst.
#include "user/library.h"

namespace {

using abi::SystemCall;

constexpr size_t kMaxRounds = 512;
constexpr size_t kRounds = 500;        ///< Of what is short.
constexpr size_t kLongRounds = 50;     ///< Of what makes processes.
constexpr int kCrowd = 300;            ///< Processes alive at once.
constexpr uint32_t kLongSleep = 1'000'000;

uint64_t now() {
    uint64_t ticks;
    asm volatile("rdtsc" : "=A"(ticks) : : "memory");
    return ticks;
}

/// What two readings of the clock measure when nothing lies between them.
uint32_t clock_overhead() {
    const uint64_t before = now();
    return static_cast<uint32_t>(now() - before);
}

class Samples {
public:
    void clear() { count_ = 0; }
    void add(uint32_t ticks) {
        size_t at = count_++;
        for (; at > 0 && values_[at - 1] > ticks; --at) values_[at] = values_[at - 1];
        values_[at] = ticks;
    }
    uint32_t median() const { return values_[count_ / 2]; }
    uint32_t worst() const { return values_[count_ - 1]; }
    void print(const char* name) const { printf("%s %u %u\n", name, median(), worst()); }

private:
    uint32_t values_[kMaxRounds] = {};
    size_t count_ = 0;
};

constinit Samples samples;

[[noreturn]] void fail(const char* what, int error) {
    printf("error %s: %s\n", what, error_text(error));
    exit(1);
}

int check(const char* what, int result) {
    if (result < 0) fail(what, result);
    return result;
}

template <typename Work>
void measure(size_t rounds, Work work) {
    const uint32_t overhead = clock_overhead();
    samples.clear();
    for (size_t i = 0; i < rounds; ++i) {
        const uint64_t before = now();
        work();
        samples.add(static_cast<uint32_t>(now() - before) - overhead);
    }
}

void measure_calls() {
    measure(kRounds, [] { system_call::by_interrupt(SystemCall::GetPid); });
    samples.print("null-call");
    if (!system_call::has_sysenter()) return;
    measure(kRounds, [] { system_call::by_sysenter(SystemCall::GetPid); });
    samples.print("null-call-sysenter");
}

/// From the call of one process to the return of the other.
void measure_switch() {
    const int number = check("create_shared", create_shared(kPageBytes));
    void* const memory = attach_shared(number, nullptr, abi::PROT_READ | abi::PROT_WRITE);
    if (is_error(memory)) fail("attach_shared", -1);
    auto* const called_at = static_cast<volatile uint64_t*>(memory);
    const uint32_t overhead = clock_overhead();
    const int other = check("fork", fork());
    samples.clear();
    for (size_t i = 0; i < kRounds; ++i) {
        *called_at = now();
        system_call::fast(SystemCall::Yield);
        const uint64_t here = now();
        if (i > 0) samples.add(static_cast<uint32_t>(here - *called_at) - overhead); // at first the other one only starts
    }
    if (other == 0) exit(0);
    check("wait", wait(other, nullptr));
    samples.print("yield");
    detach_shared(memory);
    close_shared(number);
}

void fork_exit_wait() {
    const int child = check("fork", fork());
    if (child == 0) exit(0);
    check("wait", wait(child, nullptr));
}

void fork_exec_wait() {
    static const char* const arguments[] = {"true", nullptr};
    const int child = check("fork", fork());
    if (child == 0) exit(exec("/bin/true", arguments));
    uint32_t status = 0;
    check("wait", wait(child, &status));
    if (status != 0) fail("/bin/true", -abi::ENOENT);
}

void measure_life() {
    measure(kLongRounds, fork_exit_wait);
    samples.print("fork-exit-wait");
    const uint32_t without_exec = samples.median();
    measure(kLongRounds, fork_exec_wait);
    samples.print("fork-exec-exit-wait");
    printf("exec %u %u\n", samples.median() - without_exec, samples.worst() - without_exec);
}

void measure_mapping() {
    measure(kRounds, [] {
        void* const page = mmap(nullptr, kPageBytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
        if (is_error(page) || munmap(page, kPageBytes) < 0) fail("mmap", -abi::ENOMEM);
    });
    samples.print("mmap-munmap");
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

int main() {
    measure_calls();
    measure_switch();
    measure_life();
    measure_mapping();
    measure_crowd();
    return 0;
}
