/// @file
/// kill PID [SIGNAL]: sends a signal, SIGTERM unless another is named by number or name.
#include "user/library.h"

namespace {

/// "9", "KILL" or "SIGKILL".
bool parse_signal(const char* text, uint32_t& number) {
    if (parse_number(text, number)) return true;
    for (int candidate = 1; candidate < abi::kSignals; ++candidate) {
        const char* const name = signal_name(candidate);
        if (strcmp(name, text) != 0 && strcmp(name + 3, text) != 0) continue;
        number = static_cast<uint32_t>(candidate);
        return true;
    }
    return false;
}

} // namespace

int main(int argc, char** argv) {
    uint32_t pid = 0, signal = abi::SIGTERM;
    if (argc < 2 || argc > 3 || !parse_number(argv[1], pid) || (argc == 3 && !parse_signal(argv[2], signal))) {
        printf("usage: kill PID [SIGNAL]\n");
        return 2;
    }
    const int error = kill(static_cast<int>(pid), static_cast<int>(signal));
    if (error < 0) printf("kill: %u: %s\n", pid, error_text(error));
    return error < 0 ? 1 : 0;
}
