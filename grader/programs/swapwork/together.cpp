#include "../debug.h"
#include "members.h"
#include "work.h"

namespace {

// crowd

constexpr uint32_t kOnceMore = 4; ///< Pages: those that are read ahead with them, nobody looks at any more.

uint32_t one_of_a_crowd(const Work& work, Members& members) {
    const size_t all = work.more + 1;
    const Pages& pages = work.pages;
    const uint32_t key = work.key + members.me() * 2;
    map_private(pages);
    write_pages(pages, key);
    members.meet(all);
    members.meet(all); // the checkpoint is between the two
    uint32_t wrong = 0;
    for (uint32_t visit = pages.count; visit-- > 0;) {
        uint32_t* const page = pages.at(pages.index(visit));
        wrong += wrong_marks(page, key);
        if (pages.index(visit) % 2 == 0) write_page(page, key + 1);
    }
    members.meet(all);
    members.meet(all);
    for (uint32_t index = 0; index < pages.count; ++index) wrong += wrong_marks(pages.at(index), key + (index % 2 == 0));
    members.meet(all); // nobody has ended: the first pages are out again
    for (uint32_t index = 0; index < kOnceMore; ++index) wrong += wrong_marks(pages.at(index), key + (index % 2 == 0));
    return wrong;
}

// sort

constexpr size_t kRecordWords = 64;
constexpr size_t kRecordsPerPage = kWordsPerPage / kRecordWords;

/// The first two words are the order, the others follow from these.
struct Record {
    uint32_t words[kRecordWords];

    bool operator<(const Record& other) const {
        return words[0] != other.words[0] ? words[0] < other.words[0] : words[1] < other.words[1];
    }
    bool is_whole() const { return words[kRecordWords - 1] == mix(words[0] + words[1]); }
};

void swap_records(Record& one, Record& other) {
    const Record kept = one;
    one = other;
    other = kept;
}

/// Hoare's quicksort of [first, end); the smaller part first, so the recursion is shallow.
void quicksort(Record* first, Record* end) {
    while (end - first > 1) {
        const Record pivot = first[(end - first) / 2];
        Record *low = first, *high = end - 1;
        while (low <= high) {
            while (*low < pivot) ++low;
            while (pivot < *high) --high;
            if (low <= high) swap_records(*low++, *high--);
        }
        if (high + 1 - first < end - low) {
            quicksort(first, high + 1);
            first = low;
        } else {
            quicksort(low, end);
            end = high + 1;
        }
    }
}

struct Part {
    const Record *next, *end;
};

/// The part with the smallest record; null when all are used up.
Part* smallest(Part* parts, size_t count) {
    Part* best = nullptr;
    for (size_t i = 0; i < count; ++i) {
        if (parts[i].next != parts[i].end && (!best || *parts[i].next < *best->next)) best = &parts[i];
    }
    return best;
}

uint32_t merge(Part* parts, size_t count, Record* to) {
    uint32_t wrong = 0;
    while (Part* const part = smallest(parts, count)) {
        wrong += !part->next->is_whole();
        *to++ = *part->next++;
    }
    return wrong;
}

void write_records(Record* records, size_t count, uint32_t key) {
    for (size_t i = 0; i < count; ++i) {
        records[i].words[0] = mix(key + i);
        records[i].words[1] = i;
        records[i].words[kRecordWords - 1] = mix(records[i].words[0] + i);
    }
}

// family

/// What everybody does between two checkpoints.
uint32_t third(const Pages& pages, uint32_t remainder, uint32_t key) {
    uint32_t wrong = 0;
    for (uint32_t index = 0; index < pages.count; ++index) {
        if (index % 3 != remainder) continue;
        wrong += wrong_marks(pages.at(index), key);
        write_page(pages.at(index), key + 1 + remainder);
    }
    return wrong;
}

uint32_t wrong_after_thirds(const Pages& pages, uint32_t mine, uint32_t key) {
    uint32_t wrong = 0;
    for (uint32_t index = 0; index < pages.count; ++index)
        wrong += wrong_marks(pages.at(index), index % 3 == mine ? key + 1 + mine : key);
    return wrong;
}

/// Member 0 stops the machine; the others stand still meanwhile.
void stop_together(Members& members, const char* name, size_t all) {
    members.meet(all);
    if (members.me() == 0) checkpoint(name);
    members.meet(all);
}

/// Of three members the first two write; the last one leaves after that.
uint32_t member_of_family(const Work& work, Members& members) {
    const size_t me = members.me();
    stop_together(members, "forked", 3);
    uint32_t wrong = wrong_marks(work.pages, work.key);
    stop_together(members, "read", 3);
    if (me < 2) wrong += third(work.pages, me, work.key);
    stop_together(members, "apart", 3);
    if (me == 2) {
        members.leave();
        return wrong + wrong_marks(work.pages, work.key);
    }
    wrong += wrong_after_thirds(work.pages, me, work.key);
    stop_together(members, "left", 2);
    return wrong + wrong_after_thirds(work.pages, me, work.key);
}

} // namespace

uint32_t crowd(const Work& work) {
    Members members(work.pages.end() + kPageBytes);
    for (uint32_t i = 0; i < work.more; ++i) {
        if (members.add() == 0) exit(one_of_a_crowd(work, members) != 0);
    }
    stop_together(members, "filled", work.more + 1);
    stop_together(members, "worked", work.more + 1);
    members.meet(work.more + 1);
    return children_that_failed();
}

uint32_t sort(const Work& work) {
    const Pages& pages = work.pages;
    const Pages result{pages.end() + kPageBytes, pages.count};
    const size_t count = pages.count * kRecordsPerPage, in_part = count / work.more;
    map_shared(pages);
    Record* const records = reinterpret_cast<Record*>(pages.begin);
    write_records(records, count, work.key);
    Part parts[kMaxMembers];
    for (uint32_t i = 0; i < work.more; ++i) {
        Record* const first = records + i * in_part;
        Record* const end = i + 1 == work.more ? records + count : first + in_part;
        parts[i] = {first, end};
        if (fork() != 0) continue;
        quicksort(first, end);
        exit(0);
    }
    const uint32_t failed = children_that_failed();
    checkpoint("sorted");
    map_private(result);
    const uint32_t wrong = merge(parts, work.more, reinterpret_cast<Record*>(result.begin));
    checkpoint("merged");
    return failed + wrong;
}

uint32_t family(const Work& work) {
    Members members(work.pages.end() + kPageBytes);
    map_private(work.pages);
    write_pages(work.pages, work.key);
    for (int i = 0; i < 2; ++i) {
        if (members.add() == 0) exit(member_of_family(work, members) != 0);
    }
    const uint32_t wrong = member_of_family(work, members);
    return wrong + children_that_failed();
}
