#include "../debug.h"
#include "work.h"

namespace {

/// The key of a page after so many rounds of sweep().
uint32_t key_of(const Work& work, uint32_t index, uint32_t rounds) {
    for (uint32_t round = rounds; round > 0; --round) {
        if ((index + round) % 3 == 0) return work.key + round;
    }
    return work.key;
}

/// A page of stack for each level. All words of it say where they are.
[[gnu::noinline]] uint32_t level(const Work& work, uint32_t levels, uint32_t caller) {
    volatile uint32_t page[kWordsPerPage];
    for (volatile uint32_t& word : page) word = mix(system_call::word(const_cast<uint32_t*>(&word)) + work.key);
    const uint32_t here = system_call::word(const_cast<uint32_t*>(page));
    uint32_t wrong = 0;
    if (levels > 1) {
        wrong = level(work, levels - 1, here);
    } else {
        printf("levels %x %x\n", here, caller - here);
        checkpoint("bottom");
    }
    for (volatile uint32_t& word : page) wrong += word != mix(system_call::word(const_cast<uint32_t*>(&word)) + work.key);
    return wrong;
}

} // namespace

uint32_t sweep(const Work& work) {
    const Pages& pages = work.pages;
    map_private(pages);
    write_pages(pages, work.key);
    checkpoint("filled");
    uint32_t wrong = 0;
    for (uint32_t round = 1; round <= work.more; ++round) {
        for (uint32_t visit = 0; visit < pages.count; ++visit) {
            const uint32_t index = pages.index(visit);
            wrong += wrong_marks(pages.at(index), key_of(work, index, round - 1));
            if ((index + round) % 3 == 0) write_page(pages.at(index), work.key + round);
        }
    }
    checkpoint("worked");
    const uint32_t half = pages.count / 2;
    munmap(pages.at(0), half * kPageBytes);
    checkpoint("halved");
    for (uint32_t index = half; index < pages.count; ++index) wrong += wrong_marks(pages.at(index), key_of(work, index, work.more));
    return wrong;
}

uint32_t descend(const Work& work) {
    uint32_t wrong = level(work, work.more, 0);
    checkpoint("top");
    return wrong;
}

uint32_t overflow(const Work& work) {
    const Pages& pages = work.pages;
    const uint32_t half = pages.count / 2;
    const Pages other{pages.end() + kPageBytes, half}, rest{pages.begin + half * kPageBytes, pages.count - half};
    map_private(pages);
    write_pages(pages, work.key);
    checkpoint("full");
    uint32_t wrong = wrong_marks(pages, work.key);
    munmap(pages.at(0), half * kPageBytes);
    map_private(other);
    write_pages(other, work.key + 1);
    checkpoint("again");
    wrong += wrong_marks(rest, work.key);
    return wrong + wrong_marks(other, work.key + 1);
}
