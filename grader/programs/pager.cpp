/// @file
/// pager KIND PAGES TOUCHES SEED: pages its own memory, by a handler of SIGSEGV.
///
/// KIND says what the memory is before the handler makes it accessible: `none` (no rights), `unmapped`, or `readonly` (and the touches are
/// writes). Each touch is of a page by chance. Prints "begin BEGIN SIGNALS STRANGE WRONG" in hexadecimal; each
/// page is filled by the handler with words that SEED and its number decide, and every touch looks at one of them.
#include <cstddef>
#include <cstdint>

#include "debug.h"
#include "user/library.h"

namespace {

constexpr uint32_t kRights = abi::PROT_READ | abi::PROT_WRITE;
constexpr uint32_t kPrivate = abi::MAP_PRIVATE | abi::MAP_ANONYMOUS;
constexpr uint32_t kMultiplier = 0x9E37'79B9;

uint32_t begin, bytes, seed;
bool is_mapped;
uint32_t signals = 0, strange = 0;
volatile uint32_t touched_at = 0;

uint32_t word_of(uint32_t page) { return (seed + page) * kMultiplier; }

void bring_page(int, abi::SignalFrame* frame) {
    ++signals;
    if (frame->address != touched_at || frame->address - begin >= bytes) {
        ++strange;
        exit(3);
    }
    const uint32_t page = (frame->address - begin) / kPageBytes;
    auto* const words = reinterpret_cast<uint32_t*>(begin + page * kPageBytes);
    if (is_mapped)
        mprotect(words, kPageBytes, kRights);
    else
        mmap(words, kPageBytes, kRights, kPrivate | abi::MAP_FIXED);
    for (size_t i = 0; i < kPageBytes / sizeof *words; ++i) words[i] = word_of(page);
}

uint32_t below(uint32_t limit, uint32_t& state) {
    state = state * 1664525 + 1013904223; // Knuth's linear congruential generator, as in Numerical Recipes
    return (state >> 8) % limit;
}

} // namespace

int main(int argc, char** argv) {
    uint32_t pages = 0, touches = 0;
    if (argc != 5 || !parse_number(argv[2], pages) || !parse_number(argv[3], touches) || !parse_number(argv[4], seed)) return 2;
    const bool writes = strcmp(argv[1], "readonly") == 0;
    is_mapped = strcmp(argv[1], "unmapped") != 0;
    bytes = pages * kPageBytes;
    begin = system_call::word(mmap(nullptr, bytes, writes ? abi::PROT_READ : abi::PROT_NONE, kPrivate));
    if (!is_mapped) munmap(reinterpret_cast<void*>(begin), bytes);
    signal(abi::SIGSEGV, bring_page);
    uint32_t state = seed, wrong = 0;
    for (uint32_t i = 0; i < touches; ++i) {
        const uint32_t page = below(pages, state);
        touched_at = begin + page * kPageBytes + below(kPageBytes / sizeof(uint32_t), state) * sizeof(uint32_t);
        auto* const word = reinterpret_cast<volatile uint32_t*>(touched_at);
        if (writes) *word = word_of(page);
        wrong += *word != word_of(page);
    }
    printf("begin %x %x %x %x\n", begin, signals, strange, wrong);
    checkpoint(argv[1]);
    return 0;
}
