/// @file
/// maps [PID]: the areas of a process's address space; without a number, of maps itself.
#include "user/library.h"

namespace {

/// The kernel cuts the text to fit: a full buffer may lack something.
int show(int pid) {
    for (size_t bytes = 4096;; bytes *= 2) {
        char* const text = static_cast<char*>(malloc(bytes));
        if (!text) return -abi::ENOMEM;
        const int length = maps(pid, text, bytes);
        const bool complete = length < static_cast<int>(bytes) - 256; // longer than any line
        if (complete && length > 0) write_all(abi::kStandardOutput, text, static_cast<size_t>(length));
        free(text);
        if (complete) return length;
    }
}

} // namespace

int main(int argc, char** argv) {
    uint32_t pid = static_cast<uint32_t>(getpid());
    if (argc > 2 || (argc == 2 && !parse_number(argv[1], pid))) {
        printf("usage: maps [PID]\n");
        return 2;
    }
    const int result = show(static_cast<int>(pid));
    if (result < 0) printf("maps: %u: %s\n", pid, error_text(result));
    return result < 0 ? 1 : 0;
}
