/// @file
/// Text out of numbers: `print("{} of {} frames free, next at {x8}\n", free, all, address)`.
///
/// | in the format | prints |
/// |---------------|--------|
/// | `{}`          | a number in decimal, a text as it is |
/// | `{x}`         | a number in hexadecimal with 0x |
/// | `{x8}`        | the same, padded with zeros to 8 digits |
/// | `{6}`         | padded with spaces on the left to 6 columns |
/// | `{-6}`        | padded with spaces on the right to 6 columns |
///
/// The arguments carry their types, so a format cannot read what was not passed. A missing argument prints as `{?}`.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "lib/address.h"
#include "lib/result.h"

/// One argument of print(), whatever its type was.
struct FormatArgument {
    enum class Kind : uint8_t { Unsigned, Signed, Text };
    Kind kind = Kind::Unsigned;
    uint64_t number = 0;
    const char* text = nullptr;
};

template <std::unsigned_integral T>
constexpr FormatArgument format_argument(T value) { return {FormatArgument::Kind::Unsigned, value, nullptr}; }
template <std::signed_integral T>
constexpr FormatArgument format_argument(T value) {
    return {FormatArgument::Kind::Signed, static_cast<uint64_t>(static_cast<int64_t>(value)), nullptr};
}
constexpr FormatArgument format_argument(const char* value) { return {FormatArgument::Kind::Text, 0, value}; }
constexpr FormatArgument format_argument(PhysAddr value) { return format_argument(value.value()); }
constexpr FormatArgument format_argument(VirtAddr value) { return format_argument(value.value()); }
constexpr FormatArgument format_argument(FrameNumber value) { return format_argument(value.value()); }
inline FormatArgument format_argument(Error value) { return format_argument(error_name(value)); }

/// Takes a piece of text: the body of a console, or of a buffer.
using TextWriter = void (*)(void* context, const char* text, size_t length);

/// The formatter itself; print() and format_into() are its two faces.
void format_text(TextWriter write, void* context, const char* format, std::span<const FormatArgument> arguments);

/// Writes to every console. Before the first console is added the text is lost.
void print_arguments(const char* format, std::span<const FormatArgument> arguments);

/// Adds a console (serial line, screen). At most four; drivers call it once each at boot.
void add_console(void (*write)(const char* text, size_t length));

/// Writes text as it is to every console.
void print_text(const char* text, size_t length);

/// Prints on every console.
template <typename... T>
void print(const char* format, T... values) {
    const FormatArgument arguments[sizeof...(T) + 1] = {format_argument(values)...};
    print_arguments(format, {arguments, sizeof...(T)});
}

size_t format_arguments_into(std::span<char> buffer, const char* format, std::span<const FormatArgument> arguments);

/// Formats into `buffer`, cutting what does not fit; always ends it with a zero byte.
/// @return the length without the zero byte
template <typename... T>
size_t format_into(std::span<char> buffer, const char* format, T... values) {
    const FormatArgument arguments[sizeof...(T) + 1] = {format_argument(values)...};
    return format_arguments_into(buffer, format, {arguments, sizeof...(T)});
}
