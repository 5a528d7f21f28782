#include "lib/text.h"

namespace {

bool ends_word(char c) { return c == 0 || c == ' '; }

int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 16;
}

} // namespace

const char* find_option(const char* command_line, const char* name) {
    const char* word = command_line;
    while (*word) {
        while (*word == ' ') ++word;
        if (const char* rest = text_after(word, name)) {
            if (ends_word(*rest)) return rest;
            if (*rest == '=') return rest + 1;
        }
        while (!ends_word(*word)) ++word;
    }
    return nullptr;
}

Result<uint32_t> parse_number(const char* text) {
    const char* hexadecimal = text_after(text, "0x");
    const int base = hexadecimal ? 16 : 10;
    const char* at = hexadecimal ? hexadecimal : text;
    if (ends_word(*at)) return Error::InvalidArgument;
    uint64_t value = 0;
    for (; !ends_word(*at); ++at) {
        const int digit = digit_value(*at);
        if (digit >= base) return Error::InvalidArgument;
        value = value * static_cast<unsigned>(base) + static_cast<unsigned>(digit);
        if (value > UINT32_MAX) return Error::OutOfRange;
    }
    return static_cast<uint32_t>(value);
}
