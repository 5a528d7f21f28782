/// @file
/// A program of many pages, of which it uses few.
///
///     bigimg NAME USE...      prints "text ADDRESS" and "variables ADDRESS" in hexadecimal, does each USE, and stops at checkpoint NAME;
///                             then sleeps when NAME is `stays`
///
/// A USE is a letter and a page: c calls the function in that page of text, r reads a page of variables (the last one is only partly in the
/// file), w writes to one, z reads a page of what the file does not hold, y writes to one. Prints "USE RESULT" for each.
#include <cstddef>
#include <cstdint>

#include "debug.h"
#include "user/library.h"

namespace {

constexpr size_t kTextPages = 40, kVariablePages = 12, kZeroPages = 10;
constexpr uint32_t kWordsInPage = kPageBytes / sizeof(uint32_t);
constexpr uint32_t kVariables = kVariablePages * kWordsInPage + 31;

/// In each page a function that returns its number times 3, and a filling that is not zero.
asm(R"(
    .section .text.pages, "ax", @progbits
    .balign 4096
text_pages:
    .set page, 0
    .rept 40
    mov $(page * 3), %eax
    ret
    .fill 4096 - 6, 1, 0xC3 - page
    .set page, page + 1
    .endr
    .text
)");
extern "C" [[gnu::visibility("hidden")]] const uint8_t text_pages[];

struct Variables {
    uint32_t words[kVariables];
};
/// Something else in each word.
constexpr Variables filled() {
    Variables made{};
    for (uint32_t i = 0; i < kVariables; ++i) made.words[i] = (i + 1) * 0x9E37'79B9;
    return made;
}
alignas(kPageBytes) constinit Variables variables = filled();
alignas(kPageBytes) constinit uint32_t zeros[kZeroPages * kWordsInPage] = {};

uint32_t use(char what, uint32_t page) {
    volatile uint32_t* const words = what == 'r' || what == 'w' ? variables.words : zeros;
    switch (what) {
    case 'c': return reinterpret_cast<uint32_t (*)()>(reinterpret_cast<uintptr_t>(text_pages) + page * kPageBytes)();
    case 'w':
    case 'y': words[page * kWordsInPage + 1] = page + 1; [[fallthrough]];
    default: return words[page * kWordsInPage];
    }
}

} // namespace

int main(int argc, char** argv) {
    printf("text %x\nvariables %x\nzeros %x\n", system_call::word(text_pages), system_call::word(&variables), system_call::word(zeros));
    for (int i = 2; i < argc; ++i) {
        uint32_t page = 0;
        if (!parse_number(argv[i] + 1, page)) return 2;
        printf("%s %x\n", argv[i], use(argv[i][0], page));
    }
    checkpoint(argv[1]);
    while (strcmp(argv[1], "stays") == 0) sleep(1'000'000);
    return 0;
}
