/// @file
/// The kernel's lowest floor on the host: the end of the road, the console, and filling memory.
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include <cstdio>
#include <string>

#include "host/fuzzing.h"
#include "host/panic.h"
#include "lib/address.h"
#include "lib/format.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "lib/piece.h"

namespace {

int expected_panics = 0;

/// The test's log: shown when the test fails.
[[gnu::constructor]] void add_log() {
    add_console([](const char* text, size_t length) {
        if (!host::console_is_silent) std::fwrite(text, 1, length, stderr);
    });
}

__attribute__((no_sanitize("address"))) void fill(uint32_t* destination, uint32_t word, size_t count) {
    for (size_t i = 0; i < count; ++i) destination[i] = word;
}

} // namespace

namespace host {

bool console_is_silent = false;

PanicExpected::PanicExpected() { ++expected_panics; }
PanicExpected::~PanicExpected() { --expected_panics; }

} // namespace host

[[noreturn]] void panic(const char* reason, const char* file, int line) {
    const std::string text = "kernel panic at " + std::string(file) + ":" + std::to_string(line) + ": " + reason;
    if (expected_panics == 0) {
        std::fprintf(stderr, "%s\n", text.c_str());
        __sanitizer_print_stack_trace();
    }
    throw host::KernelPanic(text);
}

void not_implemented(const char* lab, const char* function) {
    throw host::NotImplemented(std::string("lab ") + lab + ": " + function + "() is not implemented");
}

/// One look at the whole range, then a loop without: as quick as the kernel's, and as strict as instrumented code.
void fill_words(uint32_t* destination, uint32_t word, size_t count) {
    if (void* bad = __asan_region_is_poisoned(destination, count * sizeof(uint32_t))) *static_cast<volatile uint8_t*>(bad) = 0;
    fill(destination, word, count);
}
