/// @file
/// kin FILE TURN: a family of processes that live one common script, step by step (grader/labs/family.py writes it, and knows what must
/// come out). Each step belongs to one member; whose turn it is, is counted in shared memory at the address TURN, so the steps of all
/// happen in one order. It judges nothing: every step prints its number and a result.
///
/// kin newcomer   what a member becomes by exec(): stops at the checkpoint "newcomer" and ends with status 3.
#include <cstddef>
#include <cstdint>

#include "debug.h"
#include "user/library.h"

namespace {

constexpr size_t kMostSteps = 1200, kMostMembers = 128;
constexpr uint32_t kPatience = 2000;  // rounds in which nobody does anything
constexpr uint32_t kStuck = 98;

/// What a member does in its step; the words mean what stands here, in this order.
enum class Action : uint32_t {
    Nothing = 0,
    Fork,          ///< (member): the child is this member
    Write,         ///< (address, pages, value): value + i into page i
    Read,          ///< (address, pages): all of these words folded into one
    Call,          ///< (number, five words): a system call
    Look,          ///< (number): the checkpoint "look-NUMBER"
    Exit,          ///< (status)
    Wait,          ///< (member, address for its status or 0): prints the status
    Handle,        ///< (address, value): a signal to itself, whose handler writes there
    Descend,       ///< (levels, value): goes on with the script that many pages of stack deeper
    Ascend,        ///< comes back from the last Descend: prints how many of its words are not as they were left
    Starve,        ///< (address, pages): fork() with no frame to be had, then with one, and so on until it succeeds
    LastWrite,     ///< (address, value): a write with no frame to be had; it passes the turn on before
    Become,        ///< passes the turn on, and becomes `kin newcomer`
    Ration,        ///< (frames): so many can be had from now on, by anybody
    Plenty,        ///< as many as there are
};

struct Step {
    uint32_t who;
    Action action;
    uint32_t words[6];
};

Step steps[kMostSteps];
uint32_t step_count = 0;
uint32_t me = 0;
int pids[kMostMembers];
volatile uint32_t* turn = nullptr;
volatile uint32_t* handler_address = nullptr;
uint32_t handler_value = 0;

volatile uint32_t* at(uint32_t address) { return reinterpret_cast<volatile uint32_t*>(address); }

uint32_t fold(uint32_t address, uint32_t pages) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < pages; ++i) sum = (sum << 5 | sum >> 27) ^ *at(address + i * kPageBytes);
    return sum;
}

void handle(int, abi::SignalFrame*) { *handler_address = handler_value; }

uint32_t raise_signal(uint32_t address, uint32_t value) {
    handler_address = at(address);
    handler_value = value;
    if (const int error = signal(abi::SIGTERM, handle); error != 0) return static_cast<uint32_t>(error);
    return static_cast<uint32_t>(kill(getpid(), abi::SIGTERM));
}

/// fork() with `frames` frames to be had. Neither parent nor child writes to a page before there are more again, whoever goes on first.
int fork_with(uint32_t frames) {
    int child;
    auto request = static_cast<uint32_t>(DebugCall::FailAfter);
    asm volatile(
        "int $0x80\n"
        "mov %[fork], %%eax\n int $0x80\n"
        "mov %%eax, %%edi\n"
        "mov %[debug], %%eax\n mov %[never], %%ebx\n int $0x80\n"
        "mov %%edi, %%eax"
        : "=a"(child), "+b"(request), "+c"(frames)
        : "a"(abi::SystemCall::Debug), [fork] "i"(abi::SystemCall::Fork), [debug] "i"(abi::SystemCall::Debug), [never] "i"(DebugCall::FailNever)
        : "edi", "memory", "cc");
    return child;
}

/// 0 when every failure was an ENOMEM that left nothing behind, and the child in the end had what this process has.
uint32_t starve(uint32_t address, uint32_t pages) {
    const uint32_t contents = fold(address, pages);
    uint32_t wrong = 0;
    for (uint32_t frames = 0;; ++frames) {
        const uint32_t before = fail_never();
        const int child = fork_with(frames);
        if (child == 0) exit(fold(address, pages) == contents ? 5 : 6);
        check_invariants();
        if (child > 0) {
            uint32_t status = 0;
            wrong += wait(child, &status) != child || status != abi::exited(5);
            return wrong + (fail_never() != before) * 0x100 + (frames < 3) * 0x1000'0000;
        }
        wrong += (child != -abi::ENOMEM) * 0x1'0000 + (fail_never() != before) * 0x100 + (fold(address, pages) != contents);
    }
}

void report(uint32_t step, uint32_t result) { printf("%x %x\n", step, result); }
void pass_on() { *turn = *turn + 1; }
void live();

