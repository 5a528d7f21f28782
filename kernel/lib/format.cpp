#include "lib/format.h"

#include <array>

#include "lib/text.h"

namespace {

/// What stands between the braces: `x` for hexadecimal, a width, `-` for left alignment.
struct Specification {
    bool hexadecimal = false;
    bool left = false;
    unsigned width = 0;
};

/// Reads a specification up to its closing brace, and returns what follows the brace.
const char* parse(const char* at, Specification& spec) {
    for (; *at && *at != '}'; ++at) {
        if (*at == 'x') spec.hexadecimal = true;
        if (*at == '-') spec.left = true;
        if (*at >= '0' && *at <= '9') spec.width = spec.width * 10 + static_cast<unsigned>(*at - '0');
    }
    return *at ? at + 1 : at;
}

/// A number's digits, built from the last to the first.
class Digits {
public:
    Digits(uint64_t number, unsigned base) {
        do {
            prepend("0123456789abcdef"[number % base]);
            number /= base;
        } while (number != 0);
    }
    void prepend(char digit) { text_[--begin_] = digit; }
    size_t length() const { return text_.size() - begin_; }
    const char* begin() const { return text_.data() + begin_; }

private:
    std::array<char, 48> text_;
    size_t begin_ = text_.size();
};

struct Writer {
    TextWriter write;
    void* context;

    void text(const char* text, size_t length) const { write(context, text, length); }
    void spaces(size_t count) const {
        while (count-- > 0) text(" ", 1);
    }
    void padded(const char* data, size_t length, Specification spec) const {
        const size_t padding = spec.width > length ? spec.width - length : 0;
        if (!spec.left) spaces(padding);
        text(data, length);
        if (spec.left) spaces(padding);
    }
    void number(const FormatArgument& argument, Specification spec) const {
        const bool negative = argument.kind == FormatArgument::Kind::Signed && static_cast<int64_t>(argument.number) < 0;
        Digits digits(negative ? 0 - argument.number : argument.number, spec.hexadecimal ? 16 : 10);
        if (spec.hexadecimal) {
            const size_t zeros = spec.width < 16 ? spec.width : 16;
            while (digits.length() < zeros) digits.prepend('0');
            digits.prepend('x');
            digits.prepend('0');
        }
        if (negative) digits.prepend('-');
        padded(digits.begin(), digits.length(), spec);
    }
    void argument(const FormatArgument& argument, Specification spec) const {
        if (argument.kind != FormatArgument::Kind::Text) return number(argument, spec);
        const char* value = argument.text ? argument.text : "(null)";
        padded(value, text_length(value), spec);
    }
};

constexpr size_t kMaxConsoles = 4;
std::array<void (*)(const char*, size_t), kMaxConsoles> consoles;
size_t console_count = 0;

struct Buffer {
    std::span<char> space;
    size_t used = 0;
};

} // namespace

void format_text(TextWriter write, void* context, const char* format, std::span<const FormatArgument> arguments) {
    const Writer writer{write, context};
    size_t next = 0;
    while (*format) {
        const char* brace = format;
        while (*brace && *brace != '{') ++brace;
        if (brace != format) writer.text(format, static_cast<size_t>(brace - format));
        if (!*brace) return;
        Specification spec;
        format = parse(brace + 1, spec);
        if (next == arguments.size())
            writer.text("{?}", 3);
        else
            writer.argument(arguments[next++], spec);
    }
}

void add_console(void (*write)(const char* text, size_t length)) {
    if (console_count < kMaxConsoles) consoles[console_count++] = write;
}

void print_text(const char* text, size_t length) {
    for (size_t i = 0; i < console_count; ++i) consoles[i](text, length);
}

void print_arguments(const char* format, std::span<const FormatArgument> arguments) {
    auto to_consoles = [](void*, const char* text, size_t length) { print_text(text, length); };
    format_text(to_consoles, nullptr, format, arguments);
}

size_t format_arguments_into(std::span<char> space, const char* format, std::span<const FormatArgument> arguments) {
    Buffer buffer{space};
    auto to_buffer = [](void* context, const char* text, size_t length) {
        auto& buffer = *static_cast<Buffer*>(context);
        for (size_t i = 0; i < length && buffer.used + 1 < buffer.space.size(); ++i) buffer.space[buffer.used++] = text[i];
    };
    format_text(to_buffer, &buffer, format, arguments);
    if (!space.empty()) space[buffer.used] = 0;
    return buffer.used;
}
