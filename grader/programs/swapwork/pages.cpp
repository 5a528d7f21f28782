#include "pages.h"

namespace {

constexpr uint32_t kRights = abi::PROT_READ | abi::PROT_WRITE;

/// Where mark `number` lies in a page, in words.
size_t place(const uint32_t* page, size_t number) {
    const uint32_t address = system_call::word(page);
    return number * kWordsPerMark + mix(address + number) % kWordsPerMark;
}

uint32_t mark(const uint32_t* page, size_t number, uint32_t key) { return mix(system_call::word(page) + number + key * 16); }

} // namespace

void map_private(const Pages& pages) {
    void* const begin = reinterpret_cast<void*>(pages.begin);
    if (mmap(begin, pages.count * kPageBytes, kRights, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS | abi::MAP_FIXED_NOREPLACE) != begin) exit(90);
}

void map_shared(const Pages& pages) {
    void* const begin = reinterpret_cast<void*>(pages.begin);
    if (attach_shared(create_shared(pages.count * kPageBytes), begin, kRights) != begin) exit(91);
}

void write_page(uint32_t* page, uint32_t key) {
    for (size_t i = 0; i < kMarks; ++i) page[place(page, i)] = mark(page, i, key);
}

uint32_t wrong_marks(const uint32_t* page, uint32_t key) {
    uint32_t wrong = 0;
    for (size_t i = 0; i < kMarks; ++i) wrong += page[place(page, i)] != mark(page, i, key);
    return wrong;
}

uint32_t* free_word(uint32_t* page) { return page + (place(page, 0) == 0); }

void write_pages(const Pages& pages, uint32_t key) {
    for (uint32_t visit = 0; visit < pages.count; ++visit) write_page(pages.at(pages.index(visit)), key);
}

uint32_t wrong_marks(const Pages& pages, uint32_t key) {
    uint32_t wrong = 0;
    for (uint32_t visit = 0; visit < pages.count; ++visit) wrong += wrong_marks(pages.at(pages.index(visit)), key);
    return wrong;
}