/// A page of stack for each level, with numbers in it that must be there again on the way back.
[[gnu::noinline]] uint32_t descend(uint32_t levels, uint32_t value) {
    volatile uint32_t page[kPageBytes / sizeof(uint32_t)];
    for (uint32_t i = 0; i < kPageBytes / sizeof(uint32_t); ++i) page[i] = value + i;
    uint32_t wrong = 0;
    if (levels > 1)
        wrong = descend(levels - 1, value + 0x10000);
    else
        live();
    for (uint32_t i = 0; i < kPageBytes / sizeof(uint32_t); ++i) wrong += page[i] != value + i;
    return wrong;
}

/// Becomes two; the child is a member of its own from here on.
void become_two(uint32_t now, uint32_t member) {
    const int child = fork();
    if (child == 0) {
        me = member;
        return;
    }
    pids[member] = child;
    report(now, static_cast<uint32_t>(child));
    pass_on();
}

uint32_t wait_for(uint32_t member, uint32_t address) {
    uint32_t status = 0;
    uint32_t* const to = address == 0 ? &status : reinterpret_cast<uint32_t*>(address);
    const int pid = wait(pids[member], to);
    if (pid < 0) return static_cast<uint32_t>(pid);
    return pid == pids[member] ? *to : 0xBAD;
}

void write_words(uint32_t address, uint32_t pages, uint32_t value) {
    for (uint32_t i = 0; i < pages; ++i) *at(address + i * kPageBytes) = value + i;
}

void look(uint32_t number) {
    char name[16];
    snprintf(name, sizeof name, "look-%u", number);
    checkpoint(name);
}

void last_write(uint32_t address, uint32_t value) {
    fail_after(0);
    pass_on();
    *at(address) = value;
    fail_never();
}

void become_newcomer() {
    static const char* const words[] = {"kin", "newcomer", nullptr};
    pass_on();
    exit(exec("/bin/kin", words));
}

/// What needs no more than a result. The others pass the turn on themselves.
uint32_t perform_simple(Action action, const uint32_t* words) {
    switch (action) {
    case Action::Write: write_words(words[0], words[1], words[2]); return 0;
    case Action::Read: return fold(words[0], words[1]);
    case Action::Call:
        return system_call::system_call_with_six(static_cast<abi::SystemCall>(words[0]), words[1], words[2], words[3], words[4], words[5], 0);
    case Action::Look: look(words[0]); return 0;
    case Action::Wait: return wait_for(words[0], words[1]);
    case Action::Handle: return raise_signal(words[0], words[1]);
    case Action::Starve: return starve(words[0], words[1]);
    case Action::Ration: fail_after(words[0]); return 0;
    case Action::Plenty: fail_never(); return 0;
    default: return 0;
    }
}

void perform(uint32_t now, const Step& step) {
    switch (step.action) {
    case Action::Fork: return become_two(now, step.words[0]);
    case Action::LastWrite: return last_write(step.words[0], step.words[1]);
    case Action::Become: return become_newcomer();
    case Action::Exit:
        report(now, 0);
        pass_on();
        exit(static_cast<int>(step.words[0]));
    case Action::Descend: {
        report(now, 0);
        pass_on();
        const uint32_t wrong = descend(step.words[0], step.words[1]);
        report(*turn, wrong);
        return pass_on();
    }
    default:
        report(now, perform_simple(step.action, step.words));
        pass_on();
    }
}

/// Until this member ends, or ascends.
void live() {
    uint32_t rounds = 0;
    for (;;) {
        const uint32_t now = *turn;
        if (now >= step_count) exit(0);
        const Step& step = steps[now];
        if (step.who != me) {
            if (++rounds > kPatience) exit(kStuck);
            yield();
            continue;
        }
        rounds = 0;
        if (step.action == Action::Ascend) return;
        perform(now, step);
    }
}

int begin(const char* path, uint32_t turn_address) {
    const int file = open(path, abi::O_RDONLY);
    const int bytes = read(file, steps, sizeof steps);
    close(file);
    if (bytes <= 0) return 97;
    step_count = static_cast<uint32_t>(bytes) / sizeof(Step);
    void* const shared = attach_shared(create_shared(kPageBytes), reinterpret_cast<void*>(turn_address), abi::PROT_READ | abi::PROT_WRITE);
    if (shared != reinterpret_cast<void*>(turn_address)) return 96;
    turn = static_cast<volatile uint32_t*>(shared);
    *turn = 0;
    live();
    return 0;
}

} // namespace

int main(int count, char** words) {
    if (count == 2 && strcmp(words[1], "newcomer") == 0) {
        checkpoint("newcomer");
        return 3;
    }
    uint32_t address = 0;
    if (count != 3 || !parse_number(words[2], address)) return 95;
    return begin(words[1], address);
}
