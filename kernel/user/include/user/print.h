/// @file
/// printf() and its family.
///
/// `%[flags][width][.precision][length]conversion` with flags `-`, `0`, `+`, space, `#`; width and precision in digits or `*`; lengths
/// `hh`, `h`, `l`, `ll`, `z`, `t`, `j`; conversions `d i u x X o c s p %`. No floating point. The meaning is C's (C17, 7.21.6.1).
#pragma once

#include <cstdarg>
#include <cstddef>

/// Takes pieces of text, in order.
using TextWriter = void (*)(void* context, const char* text, size_t bytes);
/// The formatter itself. @return how many characters it wrote
int format(TextWriter writer, void* context, const char* format, va_list arguments);

/// Into a buffer, cut to fit, with a zero byte unless `bytes` is 0. @return the length of all of it
[[gnu::format(printf, 3, 4)]] int snprintf(char* buffer, size_t bytes, const char* format, ...);
[[gnu::format(printf, 3, 0)]] int vsnprintf(char* buffer, size_t bytes, const char* format, va_list arguments);

/// To the standard output; short texts in one piece. @return how many characters
[[gnu::format(printf, 1, 2)]] int printf(const char* format, ...);
[[gnu::format(printf, 1, 0)]] int vprintf(const char* format, va_list arguments);
/// To a file.
[[gnu::format(printf, 2, 3)]] int dprintf(int file, const char* format, ...);
[[gnu::format(printf, 2, 0)]] int vdprintf(int file, const char* format, va_list arguments);

/// A text and the end of the line, to the standard output.
void puts(const char* text);
