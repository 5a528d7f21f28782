// lazy STORY: demand paging where the kernel meets it: in system calls, at the edge of a stack, without memory, with a file that
// cannot be read. Each story prints what happened, a line each.
#include <cstdint>

#include "abi/errors.h"
#include "abi/process.h"
#include "abi/signals.h"
#include "debug.h"
#include "user/files.h"
#include "user/memory.h"
#include "user/print.h"
#include "user/processes.h"
#include "user/signals.h"
#include "user/text.h"

namespace {

constexpr uint32_t kPage = 4096;
constexpr const char* kNumbers = "/numbers";       // byte i is i * 7; from kTexts on a path and a word
constexpr uint32_t kTexts = 3 * kPage - 5, kNumbersBytes = 4 * kPage;

void say(const char* what, bool is_right) { printf("%s: %s\n", what, is_right ? "right" : "WRONG"); }

uint8_t number(uint32_t i) { return static_cast<uint8_t>(i * 7); }

bool are_numbers(const void* at, uint32_t from, uint32_t count) {
    const auto* const bytes = static_cast<const volatile uint8_t*>(at);
    for (uint32_t i = 0; i < count; ++i) {
        if (bytes[i] != number(from + i)) return false;
    }
    return true;
}

uint8_t* anonymous(uint32_t pages, uint32_t sharing = abi::MAP_PRIVATE) {
    return static_cast<uint8_t*>(mmap(nullptr, pages * kPage, abi::PROT_READ | abi::PROT_WRITE, sharing | abi::MAP_ANONYMOUS));
}

uint8_t* map_numbers(int file, uint32_t protection) {
    return static_cast<uint8_t*>(mmap(nullptr, kNumbersBytes, protection, abi::MAP_PRIVATE, file));
}

/// Reads `count` bytes of the numbers, from `position` on.
int read_at(int file, uint32_t position, void* to, uint32_t count) {
    seek(file, static_cast<int>(position), abi::SEEK_SET);
    return read(file, to, count);
}

/// Runs `act` in a child; its status.
template <typename Act>
uint32_t in_child(Act act) {
    const int child = fork();
    if (child == 0) {
        act();
        exit(0);
    }
    uint32_t status = 0;
    wait(child, &status);
    return status;
}

// --- stacks -------------------------------------------------------------------------------------------------------------------

uint8_t text[8192];

/// Where the stack's area begins, as the kernel tells.
uint32_t stack_begin() {
    const int length = maps(getpid(), reinterpret_cast<char*>(text), sizeof text);
    uint32_t begin = 0, line = 0;
    for (int i = 0; i < length; ++i) {
        if (memcmp(text + i, "stack", 5) == 0) begin = line;
        if (text[i] == '\n') line = static_cast<uint32_t>(i) + 1;
    }
    uint32_t address = 0;
    for (uint32_t i = begin + 2; i < begin + 10; ++i) address = address * 16 + text[i] - (text[i] <= '9' ? '0' : 'a' - 10);
    return address;
}

volatile int handled;
void handler(int, abi::SignalFrame*) { handled = handled + 1; }

/// A system call while the stack pointer is there.
int call_at(uint32_t stack_pointer, abi::SystemCall call, uint32_t first, uint32_t second, uint32_t third = 0) {
    auto result = static_cast<int>(call);
    asm volatile("mov %%esp, %%esi\n\t"
                 "mov %%edi, %%esp\n\t"
                 "int $0x80\n\t"
                 "mov %%esi, %%esp"
                 : "+a"(result)
                 : "b"(first), "c"(second), "d"(third), "D"(stack_pointer)
                 : "esi", "memory");
    return result;
}

/// Sends this process a signal.
void signal_at(uint32_t stack_pointer) {
    call_at(stack_pointer, abi::SystemCall::Kill, static_cast<uint32_t>(getpid()), abi::SIGTERM);
}

/// The kernel's text about this process's areas, written where the stack has to grow for it: the text tells of it.
void growing() {
    const uint32_t begin = stack_begin() - 6 * kPage;
    char* const buffer = reinterpret_cast<char*>(begin + 100);
    const int length = call_at(begin, abi::SystemCall::Maps, static_cast<uint32_t>(getpid()), begin + 100, 8192);
    char first[12];
    snprintf(first, sizeof first, "0x%08x", begin);
    bool is_told = false;
    for (int i = 0; i + 10 < length; ++i) is_told |= memcmp(buffer + i, first, 10) == 0;
    say("maps to a stack that grows", is_told && length < 8192 && buffer[length - 1] == '\n' && stack_begin() == begin);
    const uint32_t below = stack_begin() - 6 * kPage;
    const int far = call_at(below + 3 * kPage, abi::SystemCall::Maps, static_cast<uint32_t>(getpid()), below, 8192);
    say("far below the stack", far == -abi::EFAULT && stack_begin() == begin);
}

/// A handler's frame may be the first thing on a page that the stack does not have yet.
void edge() {
    signal(abi::SIGTERM, handler);
    int signals = 0;
    constexpr uint32_t distances[] = {0, 4, 32, 36, 52, 64, 100, 4096};
    for (const uint32_t above : distances) {
        signal_at(stack_begin() + above);
        ++signals;
    }
    say("handlers at the edge", handled == signals);
    const uint32_t begin = stack_begin();
    const uint32_t status = in_child([begin] {
        setrlimit(abi::RLIMIT_STACK, kPage);
        signal_at(begin + 8);
    });
    say("no handler below the limit", status == abi::killed(abi::SIGTERM));
}

// --- system calls ---------------------------------------------------------------------------------------------------------------

uint8_t untouched[8 * kPage];

/// A buffer far down the stack, where nothing has been.
[[gnu::noinline]] bool read_to_the_stack(int file) {
    uint8_t buffer[6 * kPage];
    asm volatile("" : : "r"(buffer) : "memory");
    return read_at(file, 5, buffer + 3, 9000) == 9000 && are_numbers(buffer + 3, 5, 9000);
}

void buffers() {
    const int file = open(kNumbers, abi::O_RDONLY);
    say("variables", read_at(file, 0, untouched + 100, 2 * kPage) == 2 * kPage && are_numbers(untouched + 100, 0, 2 * kPage));
    uint8_t* const seen = anonymous(3);
    const bool zero = seen[0] == 0 && seen[kPage] == 0;
    say("zeros that were looked at", zero && read_at(file, 1, seen + 50, kPage) == kPage && are_numbers(seen + 50, 1, kPage) &&
                                         anonymous(1)[50] == 0);
    uint8_t* const ours = map_numbers(file, abi::PROT_READ | abi::PROT_WRITE);
    const uint8_t* const others = map_numbers(file, abi::PROT_READ);
    say("pages of a file", read_at(file, 100, ours + kPage + 17, 500) == 500 && are_numbers(ours + kPage + 17, 100, 500) &&
                               are_numbers(others, 0, kTexts) && are_numbers(ours + kPage + 517, kPage + 517, 1000));
    uint8_t* const shared = anonymous(2, abi::MAP_SHARED);
    const uint32_t status = in_child([&] { exit(read_at(file, 30, shared + 4000, 200) == 200 ? 3 : 4); });
    say("shared memory", abi::exit_status_of(status) == 3 && are_numbers(shared + 4000, 30, 200));
    say("an ungrown stack", read_to_the_stack(file));
    uint8_t* const before = anonymous(1);
    before[9] = 77;
    const uint32_t forked = in_child([&] { exit(read_at(file, 0, before, 100) == 100 && are_numbers(before, 0, 100) ? 5 : 6); });
    say("pages of a fork", abi::exit_status_of(forked) == 5 && before[9] == 77 && before[8] == 0);
    auto* const counted = reinterpret_cast<uint32_t*>(anonymous(1) + 16);
    const int child = fork();
    if (child == 0) exit(9);
    say("a status", wait(child, counted) == child && abi::exit_status_of(*counted) == 9);
    auto* const code = reinterpret_cast<void*>(&buffers);
    say("what may not be written", read_at(file, 0, code, 10) == -abi::EFAULT && read_at(file, 0, ours + kNumbersBytes - 5, 10) == 5 &&
                                       read_at(file, 0, const_cast<uint8_t*>(others), 10) == -abi::EFAULT && are_numbers(others, 0, kPage));
    close(file);
}

/// A path and arguments that lie on pages of a file which nobody has read yet: the kernel faults while it copies them.
void deep() {
    const int file = open(kNumbers, abi::O_RDONLY);
    const char* const texts = reinterpret_cast<const char*>(map_numbers(file, abi::PROT_READ)) + kTexts;
    uint32_t status = 0;
    const int child = fork();
    if (child == 0) {
        const char* words[15];
        for (const char*& word : words) word = texts;
        words[14] = nullptr;
        exec(texts, words);
        exit(1);
    }
    wait(child, &status);
    say("exec", status == abi::exited(0));
    say("open", close(open(texts, abi::O_RDONLY)) == 0);
}

// --- no memory -------------------------------------------------------------------------------------------------------------------

/// In a child, which has all that it needs but one page.
void starved_calls() {
    const int file = open(kNumbers, abi::O_RDONLY);
    uint8_t* const pages = anonymous(2);
    int results[4];
    stack_begin(); // what it calls below is there now
    read_at(file, 0, untouched, 1);
    fail_after(0);
    results[0] = read_at(file, 0, pages, 10);
    results[1] = maps(getpid(), reinterpret_cast<char*>(pages), 10);
    results[2] = getrlimit(abi::RLIMIT_AS, reinterpret_cast<uint32_t*>(pages + kPage));
    results[3] = fork();
    fail_never();
    const bool is_right = read_at(file, 0, pages, 10) == 10;
    bool are_refused = true;
    for (const int result : results) are_refused &= result == -abi::ENOMEM;
    say("calls", are_refused && is_right);
}

volatile uint8_t* victim;

void starve() {
    const uint32_t before = fail_never();
    say("a child lives", in_child(starved_calls) == 0);
    victim = anonymous(2);
    victim[0] = 1;
    const uint32_t signalled = in_child([] {
        signal(abi::SIGSEGV, handler);
        signal(abi::SIGBUS, handler);
        fail_after(0);
        victim[kPage] = 1;
    });
    say("a new page", signalled == abi::killed(abi::SIGKILL));
    fail_never();
    say("a copy", in_child([] {
        fail_after(0);
        victim[0] = 2;
    }) == abi::killed(abi::SIGKILL));
    fail_never();
    // Here the parent writes without memory: it is the last owner.
    fail_after(0);
    victim[0] = victim[0] + 1;
    fail_never();
    say("the last owner", victim[0] == 2);
    munmap(const_cast<uint8_t*>(victim), 2 * kPage);
    const uint32_t after = fail_never();
    say("nothing is lost", after == before);
    if (after != before) printf("%u frames before, %u after\n", before, after);
}

/// What happens at the second page of a file: to a child that looks, and to calls that are given its address.
void look_at_second_page(const uint8_t* pages, bool is_good) {
    const uint32_t status = in_child([&] { exit(*static_cast<const volatile uint8_t*>(pages + kPage) == number(kPage) ? 3 : 4); });
    say("a child", status == (is_good ? abi::exited(3) : abi::killed(abi::SIGBUS)));
    const int written = write(1, pages + kPage + 38, 1); // a line feed
    const int opened = open(reinterpret_cast<const char*>(pages + kPage), abi::O_RDONLY);
    say("calls", is_good ? written == 1 && opened != -abi::EIO : written == -abi::EIO && opened == -abi::EIO);
    say("the first page", are_numbers(pages, 0, kPage));
}

/// Once while the disk works, which brings this code into memory; and once after somebody has sent a signal.
void broken() {
    const int good = open(kNumbers, abi::O_RDONLY), bad = open("/broken", abi::O_RDONLY);
    const uint8_t* const pages = map_numbers(bad, abi::PROT_READ);
    look_at_second_page(map_numbers(good, abi::PROT_READ), true);
    say("the first page", are_numbers(pages, 0, kPage));
    signal(abi::SIGTERM, handler);
    kill(getpid(), abi::SIGTERM);
    while (handled < 2) yield();
    look_at_second_page(pages, false);
}

struct Story {
    const char* name;
    void (*tell)();
};
constexpr Story kStories[] = {{"edge", edge}, {"growing", growing}, {"buffers", buffers},
                              {"deep", deep}, {"starve", starve},   {"broken", broken}};

} // namespace

int main(int count, char** words) {
    for (const Story& story : kStories) {
        if (count < 2 || strcmp(words[1], story.name) != 0) continue;
        story.tell();
        return 0;
    }
    printf("lazy: no such story\n");
    return 2;
}
