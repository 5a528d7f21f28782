#include "user/text.h"

// The compiler may call these four by itself; the build forbids it to turn their loops into calls of themselves
// (-fno-tree-loop-distribute-patterns). `rep movs` and `rep stos` count up; std and cld turn the direction (ABI: it is up at every call).

extern "C" void* memcpy(void* to, const void* from, size_t bytes) {
    void* at = to;
    size_t words = bytes / 4;
    asm volatile("rep movsl" : "+D"(at), "+S"(from), "+c"(words)::"memory");
    size_t rest = bytes % 4;
    asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest)::"memory");
    return to;
}

extern "C" void* memmove(void* to, const void* from, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from) >= bytes) return memcpy(to, from, bytes);
    auto target = static_cast<unsigned char*>(to); // overlaps, and lies higher: from the last byte to the first
    auto source = static_cast<const unsigned char*>(from);
    while (bytes-- > 0) target[bytes] = source[bytes];
    return to;
}

extern "C" void* memset(void* to, int byte, size_t bytes) {
    void* at = to;
    size_t words = bytes / 4, rest = bytes % 4;
    const uint32_t word = (byte & 0xFFu) * 0x0101'0101u;
    asm volatile("rep stosl" : "+D"(at), "+c"(words) : "a"(word) : "memory");
    asm volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(word) : "memory");
    return to;
}

extern "C" int memcmp(const void* a, const void* b, size_t bytes) {
    auto left = static_cast<const unsigned char*>(a), right = static_cast<const unsigned char*>(b);
    for (size_t i = 0; i < bytes; ++i) {
        if (left[i] != right[i]) return left[i] - right[i];
    }
    return 0;
}

size_t strlen(const char* text) {
    size_t length = 0;
    while (text[length]) ++length;
    return length;
}

size_t strnlen(const char* text, size_t most) {
    size_t length = 0;
    while (length < most && text[length]) ++length;
    return length;
}

int strcmp(const char* a, const char* b) { return strncmp(a, b, SIZE_MAX); }

int strncmp(const char* a, const char* b, size_t most) {
    for (size_t i = 0; i < most; ++i) {
        const auto left = static_cast<unsigned char>(a[i]), right = static_cast<unsigned char>(b[i]);
        if (left != right || left == 0) return left - right;
    }
    return 0;
}

char* strchr(const char* text, int character) {
    for (;; ++text) {
        if (*text == static_cast<char>(character)) return const_cast<char*>(text);
        if (*text == 0) return nullptr;
    }
}

char* strrchr(const char* text, int character) {
    for (const char* at = text + strlen(text);; --at) {
        if (*at == static_cast<char>(character)) return const_cast<char*>(at);
        if (at == text) return nullptr;
    }
}

char* strstr(const char* text, const char* part) {
    const size_t length = strlen(part);
    for (;; ++text) {
        if (strncmp(text, part, length) == 0) return const_cast<char*>(text);
        if (*text == 0) return nullptr;
    }
}

size_t strlcpy(char* to, const char* from, size_t bytes) {
    const size_t length = strlen(from);
    if (bytes == 0) return length;
    const size_t copied = length < bytes ? length : bytes - 1;
    memcpy(to, from, copied);
    to[copied] = 0;
    return length;
}

size_t strlcat(char* to, const char* from, size_t bytes) {
    const size_t before = strnlen(to, bytes);
    return before + strlcpy(to + before, from, bytes - before);
}

char* strsep(char** text, const char* separators) {
    char* const word = *text;
    if (!word) return nullptr;
    char* end = word;
    while (*end && !strchr(separators, *end)) ++end;
    *text = *end ? end + 1 : nullptr;
    *end = 0;
    return word;
}

namespace {

/// The value of a digit in any base, or 99.
uint32_t digit_value(char c) {
    if (is_digit(c)) return static_cast<uint32_t>(c - '0');
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? static_cast<uint32_t>(lower - 'a' + 10) : 99;
}

} // namespace

bool parse_number(const char* text, uint32_t& value) {
    const bool hexadecimal = text[0] == '0' && (text[1] | 0x20) == 'x';
    const uint32_t base = hexadecimal ? 16 : 10;
    if (hexadecimal) text += 2;
    if (*text == 0) return false;
    uint32_t number = 0;
    for (; *text; ++text) {
        const uint32_t digit = digit_value(*text);
        if (digit >= base || number > (UINT32_MAX - digit) / base) return false;
        number = number * base + digit;
    }
    value = number;
    return true;
}
