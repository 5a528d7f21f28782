#include "members.h"

#include "pages.h"

namespace {

constexpr uint32_t kLeft = UINT32_MAX;
constexpr uint32_t kPatience = 20'000; // rounds in which nobody comes

} // namespace

Members::Members(uint32_t page) : meetings_(reinterpret_cast<volatile uint32_t*>(page)) { map_shared({page, 1}); }

int Members::add() {
    const size_t number = count_++;
    meetings_[number] = meetings_[me_];
    const int child = fork();
    if (child == 0) me_ = number;
    if (child > 0) printf("member %u %u\n", number, child);
    return child;
}

void Members::meet(size_t all) {
    const uint32_t mine = meetings_[me_] + 1;
    meetings_[me_] = mine;
    uint32_t rounds = 0;
    for (size_t other = 0; other < all; ++other) {
        while (meetings_[other] < mine) {
            if (++rounds > kPatience) exit(92);
            yield();
        }
    }
}

void Members::leave() { meetings_[me_] = kLeft; }

uint32_t children_that_failed() {
    uint32_t failed = 0, status = 0;
    while (wait(-1, &status) > 0) failed += status != abi::exited(0);
    return failed;
}
