// The formatter of printf(): no calls of the kernel here, so that it can be tested on any computer.
#include <cstdint>

#include "user/print.h"
#include "user/text.h"

namespace {

/// What stands between `%` and the conversion.
struct Specification {
    bool left = false, zeros = false, plus = false, space = false, alternative = false;
    int width = 0;
    int precision = -1;   ///< -1: none given.
    int length = 0;       ///< Bytes of an integer argument.
    char conversion = 0;
};

/// va_list may be an array, which changes its type when it is passed; in a structure it stays what it is.
struct Arguments {
    va_list list;
};

class Formatter {
public:
    Formatter(TextWriter writer, void* context) : writer_(writer), context_(context) {}

    void text(const char* text, size_t bytes) {
        if (bytes == 0) return;
        writer_(context_, text, bytes);
        written_ += static_cast<int>(bytes);
    }
    void fill(char character, int count) {
        for (; count > 0; --count) text(&character, 1);
    }
    void convert(const Specification& spec, Arguments& arguments);
    int written() const { return written_; }

private:
    void padded(const char* data, size_t bytes, const Specification& spec) {
        const int padding = spec.width - static_cast<int>(bytes);
        if (!spec.left) fill(' ', padding);
        text(data, bytes);
        if (spec.left) fill(' ', padding);
    }
    void number(uint64_t magnitude, const char* sign, unsigned base, const Specification& spec);
    void integer(const Specification& spec, Arguments& arguments);

    TextWriter writer_;
    void* context_;
    int written_ = 0;
};

/// Digits, sign and zeros of one number: first spaces, then the sign (or 0x), then zeros, then digits, then spaces.
void Formatter::number(uint64_t magnitude, const char* sign, unsigned base, const Specification& spec) {
    char digits[24];
    char* first = digits + sizeof digits;
    const char* const alphabet = spec.conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    for (; magnitude != 0; magnitude /= base) *--first = alphabet[magnitude % base];

    const int count = static_cast<int>(digits + sizeof digits - first), sign_length = static_cast<int>(strlen(sign));
    int least = spec.precision >= 0 ? spec.precision : 1; // precision 0 prints nothing for 0
    if (spec.conversion == 'o' && spec.alternative && least <= count) least = count + 1;
    if (spec.precision < 0 && spec.zeros && !spec.left && least < spec.width - sign_length) least = spec.width - sign_length;
    const int zeros = least > count ? least - count : 0;
    const int padding = spec.width - sign_length - zeros - count;
    if (!spec.left) fill(' ', padding);
    text(sign, static_cast<size_t>(sign_length));
    fill('0', zeros);
    text(first, static_cast<size_t>(count));
    if (spec.left) fill(' ', padding);
}

void Formatter::integer(const Specification& spec, Arguments& arguments) {
    const bool is_signed = spec.conversion == 'd' || spec.conversion == 'i';
    uint64_t value;
    switch (spec.length) { // smaller ones arrive as int
    case 8: value = va_arg(arguments.list, uint64_t); break;
    case 1: value = static_cast<uint8_t>(va_arg(arguments.list, int)); break;
    case 2: value = static_cast<uint16_t>(va_arg(arguments.list, int)); break;
    default: value = static_cast<uint32_t>(va_arg(arguments.list, uint32_t));
    }
    if (is_signed) {
        const int unused = 64 - 8 * spec.length;
        const auto number = static_cast<int64_t>(value << unused) >> unused; // the sign bit moves up, and back with its copies
        const char* const sign = number < 0 ? "-" : spec.plus ? "+" : spec.space ? " " : "";
        return this->number(number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number), sign, 10, spec);
    }
    const unsigned base = spec.conversion == 'u' ? 10 : spec.conversion == 'o' ? 8 : 16;
    const bool prefix = base == 16 && spec.alternative && value != 0;
    number(value, !prefix ? "" : spec.conversion == 'X' ? "0X" : "0x", base, spec);
}

