/// @file
/// A stack that grows.
///
///     stack ACT...                performs each, prints "ACT ADDRESS SIGNAL REASON AT" in hexadecimal, and stops at checkpoint ACT
///     stack deep BYTES LIMIT      limits its stack to LIMIT bytes, stops at checkpoint `deep`, and calls itself, with so many bytes of
///                                 variables each time, until it is ended
///     stack blocked OFFSET BYTES  the same when a page is mapped so far below the stack; the checkpoint is `blocked`
///
/// An ACT is a word with an offset: how far below its present stack pointer the program moves it first, in bytes.
///     push, pusha           with the stack pointer there
///     at32, at33, at4096    a write of one byte so many bytes below the stack pointer
///     local                 a write to the lowest byte of variables of so many bytes
///     read                  read() of a page of /bin/stack to there, which is the lowest of its variables
#include <cstddef>
#include <cstdint>

#include "attempt.h"
#include "debug.h"
#include "user/library.h"

namespace {

/// An instruction with another stack pointer, which is in ECX.
#define WITH_STACK(instruction)                                                                                                    \
    asm volatile("mov %%esp, %%esi\n call 1f\n1: pop %%edx\n lea 2f-1b(%%edx), %%edx\n mov %%edx, (%0)\n mov %%esi, 4(%0)\n"       \
                 "mov %%ecx, %%esp\n" instruction "\n2: mov %%esi, %%esp" : : "b"(&attempt), "c"(stack) : "eax", "edx", "esi", "memory", "cc")

[[gnu::noinline]] void push(uint32_t stack) { WITH_STACK("push %%eax"); }
[[gnu::noinline]] void push_all(uint32_t stack) { WITH_STACK("pusha"); }
[[gnu::noinline]] void write_at_32(uint32_t stack) { WITH_STACK("movb %%al, -32(%%esp)"); }
[[gnu::noinline]] void write_at_33(uint32_t stack) { WITH_STACK("movb %%al, -33(%%esp)"); }
[[gnu::noinline]] void write_at_4096(uint32_t stack) { WITH_STACK("movb %%al, -4096(%%esp)"); }
[[gnu::noinline]] void write_there(uint32_t stack) { WITH_STACK("movb %%al, (%%esp)"); }

/// A system call with the stack pointer where its buffer begins.
[[gnu::noinline]] void read_there(uint32_t stack) {
    const int file = open("/bin/stack", abi::O_RDONLY);
    uint32_t result = static_cast<uint32_t>(abi::SystemCall::Read);
    asm volatile("mov %%esp, %%esi\n mov %%ecx, %%esp\n int $0x80\n mov %%esi, %%esp"
                 : "+a"(result) : "b"(file), "c"(stack), "d"(kPageBytes) : "esi", "memory", "cc");
    close(file);
    attempt.address = result;
}

struct Act {
    const char* name;
    void (*perform)(uint32_t stack);
};

constexpr Act kActs[] = {{"push", push},           {"pusha", push_all},        {"at32", write_at_32}, {"at33", write_at_33},
                         {"at4096", write_at_4096}, {"local", write_there}, {"read", read_there}};

/// "push-4096": the page boundary in or below which the stack pointer is to be, and so many bytes less.
void perform(const char* text, uint32_t base) {
    const char* const minus = strchr(text, '-');
    uint32_t offset = 0;
    if (!minus || !parse_number(minus + 1, offset)) exit(2);
    const uint32_t stack = base - offset;
    for (const Act& act : kActs) {
        if (strncmp(act.name, text, static_cast<size_t>(minus - text)) != 0 || strlen(act.name) != static_cast<size_t>(minus - text)) continue;
        attempt.signal = attempt.address = attempt.reason = 0;
        act.perform(stack);
        printf("%s %x %x %x %x\n", text, stack, attempt.signal, attempt.reason, attempt.address);
        checkpoint(text);
        return;
    }
    exit(2);
}

[[gnu::noinline]] uint32_t dig(uint32_t bytes, uint32_t depth) {
    volatile auto* const variables = static_cast<volatile uint8_t*>(__builtin_alloca(bytes));
    variables[0] = static_cast<uint8_t>(depth);
    if (depth == UINT32_MAX) return 0; // never: the stack ends before
    return dig(bytes, depth + 1) + variables[0];
}

bool map_page(uint32_t at) {
    constexpr uint32_t flags = abi::MAP_PRIVATE | abi::MAP_ANONYMOUS | abi::MAP_FIXED_NOREPLACE;
    return !is_error(mmap(reinterpret_cast<void*>(at), kPageBytes, abi::PROT_READ, flags));
}

} // namespace

int main(int argc, char** argv) {
    const uint32_t base = reinterpret_cast<uint32_t>(__builtin_frame_address(0)) & ~(kPageBytes - 1);
    uint32_t first = 0, second = 0;
    if (argc == 4 && parse_number(argv[2], first) && parse_number(argv[3], second)) {
        const bool is_blocked = strcmp(argv[1], "blocked") == 0;
        if (is_blocked ? !map_page(base - first) : setrlimit(abi::RLIMIT_STACK, second) < 0) return 2;
        checkpoint(argv[1]);
        return static_cast<int>(dig(is_blocked ? second : first, 0));
    }
    survive_signals();
    checkpoint("start");
    for (int i = 1; i < argc; ++i) perform(argv[i], base);
    return 0;
}
