/// @file
/// procs STORY NUMBER...: families of processes. Each story prints what it saw; the test knows what that should be.
#include "debug.h"
#include "user/library.h"

namespace {

constexpr size_t kMost = 600;
constexpr uint32_t kLongSleep = 1'000'000;
constexpr int kAny = -1;

uint32_t arguments[4];
int children[kMost];

uint64_t now() {
    uint64_t ticks;
    asm volatile("rdtsc" : "=A"(ticks) : : "memory");
    return ticks;
}

/// Memory that all descendants share, zero at first.
volatile uint32_t* shared_words() {
    void* const memory = attach_shared(create_shared(kPageBytes), nullptr, abi::PROT_READ | abi::PROT_WRITE);
    ASSERT("there is shared memory", !is_error(memory));
    return static_cast<volatile uint32_t*>(memory);
}

uint32_t processes() {
    abi::MemoryInfo info;
    memory_info(&info);
    return info.processes;
}

uint32_t frames() {
    abi::MemoryInfo info;
    memory_info(&info);
    return info.in_use;
}

/// `count` children that do `work(i)`, which does not return.
template <typename Work>
void make_children(uint32_t count, Work work) {
    for (uint32_t i = 0; i < count; ++i) {
        children[i] = fork();
        if (children[i] == 0) work(i);
        ASSERT("a child was made", children[i] > 0);
    }
}

void kill_children(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) kill(children[i], abi::SIGKILL);
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t status = 0;
        ASSERT("a killed child can be waited for", wait(children[i], &status) == children[i]);
        ASSERT("the signal is in its status", abi::signal_of(status) == abi::SIGKILL);
    }
}

/// tree DEPTH WIDTH: every process waits for its children, and ends with the number of processes from itself down.
uint32_t grow(uint32_t depth, uint32_t width) {
    uint32_t size = 1;
    for (uint32_t i = 0; depth > 0 && i < width; ++i) {
        const int child = fork();
        if (child == 0) exit(static_cast<int>(grow(depth - 1, width)));
        ASSERT("a child was made", child > 0);
    }
    for (uint32_t i = 0; depth > 0 && i < width; ++i) {
        uint32_t status = 0;
        ASSERT("a child ended", wait(kAny, &status) > 0);
        size += abi::exit_status_of(status);
    }
    return size;
}

void tree() { printf("tree of %u\n", grow(arguments[0], arguments[1])); }

/// Child i ends as number i * STEP modulo COUNT (STEP and COUNT have no common factor), and they are waited for in that order.
void order() {
    const uint32_t count = arguments[0], step = arguments[1];
    volatile uint32_t* const turn = shared_words();
    make_children(count, [&](uint32_t i) {
        while (*turn != i * step % count) yield();
        *turn = *turn + 1;
        exit(static_cast<int>(i));
    });
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t status = 0;
        const int pid = wait(kAny, &status);
        printf("%u ", pid == children[abi::exit_status_of(status)] ? abi::exit_status_of(status) : 999);
    }
    printf("then %d\n", wait(kAny, nullptr));
}

/// All children have ended before the first is waited for, one by one from the last to the first.
void one_by_one() {
    const uint32_t count = arguments[0];
    volatile uint32_t* const ended = shared_words();
    make_children(count, [&](uint32_t i) {
        *ended = *ended + 1;
        exit(static_cast<int>(i + 1));
    });
    while (*ended < count) yield();
    yield();
    for (uint32_t i = count; i-- > 0;) {
        uint32_t status = 0;
        const int pid = wait(children[i], &status);
        printf("%u ", pid == children[i] ? abi::exit_status_of(status) : 999);
        ASSERT("an end is reported once", wait(children[i], nullptr) == -abi::ECHILD);
    }
    printf("then %d\n", wait(kAny, nullptr));
}

/// Grandchildren whose parent ends first.
void orphans() {
    const uint32_t count = arguments[0];
    volatile uint32_t* const seen = shared_words();
    const uint32_t before = processes();
    const int middle = fork();
    if (middle == 0) {
        make_children(count, [&](uint32_t) {
            const bool had_parent = getppid() != 0;
            while (getppid() != 0) yield();
            if (had_parent) *seen = *seen + 1;
            exit(7);
        });
        yield(); // so that they see their parent
        exit(0);
    }
    wait(middle, nullptr);
    while (*seen < count) yield();
    yield();
    printf("%u orphans, %u processes more, then %d\n", *seen, processes() - before, wait(kAny, nullptr));
}