void Formatter::convert(const Specification& spec, Arguments& arguments) {
    switch (spec.conversion) {
    case 'd': case 'i': case 'u': case 'x': case 'X': case 'o': return integer(spec, arguments);
    case 'c': {
        const char character = static_cast<char>(va_arg(arguments.list, int));
        return padded(&character, 1, spec);
    }
    case 's': {
        const char* value = va_arg(arguments.list, const char*);
        if (!value) value = "(null)";
        return padded(value, spec.precision >= 0 ? strnlen(value, static_cast<size_t>(spec.precision)) : strlen(value), spec);
    }
    case 'p': {
        Specification pointer = spec;
        pointer.conversion = 'x';
        return number(reinterpret_cast<uintptr_t>(va_arg(arguments.list, void*)), "0x", 16, pointer);
    }
    case '%': return text("%", 1);
    default: // shown as it stands, so that the mistake is seen
        text("%", 1);
        if (spec.conversion) text(&spec.conversion, 1);
    }
}

/// A number in digits, or `*`: the next argument.
int count(const char*& at, Arguments& arguments) {
    if (*at == '*') return ++at, va_arg(arguments.list, int);
    int value = 0;
    for (; is_digit(*at); ++at) {
        if (value < 10000) value = value * 10 + (*at - '0'); // nobody wants more columns
    }
    return value;
}

void flags(const char*& at, Specification& spec) {
    for (;; ++at) {
        switch (*at) {
        case '-': spec.left = true; break;
        case '0': spec.zeros = true; break;
        case '+': spec.plus = true; break;
        case ' ': spec.space = true; break;
        case '#': spec.alternative = true; break;
        default: return;
        }
    }
}

int length(const char*& at) {
    switch (*at) {
    case 'h':
        if (*++at == 'h') return ++at, 1;
        return 2;
    case 'l':
        if (*++at == 'l') return ++at, 8;
        return sizeof(long);
    case 'j': return ++at, 8;
    case 'z':
    case 't': return ++at, sizeof(size_t);
    default: return 4;
    }
}

/// Reads a specification behind its `%`, and moves behind its conversion.
Specification parse(const char*& at, Arguments& arguments) {
    Specification spec;
    flags(at, spec);
    spec.width = count(at, arguments);
    if (spec.width < 0) spec.left = true, spec.width = -spec.width; // of a `*`
    if (*at == '.') spec.precision = count(++at, arguments);
    spec.length = length(at);
    spec.conversion = *at;
    if (*at) ++at;
    return spec;
}

struct Buffer {
    char* space;
    size_t bytes;
    size_t used;
};

} // namespace

int format(TextWriter writer, void* context, const char* text, va_list list) {
    Formatter formatter(writer, context);
    Arguments arguments;
    va_copy(arguments.list, list);
    while (*text) {
        const char* percent = text;
        while (*percent && *percent != '%') ++percent;
        formatter.text(text, static_cast<size_t>(percent - text));
        if (!*percent) break;
        text = percent + 1;
        formatter.convert(parse(text, arguments), arguments);
    }
    va_end(arguments.list);
    return formatter.written();
}

int vsnprintf(char* space, size_t bytes, const char* text, va_list arguments) {
    Buffer buffer{space, bytes, 0};
    auto to_buffer = [](void* context, const char* text, size_t length) {
        auto& buffer = *static_cast<Buffer*>(context);
        for (size_t i = 0; i < length && buffer.used + 1 < buffer.bytes; ++i) buffer.space[buffer.used++] = text[i];
    };
    const int length = format(to_buffer, &buffer, text, arguments);
    if (bytes > 0) space[buffer.used] = 0;
    return length;
}

int snprintf(char* buffer, size_t bytes, const char* text, ...) {
    va_list arguments;
    va_start(arguments, text);
    const int length = vsnprintf(buffer, bytes, text, arguments);
    va_end(arguments);
    return length;
}
