// clones SEED PROCESSES: a family that grows and dies at random, over memory that its members share until somebody writes. Each keeps a
// list of what its pages must contain, and compares. The first one tells how many there were and how many found something wrong.
#include <cstdint>

#include "abi/process.h"
#include "debug.h"
#include "user/files.h"
#include "user/memory.h"
#include "user/print.h"
#include "user/processes.h"
#include "user/text.h"

namespace {

constexpr uint32_t kPage = 4096, kZeros = 14, kFilePages = 6, kPages = kZeros + kFilePages;
constexpr uint32_t kSteps = 40, kMostChildren = 6, kMostDepth = 5;

/// Everybody's.
struct Board {
    uint32_t processes;  ///< So far.
    uint32_t wrong;      ///< Comparisons that failed.
    uint32_t copies;     ///< Writes.
};
volatile Board* board;

uint32_t state;
uint32_t random(uint32_t below) {
    state = state * 1664525 + 1013904223; // Numerical Recipes, "ranqd1"
    return (state >> 8) % below;
}

volatile uint8_t* pages[kPages]; // some of nothing but zeros, some of a file
uint32_t expected[kPages];
uint32_t most_processes;

volatile uint32_t& word_of(uint32_t page) { return *reinterpret_cast<volatile uint32_t*>(pages[page] + page * 64); }

void compare(uint32_t page) {
    if (word_of(page) != expected[page]) ++const_cast<Board*>(board)->wrong;
}

void write_to(uint32_t page) {
    word_of(page) = expected[page] = random(1u << 24) + 1;
    ++const_cast<Board*>(board)->copies;
}

/// What one process does until its end.
[[noreturn]] void live(uint32_t depth) {
    int children[kMostChildren];
    uint32_t count = 0, steps = kSteps;
    while (steps-- > 0) {
        const uint32_t page = random(kPages);
        switch (random(8)) {
        case 0: case 1: case 2: write_to(page); break;
        case 3: case 4: compare(page); break;
        case 5: yield(); break;
        case 6:
            if (count > 0 && random(2)) wait(children[--count], nullptr);
            break;
        default: {
            if (count == kMostChildren || depth == kMostDepth || board->processes >= most_processes) break;
            ++const_cast<Board*>(board)->processes;
            const int child = fork();
            if (child < 0) --const_cast<Board*>(board)->processes;
            if (child > 0) children[count++] = child;
            if (child == 0) {
                state ^= static_cast<uint32_t>(getpid()) * 0x9E37'79B9;
                count = 0;
                steps = kSteps;
                ++depth;
            }
        }
        }
    }
    for (uint32_t page = 0; page < kPages; ++page) compare(page);
    check_invariants();
    if (random(3) > 0) {
        while (count > 0) wait(children[--count], nullptr); // else they go without a parent
    }
    exit(0);
}

} // namespace

int main(int count, char** words) {
    if (count < 3 || !parse_number(words[1], state) || !parse_number(words[2], most_processes)) return 2;
    board = static_cast<Board*>(mmap(nullptr, kPage, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_SHARED | abi::MAP_ANONYMOUS));
    constexpr uint32_t rights = abi::PROT_READ | abi::PROT_WRITE;
    auto* const zeros = static_cast<uint8_t*>(mmap(nullptr, kZeros * kPage, rights, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS));
    const int file = open("/numbers", abi::O_RDONLY);
    auto* const numbers = static_cast<uint8_t*>(mmap(nullptr, kFilePages * kPage, rights, abi::MAP_PRIVATE, file));
    for (uint32_t i = 0; i < kPages; ++i) pages[i] = i < kZeros ? zeros + i * kPage : numbers + (i - kZeros) * kPage;
    for (uint32_t i = kZeros; i < kPages; ++i) {
        const uint32_t at = (i - kZeros) * kPage + i * 64;
        for (uint32_t byte = 0; byte < 4; ++byte) expected[i] |= ((at + byte) * 7 & 0xFF) << byte * 8;
    }
    const int child = fork();
    if (child == 0) {
        ++const_cast<Board*>(board)->processes;
        live(0);
    }
    wait(child, nullptr);
    for (int i = 0; i < 4000; ++i) yield(); // for those who go without a parent
    printf("%u processes, %u wrong, %s\n", board->processes, board->wrong, board->copies > 100 ? "many writes" : "few writes");
    return 0;
}