/// Nobody waits for them while they are counted; the kernel has to clean up behind this process, too.
void zombies() {
    const uint32_t count = arguments[0], before = frames();
    volatile uint32_t* const ended = shared_words();
    make_children(count, [&](uint32_t) {
        *ended = *ended + 1;
        exit(0);
    });
    while (*ended < count) yield();
    yield();
    uint32_t found = 0;
    abi::ProcessInfo info;
    for (uint32_t i = 0; process_info(i, &info) == 0; ++i) {
        if (info.state != abi::ProcessState::Zombie) continue;
        ++found;
        ASSERT("a zombie has no memory", info.mapped_pages == 0 && info.resident_pages == 0 && info.page_table_frames == 0);
    }
    printf("%u zombies, %u frames\n", found, frames() - before);
}

void crowd() {
    const uint32_t count = arguments[0], before = processes();
    make_children(count, [](uint32_t) {
        sleep(kLongSleep);
        exit(1);
    });
    yield();
    printf("%u alive\n", processes() - before);
    kill_children(count);
    printf("%u left\n", processes() - before);
}

/// Endless loops share the CPU, and leave some of it to who asks rarely.
void spin() {
    const uint32_t count = arguments[0];
    make_children(count, [](uint32_t) {
        for (;;) asm volatile("");
    });
    sleep(arguments[1]);
    for (uint32_t i = 0; i < count; ++i) {
        abi::ProcessInfo info;
        for (uint32_t at = 0; process_info(at, &info) == 0 && info.pid != static_cast<uint32_t>(children[i]);) ++at;
        printf("%u ", info.milliseconds);
    }
    printf("\n");
    kill_children(count);
}

void sleeps() {
    for (const uint32_t milliseconds : arguments) {
        const uint64_t begin = now();
        const int result = sleep(milliseconds);
        printf("%d %u %u\n", result, milliseconds, static_cast<uint32_t>(now() - begin));
    }
}

/// Sleepers wake in the order of their times, not in that of their calls.
void alarms() {
    const uint32_t count = arguments[0];
    volatile uint32_t* const woken = shared_words();
    make_children(count, [&](uint32_t i) {
        sleep(200 * ((i * 7 + 3) % count) + 200);
        woken[1 + *woken] = (i * 7 + 3) % count;
        *woken = *woken + 1;
        exit(0);
    });
    while (wait(kAny, nullptr) > 0) {}
    for (uint32_t i = 0; i < *woken; ++i) printf("%u ", woken[1 + i]);
    printf("\n");
}

/// As many children as the limit says, and again when one has gone.
void limit() {
    ASSERT("a limit can be set", setrlimit(abi::RLIMIT_NPROC, arguments[0]) == 0);
    for (uint32_t round = 0; round < 2; ++round) {
        uint32_t made = 0;
        int pid = 0;
        while (made < kMost && (pid = fork()) > 0) children[made++] = pid;
        if (pid == 0) {
            sleep(kLongSleep);
            exit(1);
        }
        printf("%u, then %d\n", made, pid);
        kill_children(made);
    }
}

/// Until the kernel has no more of something.
void bomb() {
    const uint32_t before = processes();
    uint32_t made = 0;
    int pid = 0;
    while (made < kMost && (pid = fork()) > 0) children[made++] = pid;
    if (pid == 0) {
        sleep(kLongSleep);
        exit(1);
    }
    printf("%u, then %d\n", made, pid);
    kill_children(made);
    printf("%u left\n", processes() - before);
}

/// A chain in which each waits for the next; the last one ends them all.
void chain() {
    const uint32_t length = arguments[0];
    uint32_t depth = 0;
    while (depth < length) {
        const int child = fork();
        ASSERT("a child was made", child >= 0);
        if (child == 0) {
            ++depth;
            continue;
        }
        uint32_t status = 0;
        ASSERT("the next one ended", wait(child, &status) == child);
        if (depth > 0) exit(static_cast<int>(abi::exit_status_of(status) + 1));
        printf("chain of %u\n", abi::exit_status_of(status) + 1);
        return;
    }
    exit(0);
}

