/// @file
/// thrash PAGES ROUNDS PROCESSES: so many processes, each of which goes so often around so many pages of its own. Each page carries a number
/// that is checked at every visit. Says at the end how long it took, and what load control did; ends with 1 when a page was not what it should
/// be, or a process did not end.
#include <cstddef>
#include <cstdint>

#include "user/library.h"

namespace {

constexpr size_t kMaxProcesses = 16;
constexpr size_t kWords = kPageBytes / sizeof(uint32_t);

uint32_t number_of(uint32_t who, size_t page, uint32_t round) { return (who << 24) + (round << 16) + static_cast<uint32_t>(page); }

/// Some work with each page: its first words are summed up.
uint32_t work(const uint32_t* page) {
    uint32_t sum = 0;
    for (size_t i = 0; i < kWords; ++i) sum += page[i] ^ i;
    return sum;
}

int go_around(uint32_t who, size_t pages, uint32_t rounds) {
    void* const mapped = mmap(nullptr, pages * kPageBytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
    if (is_error(mapped)) return 2;
    auto* const memory = static_cast<uint32_t*>(mapped);
    volatile uint32_t sum = 0;
    for (uint32_t round = 0; round < rounds; ++round) {
        for (size_t page = 0; page < pages; ++page) {
            uint32_t* const words = memory + page * kWords;
            if (round > 0 && words[0] != number_of(who, page, round - 1)) return 1;
            sum = sum + work(words);
            words[0] = number_of(who, page, round);
        }
    }
    return 0;
}

/// @return how many have ended well
uint32_t wait_for(uint32_t processes) {
    uint32_t well = 0;
    for (uint32_t i = 0; i < processes; ++i) {
        uint32_t status = 1;
        if (wait(-1, &status) > 0) well += status == 0;
    }
    return well;
}

} // namespace

int main(int argc, char** argv) {
    uint32_t pages = 0, rounds = 0, processes = 0;
    const bool is_understood = argc == 4 && parse_number(argv[1], pages) && parse_number(argv[2], rounds) && parse_number(argv[3], processes) &&
                               pages > 0 && processes > 0 && processes <= kMaxProcesses;
    if (!is_understood) {
        printf("usage: thrash PAGES ROUNDS PROCESSES\n");
        return 2;
    }
    const uint32_t begin = uptime();
    for (uint32_t who = 0; who < processes; ++who) {
        const int child = fork();
        if (child == 0) return go_around(who + 1, pages, rounds);
        if (child < 0) return 2;
    }
    const uint32_t well = wait_for(processes);
    static abi::Counters now;
    (void)counters(&now);
    const abi::MemoryShortCounts& seen = now.memory_short;
    printf("%u of %u ended well in %u ms; %u swap-ins, %u suspended, %u let go on, %u in turn\n", well, processes, uptime() - begin,
           now.faults.swapped_in, seen.suspensions, seen.resumptions, seen.turns);
    return well == processes ? 0 : 1;
}
