/// @file
/// growdemo: a stack grows down as it is used, page by page, and keeps what it has got.
#include "user/library.h"

namespace {

constexpr int kDeep = 32;

/// How deep the first calls go: the second go twice as deep, and a stack may be small.
int depth_for(uint32_t limit) {
    const int quarter = static_cast<int>(limit / kPageBytes / 4);
    return quarter < kDeep ? quarter : kDeep;
}

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

void step(int calls, const char* what, Meter& before) {
    deep(calls);
    const Meter now = read_meter();
    char text[40];
    snprintf(text, sizeof text, "%d calls deep%s", calls, what);
    print_cost(text, before, now);
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
    const int calls = depth_for(limit);
    step(calls, ", 4 KiB each", before);
    step(calls, ", again", before);
    step(2 * calls, "", before);
    show_stack();
    printf("The limit is %u KiB. `crash stack` goes on until there.\n", limit / 1024);
    return 0;
}