/// What ends a wait or a sleep before its time.
void interrupted() {
    signal(abi::SIGTERM, [](int, abi::SignalFrame*) {});
    const int self = getpid();
    const int child = fork();
    if (child == 0) {
        for (uint32_t i = 0; i < 3; ++i) {
            sleep(50);
            kill(self, abi::SIGTERM);
        }
        sleep(50);
        exit(0);
    }
    const int slept = sleep(kLongSleep);
    const int one = wait(child, nullptr), any = wait(kAny, nullptr);
    printf("%d %d %d, then %s\n", slept, one, any, wait(child, nullptr) == child ? "the child" : "nothing");
}

void errors() {
    printf("%d %d %d ", wait(kAny, nullptr), wait(getpid(), nullptr), wait(30000, nullptr));
    printf("%d %d %d %d\n", kill(30000, abi::SIGTERM), kill(0, abi::SIGKILL), kill(getpid(), 32), kill(getpid(), -1));
}

/// exec() keeps the process's number and its children. AGAIN counts down.
void again() {
    static char count[12], child[12], pid[12];
    if (arguments[0] == 0) {
        ASSERT("the number is the same", static_cast<uint32_t>(getpid()) == arguments[2]);
        printf("the child is %s\n", wait(static_cast<int>(arguments[1]), nullptr) == static_cast<int>(arguments[1]) ? "mine" : "lost");
        return;
    }
    if (arguments[1] == 0) {
        arguments[1] = static_cast<uint32_t>(fork());
        if (arguments[1] == 0) exit(0);
    }
    snprintf(count, sizeof count, "%u", arguments[0] - 1);
    snprintf(child, sizeof child, "%u", arguments[1]);
    snprintf(pid, sizeof pid, "%d", getpid());
    const char* const words[] = {"procs", "again", count, child, pid, nullptr};
    printf("exec returned %d\n", exec("/bin/procs", words));
}

/// fork() with no frame to be had, then with one, and so on until it succeeds.
void starve_fork() {
    uint32_t attempts = 0, strange = 0, leaks = 0;
    for (bool is_done = false; !is_done; ++attempts) {
        const uint32_t before = fail_never();
        const int child = starved_fork(attempts);
        if (child == 0) exit(5);
        const uint32_t after = fail_never();
        if (child < 0 && child != -abi::ENOMEM) ++strange;
        if (child < 0 && after != before) ++leaks;
        check_invariants();
        if (child < 0) continue;
        uint32_t status = 0;
        is_done = wait(child, &status) == child && abi::exit_status_of(status) == 5;
        if (fail_never() != before) ++leaks;
    }
    printf("%s attempts, %u leaks, %u strange errors\n", attempts > 3 ? "many" : "few", leaks, strange);
}

/// The same with exec(): this process is as it was after every failure. The program that starts in the end is this one.
void starve_exec() {
    static char leaks_text[12], strange_text[12];
    static const char* const words[] = {"procs", "fed", leaks_text, strange_text, nullptr};
    uint32_t strange = 0, leaks = 0;
    for (uint32_t attempts = 0;; ++attempts) {
        const uint32_t before = fail_never();
        snprintf(leaks_text, sizeof leaks_text, "%u", leaks);
        snprintf(strange_text, sizeof strange_text, "%u", strange);
        const int error = starved_exec(attempts, "/bin/procs", words);
        const uint32_t after = fail_never();
        if (error != -abi::ENOMEM) ++strange;
        if (after != before) ++leaks;
        check_invariants();
    }
}
void fed() {
    printf("%u leaks, %u strange errors\n", arguments[0], arguments[1]);
}

void overflow() { system_call::debug(static_cast<uint32_t>(DebugCall::OverflowStack)); }

struct Story {
    const char* name;
    void (*tell)();
};
constexpr Story kStories[] = {
    {"tree", tree},   {"order", order},   {"one", one_by_one},         {"orphans", orphans}, {"zombies", zombies}, {"crowd", crowd},
    {"spin", spin},   {"sleeps", sleeps}, {"alarms", alarms},          {"limit", limit},     {"bomb", bomb},       {"chain", chain},
    {"again", again}, {"errors", errors}, {"interrupted", interrupted}, {"starve-fork", starve_fork},
    {"starve-exec", starve_exec}, {"fed", fed}, {"overflow", overflow},
};

} // namespace

int main(int count, char** words) {
    for (int i = 2; i < count && i < 6; ++i) parse_number(words[i], arguments[i - 2]);
    for (const Story& story : kStories) {
        if (count > 1 && strcmp(words[1], story.name) == 0) {
            story.tell();
            return 0;
        }
    }
    printf("procs: no such story\n");
    return 2;
}
