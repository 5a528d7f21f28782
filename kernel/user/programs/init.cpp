/// @file
/// init: the first program. Starts the shell, and starts it again when it has ended.
#include "user/library.h"

namespace {

constexpr const char* kShell = "/bin/shell";

/// Without init nobody would start the shell again: a plain `kill 1` is not enough.
void refuse(int, abi::SignalFrame*) { printf("init: SIGTERM does not end process 1; SIGKILL would\n"); }

/// Forgets children until the shell has ended. Those of processes that ended before them are the kernel's to collect.
uint32_t wait_for(int shell) {
    uint32_t status = 0;
    for (;;) {
        const int ended = wait(-1, &status);
        if (ended == shell || ended == -abi::ECHILD) return status;
    }
}

void report(int shell, uint32_t status) {
    const int killer = static_cast<int>(abi::signal_of(status));
    if (killer) {
        printf("init: the shell (%d) was killed by %s; starting it again\n", shell, signal_name(killer));
    } else {
        printf("init: the shell (%d) ended with status %u; starting it again\n", shell, abi::exit_status_of(status));
    }
}

} // namespace

int main() {
    signal(abi::SIGTERM, refuse);
    printf("\ninit: process %d starts %s\n", getpid(), kShell);
    for (;;) {
        static const char* const arguments[] = {"shell", nullptr};
        const int shell = spawn(kShell, arguments);
        if (shell < 0) {
            printf("init: no shell: %s\n", error_text(shell));
            return 1;
        }
        const uint32_t status = wait_for(shell);
        const uint32_t code = abi::exit_status_of(status);
        if (code == kNotFound || code == kNotRunnable) return 1; // it would fail again
        report(shell, status);
    }
}
