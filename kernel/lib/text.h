/// @file
/// Texts that end with a zero byte: length, comparison, words, numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/result.h"

/// Bytes before the zero byte.
constexpr size_t text_length(const char* text) {
    size_t length = 0;
    while (text[length]) ++length;
    return length;
}

/// Whether both texts have the same bytes.
constexpr bool text_equal(const char* left, const char* right) {
    while (*left && *left == *right) ++left, ++right;
    return *left == *right;
}

/// If `text` begins with `prefix`, what follows it; otherwise nullptr.
constexpr const char* text_after(const char* text, const char* prefix) {
    while (*prefix) {
        if (*text++ != *prefix++) return nullptr;
    }
    return text;
}

/// Whether `text` is `word`, or begins with it and a space: the value of an option reaches up to the end of its command line.
constexpr bool text_is_word(const char* text, const char* word) {
    const char* const rest = text_after(text, word);
    return rest && (*rest == 0 || *rest == ' ');
}

/// Finds the option `name` on a command line such as "harness seed=0x1f report=memmap": a word that equals `name`, or
/// begins with `name=`.
/// @return what follows the name or its `=` (the caller reads up to a space), or nullptr when the option is absent
const char* find_option(const char* command_line, const char* name);

/// Reads a decimal or 0x hexadecimal number up to a space or the end.
/// @return Error::InvalidArgument when it is not one, Error::OutOfRange when it does not fit in 32 bits
Result<uint32_t> parse_number(const char* text);
