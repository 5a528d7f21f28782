/// @file
/// Bytes and texts: C's functions, and what they lack.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
/// Copies; the two must not overlap.
void* memcpy(void* to, const void* from, size_t bytes);
/// Copies; the two may overlap.
void* memmove(void* to, const void* from, size_t bytes);
/// Fills with a byte.
void* memset(void* to, int byte, size_t bytes);
/// Compares as unsigned bytes. @return below 0, 0, above 0
int memcmp(const void* a, const void* b, size_t bytes);
}

/// The length without the zero byte.
size_t strlen(const char* text);
/// The length, if the zero byte comes within `most` bytes; else `most`.
size_t strnlen(const char* text, size_t most);
/// Compares as unsigned bytes. @return below 0, 0, above 0
int strcmp(const char* a, const char* b);
/// The same, of at most `most` characters.
int strncmp(const char* a, const char* b, size_t most);
/// The first place of a character (its zero byte included), or null.
char* strchr(const char* text, int character);
/// The last place of a character (its zero byte included), or null.
char* strrchr(const char* text, int character);
/// The first place of a text in another, or null.
char* strstr(const char* text, const char* part);
/// Copies a text and cuts what does not fit into `bytes` bytes; always ends with a zero byte unless that is 0 (OpenBSD's).
/// @return the length of `from`: it was cut when that is not below `bytes`
size_t strlcpy(char* to, const char* from, size_t bytes);
/// The same, behind what is in `to`.
size_t strlcat(char* to, const char* from, size_t bytes);
/// The next piece of `*text` without a separator; `*text` moves behind it, and is null after the last (BSD's). Changes the text.
char* strsep(char** text, const char* separators);

/// Reads a number: decimal, or hexadecimal after "0x". All of the text must be one.
/// @return whether it is; `value` is unchanged otherwise
bool parse_number(const char* text, uint32_t& value);

inline bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_printable(char c) { return c >= ' ' && c <= '~'; }
