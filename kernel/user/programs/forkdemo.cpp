/// @file
/// forkdemo: parent and child have the same addresses, and after the first write different contents. Shared memory stays shared.
#include "user/library.h"

namespace {

constinit int variable = 1;

void say(const char* who, const volatile int* shared) {
    printf("  %-6s (process %d): variable at %p is %d, shared memory at %p is %d\n", who, getpid(), static_cast<void*>(&variable), variable,
           const_cast<int*>(shared), *shared);
}

} // namespace

int main() {
    const int number = create_shared(kPageBytes);
    void* const memory = number < 0 ? nullptr : attach_shared(number, nullptr, abi::PROT_READ | abi::PROT_WRITE);
    if (number < 0 || is_error(memory)) {
        printf("forkdemo: no shared memory\n");
        return 1;
    }
    auto* const shared = static_cast<volatile int*>(memory);
    *shared = 1;
    say("before", shared);
    const int child = fork();
    if (child < 0) {
        printf("forkdemo: %s\n", error_text(child));
        return 1;
    }
    if (child == 0) {
        variable = 2;
        *shared = 2;
        say("child", shared);
        return 3;
    }
    uint32_t status = 0;
    wait(child, &status);
    say("parent", shared);
    printf("  the child, process %d, ended with status %u\n", child, abi::exit_status_of(status));
    return 0;
}
