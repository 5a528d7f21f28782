/// @file
/// Accesses that are wrong, one after the other, and what each brought.
///
///     wrong ACCESS...        prints "ACCESS ADDRESS SIGNAL REASON AT" for each, in hexadecimal; SIGNAL is 0 when it was possible
///     wrong die ACCESS       prints "at ADDRESS", and does it without a handler
///
/// An ACCESS is r, w or x (a call), and an address: a number, or a name with an offset, as in `wcode+12`. Each name is memory that nobody
/// has touched yet, but for the program's own.
#include <cstddef>
#include <cstdint>

#include "attempt.h"
#include "user/library.h"

namespace {

constexpr uint32_t kPrivate = abi::MAP_PRIVATE | abi::MAP_ANONYMOUS;
constexpr uint32_t kBelowText = 64 * kPageBytes;  ///< The image has so much room below it, or chance was very unkind.

uint32_t variable = 7;

uint32_t map(uint32_t protection) { return system_call::word(mmap(nullptr, kPageBytes, protection, kPrivate)); }

uint32_t own_code() { return reinterpret_cast<uint32_t>(&own_code); }

/// A page to be read, where code may be: the CPU would run what lies there.
uint32_t map_beside_code() {
    auto* const place = reinterpret_cast<void*>((own_code() & ~(kPageBytes - 1)) - kBelowText);
    return system_call::word(mmap(place, kPageBytes, abi::PROT_READ, kPrivate | abi::MAP_FIXED_NOREPLACE));
}

/// The first page behind the end of a file that is mapped with two pages too many.
uint32_t map_past_end() {
    const int file = open("/bin/wrong", abi::O_RDONLY);
    const auto bytes = static_cast<uint32_t>(file_size(file));
    const uint32_t begin = system_call::word(mmap(nullptr, bytes + 2 * kPageBytes, abi::PROT_READ, abi::MAP_PRIVATE, file));
    close(file);
    return begin + ((bytes + kPageBytes - 1) & ~(kPageBytes - 1));
}

struct Place {
    const char* name;
    uint32_t (*make)();
};

constexpr Place kPlaces[] = {
    {"code", own_code},
    {"data", [] { return system_call::word(&variable); }},
    {"readonly", [] { return map(abi::PROT_READ); }},
    {"none", [] { return map(abi::PROT_NONE); }},
    {"writable", [] { return map(abi::PROT_READ | abi::PROT_WRITE); }},
    {"guard", [] { return map(abi::PROT_READ) - kPageBytes; }},
    {"beside", map_beside_code},
    {"past", map_past_end},
};

/// A number, or a name with an offset.
uint32_t address_of(const char* text) {
    uint32_t number = 0;
    if (parse_number(text, number)) return number;
    const char* const plus = strchr(text, '+');
    const size_t length = plus ? static_cast<size_t>(plus - text) : strlen(text);
    if (plus && !parse_number(plus + 1, number)) exit(2);
    for (const Place& place : kPlaces) {
        if (strlen(place.name) == length && strncmp(place.name, text, length) == 0) return place.make() + number;
    }
    printf("no such place: %s\n", text);
    exit(2);
}

} // namespace

int main(int argc, char** argv) {
    const bool dies = argc > 1 && strcmp(argv[1], "die") == 0;
    if (!dies) survive_signals();
    for (int i = dies ? 2 : 1; i < argc; ++i) {
        const uint32_t address = address_of(argv[i] + 1);
        if (dies) printf("at %x\n", address);
        (void)try_access(argv[i][0], address);
        printf("%s %x %x %x %x\n", argv[i], address, attempt.signal, attempt.reason, attempt.address);
    }
    return dies ? 77 : 0;
}
