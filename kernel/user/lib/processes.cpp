#include "user/processes.h"

#include "abi/files.h"
#include "user/print.h"
#include "user/system_call.h"

using abi::SystemCall;
using namespace system_call;

void exit(int status) {
    for (;;) by_interrupt(SystemCall::Exit, static_cast<uint32_t>(status));
}

void abort() { exit(134); } // 128 + Unix's SIGABRT, as shells there report it

int getpid() { return static_cast<int>(fast(SystemCall::GetPid)); }
int getppid() { return static_cast<int>(fast(SystemCall::GetParent)); }

int fork() { return static_cast<int>(by_interrupt(SystemCall::Fork)); }
int exec(const char* path, const char* const* arguments) {
    return static_cast<int>(by_interrupt(SystemCall::Exec, word(path), word(arguments)));
}

int spawn(const char* path, const char* const* arguments) {
    const int child = fork();
    if (child != 0) return child;
    const int error = exec(path, arguments);
    dprintf(abi::kStandardError, "%s: %s\n", path, error == -abi::ENOENT ? "no such program" : error_text(error));
    exit(error == -abi::ENOENT ? kNotFound : kNotRunnable);
}

int wait(int pid, uint32_t* status) {
    return static_cast<int>(by_interrupt(SystemCall::Wait, static_cast<uint32_t>(pid), word(status)));
}
int kill(int pid, int signal) {
    return static_cast<int>(fast(SystemCall::Kill, static_cast<uint32_t>(pid), static_cast<uint32_t>(signal)));
}
int yield() { return static_cast<int>(fast(SystemCall::Yield)); }
int sleep(uint32_t milliseconds) { return static_cast<int>(fast(SystemCall::Sleep, milliseconds)); }
uint32_t uptime() { return fast(SystemCall::Uptime); }
int process_info(uint32_t index, abi::ProcessInfo* info) {
    return static_cast<int>(fast(SystemCall::Processes, index, word(info)));
}
int process_info_of(int pid, abi::ProcessInfo* info) {
    for (uint32_t i = 0; process_info(i, info) == 0; ++i) {
        if (info->pid == static_cast<uint32_t>(pid)) return 0;
    }
    return -abi::ESRCH;
}
int counters(abi::Counters* all) { return static_cast<int>(fast(SystemCall::Counters, word(all))); }
int shut_down() { return static_cast<int>(fast(SystemCall::ShutDown)); }
