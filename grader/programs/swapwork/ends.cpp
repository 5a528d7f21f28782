#include "../debug.h"
#include "members.h"
#include "work.h"

namespace {

constexpr uint32_t kOwnPages = 4;

void become_newcomer() {
    static const char* const words[] = {"swapwork", "newcomer", nullptr};
    exit(exec("/bin/swapwork", words));
}

/// A child's life: it writes all pages, and ends in a way of its own. Status 3 is the newcomer's, 4 an exit's.
void live(const Work& work, uint32_t number) {
    char name[16];
    snprintf(name, sizeof name, "full-%u", number);
    map_private(work.pages);
    write_pages(work.pages, work.key + number);
    checkpoint(name);
    if (wrong_marks(work.pages, work.key + number) != 0) exit(5);
    if (number == 0) become_newcomer();
    if (number == 1) exit(4);
    for (;;) yield();
}

/// Looks at its pages until the disk fails under one: nothing that comes later is reached.
void look_until_the_disk_fails(const Work& work) {
    for (uint32_t index = 0; index < work.pages.count; ++index) {
        if (fail_swap_of(work.pages.at(index)) != 0) continue;
        if (wrong_marks(work.pages.at(index), work.key) != 0) exit(6); // or it was in memory, too
    }
    exit(7);
}

/// Has the kernel write to its pages until the disk fails under one. @return its number; the count of all when there was none
uint32_t refused_page(const Work& work, int& error) {
    for (uint32_t index = 0; index < work.pages.count; ++index) {
        uint32_t* const page = work.pages.at(index);
        if (fail_swap_of(page) != 0) continue;
        error = getrlimit(abi::RLIMIT_STACK, free_word(page));
        heal_swap();
        if (error != 0) return index;
        *free_word(page) = 0; // it was in memory, too: as it was
    }
    return work.pages.count;
}

} // namespace

uint32_t ends(const Work& work) {
    constexpr uint32_t expected[] = {abi::exited(3), abi::exited(4), abi::SIGKILL};
    const Pages own{work.pages.end() + kPageBytes, kOwnPages};
    map_private(own);
    uint32_t wrong = 0;
    for (uint32_t number = 0; number < 3; ++number) {
        write_pages(own, work.key + number);
        const int child = fork();
        if (child == 0) live(work, number);
        printf("member %u %u\n", number, child);
        if (number == 2) {
            for (uint32_t rounds = 0; rounds < 400; ++rounds) yield();
            kill(child, abi::SIGKILL);
        }
        uint32_t status = 0;
        wait(child, &status);
        wrong += status != expected[number];
        wrong += wrong_marks(own, work.key + number);
        char name[16];
        snprintf(name, sizeof name, "gone-%u", number);
        checkpoint(name);
    }
    return wrong;
}

uint32_t errors(const Work& work) {
    Members members(work.pages.end() + kPageBytes);
    map_private(work.pages);
    write_pages(work.pages, work.key);
    if (members.add() == 0) {
        members.meet(2); // the disk works again
        exit(wrong_marks(work.pages, work.key) != 0);
    }
    int error = 0;
    const uint32_t refused = refused_page(work, error);
    printf("refused %d\n", error);
    uint32_t wrong = refused == work.pages.count;
    if (!wrong) wrong += wrong_marks(work.pages.at(refused), work.key);
    checkpoint("refused");
    const int victim = fork();
    if (victim == 0) look_until_the_disk_fails(work);
    uint32_t status = 0;
    wait(victim, &status);
    printf("victim %u\n", status);
    heal_swap();
    checkpoint("buried");
    members.meet(2);
    wrong += wrong_marks(work.pages, work.key);
    wrong += children_that_failed();
    return wrong + wrong_marks(work.pages.at(0), work.key);
}
