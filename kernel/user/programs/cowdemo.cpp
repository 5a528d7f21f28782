/// @file
/// cowdemo: copy-on-write. What fork() shares, who copies, and who need not.
#include "user/library.h"

namespace {

constexpr size_t kPages = 64;
constexpr size_t kOfChild = 16;

constinit Meter before;
volatile int* turn; // whose it is: 0 the child's, 1 the parent's. Shared memory: fork() leaves it one

void step(const char* what) {
    const Meter now = read_meter();
    print_cost(what, before, now);
    before = read_meter();
}

void wait_for_turn(int mine) {
    while (*turn != mine) yield();
    before = read_meter();
    before = read_meter(); // the first one may have copied pages of this program's own
}

void read_pages(const char* memory, size_t begin, size_t end) {
    for (size_t page = begin; page < end; ++page) static_cast<void>(*static_cast<const volatile char*>(memory + page * kPageBytes));
}

void write_pages(char* memory, size_t begin, size_t end) {
    for (size_t page = begin; page < end; ++page) *static_cast<volatile char*>(memory + page * kPageBytes) = 1;
}

int child(char* memory) {
    wait_for_turn(0);
    read_pages(memory, 0, kPages);
    step("child:  reads them all");
    write_pages(memory, 0, kOfChild);
    step("child:  writes 16 of them");
    *turn = 1;
    wait_for_turn(0);
    return 0;
}

void parent(char* memory, int child) {
    wait_for_turn(1);
    write_pages(memory, 0, kOfChild);
    step("parent: writes the same 16");
    write_pages(memory, kOfChild, kPages);
    step("parent: writes the other 48");
    *turn = 0;
    wait(child, nullptr);
    step("parent: the child has ended");
}

void* memory_or_exit(void* memory) {
    if (!is_error(memory)) return memory;
    printf("cowdemo: %s\n", error_text(static_cast<int>(system_call::word(memory))));
    exit(1);
}

} // namespace

int main() {
    const int number = create_shared(kPageBytes);
    turn = static_cast<int*>(memory_or_exit(attach_shared(number, nullptr, abi::PROT_READ | abi::PROT_WRITE)));
    *turn = -1;
    auto* const memory =
        static_cast<char*>(memory_or_exit(mmap(nullptr, kPages * kPageBytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS)));
    print_cost_heading();
    before = read_meter();
    before = read_meter();
    write_pages(memory, 0, kPages);
    step("parent: 64 pages written");
    sleep(1); // a new slice: the child does not run before fork() has been measured
    before = read_meter();
    const int pid = fork();
    if (pid < 0) {
        printf("cowdemo: %s\n", error_text(pid));
        return 1;
    }
    if (pid == 0) return child(memory);
    step("parent: fork");
    *turn = 0;
    parent(memory, pid);
    return 0;
}
