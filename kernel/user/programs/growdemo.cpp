/// @file
/// growdemo: a stack grows down as it is used, page by page, and keeps what it has got.
#include "user/library.h"

namespace {

constexpr int kDeep = 32;

/// So many calls, each with a page of local variables.
[[gnu::noinline]] int deep(int calls) {
    volatile char page[kPageBytes];
    page[0] = static_cast<char>(calls);
    const int below = calls > 1 ? deep(calls - 1) : 0;
    return below + page[0]; // not the last call: it would become a jump
}

/// The line of the maps that ends with the stack.
void show_stack() {
    static char text[4096];
    const int length = maps(getpid(), text, sizeof text - 1);
    if (length < 0) return;
    text[length] = 0;
    for (char* line = text; *line;) {
        char* const end = strchr(line, '\n');
        if (!end) break;
        *end = 0;
        if (strstr(line, " stack ")) printf("%s\n", line);
        line = end + 1;
    }
}

void step(const char* what, int calls, Meter& before) {
    deep(calls);
    print_cost(what, before, read_meter());
    before = read_meter();
}

} // namespace

int main() {
    uint32_t limit = 0;
    getrlimit(abi::RLIMIT_STACK, &limit);
    show_stack();
    print_cost_heading();
    Meter before = read_meter();
    before = read_meter();
    step("32 calls deep, 4 KiB each", kDeep, before);
    step("again", kDeep, before);
    step("64 calls deep", 2 * kDeep, before);
    show_stack();
    printf("The limit is %u KiB. `crash stack` goes on until there.\n", limit / 1024);
    return 0;
}
