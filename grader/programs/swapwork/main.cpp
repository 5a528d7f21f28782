// swapwork KIND BEGIN PAGES STEP OFFSET KEY MORE: works on more memory than there is, so that pages go to the swap area and come back. What
// each kind does stands in work.h. It prints "wrong COUNT" at its end; what else must be true the host finds out at the checkpoints.
#include "../debug.h"
#include "work.h"

namespace {

struct Kind {
    const char* name;
    uint32_t (*perform)(const Work& work);
};

constexpr Kind kKinds[] = {
    {"sweep", sweep}, {"descend", descend}, {"overflow", overflow}, {"crowd", crowd},
    {"sort", sort},   {"family", family},   {"ends", ends},         {"errors", errors},
};

} // namespace

int main(int count, char** words) {
    if (count == 2 && strcmp(words[1], "newcomer") == 0) {
        checkpoint("newcomer");
        return 3;
    }
    if (count != 8) return 95;
    uint32_t numbers[6];
    for (size_t i = 0; i < 6; ++i) {
        if (!parse_number(words[2 + i], numbers[i])) return 96;
    }
    const Work work{{numbers[0], numbers[1], numbers[2], numbers[3]}, numbers[4], numbers[5]};
    for (const Kind& kind : kKinds) {
        if (strcmp(kind.name, words[1]) != 0) continue;
        printf("wrong %u\n", kind.perform(work));
        return 0;
    }
    return 97;
}
