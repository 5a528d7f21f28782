// Operations for `make bench`: what it costs to take a page out of memory and to bring it back, without the time of the disk itself; and
// what a search for a victim costs when every page was used.

#include <cstddef>
#include <cstdint>

#include "arch/cpu.h"
#include "guest/bench_samples.h"
#include "guest/harness.h"
#include "lib/panic.h"
#include "lib/text.h"
#include "mm/reclaim/policy.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/address_space.h"
#include "mm/space/user_memory.h"

namespace {

using harness::Call;
using namespace mm;

constinit bench::Samples samples;

/// Pages of one area: fewer than 4 MiB, so that none of them is large.
constexpr uint32_t kAreaPages = 768;
constexpr size_t kMaxAreas = 512;

/// A space with many resident pages, active while the operation runs.
class Pages {
public:
    explicit Pages(uint32_t count) : count_(count) {
        const Result<AddressSpace*> made = spaces::create(1, {});
        if (made.is_error()) harness::bad_script("no memory for a space", "bench");
        space_ = made.value();
        for (size_t i = 0; i * kAreaPages < count; ++i) {
            MapRequest request;
            request.pages = kAreaPages;
            request.protection = {.read = true, .write = true};
            const Result<VirtAddr> begin = spaces::map(space_, request);
            if (begin.is_error()) harness::bad_script("no room for an area", "bench");
            begins_[i] = begin.value();
        }
        spaces::activate(space_);
        write_all();
    }
    ~Pages() {
        spaces::activate(nullptr);
        spaces::destroy(space_);
    }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    VirtAddr at(uint32_t page) const { return begins_[page / kAreaPages] + page % kAreaPages * kPageSize; }
    uint32_t count() const { return count_; }
    void write(uint32_t page) {
        if (write_user(at(page), page).is_error()) harness::bad_script("a page cannot be written", "bench");
    }
    void read(uint32_t page) {
        if (read_user<uint32_t>(at(page)).is_error()) harness::bad_script("a page cannot be read", "bench");
    }
    void write_all() {
        for (uint32_t page = 0; page < count_; ++page) write(page);
    }

private:
    AddressSpace* space_;
    uint32_t count_;
    static inline constinit VirtAddr begins_[kMaxAreas] = {};
};

/// Ticks of `work` without those that the swap area's disk took.
template <typename Work>
uint64_t without_disk(Work work) {
    const uint64_t disk = swap_area::statistics().ticks;
    const uint64_t begin = Cpu::ticks();
    work();
    const uint64_t all = Cpu::ticks() - begin - bench::clock_overhead();
    return all - (swap_area::statistics().ticks - disk);
}

void take_one() { KASSERT("a page can leave", !reclaim::take_one().is_error()); }

void reply(Call& call) { call.reply({samples.median(), samples.worst()}); }

/// Every page leaves, one by one; `again` is done to each after it has come back.
template <typename Again>
void out(Call& call, Again again) {
    KASSERT("the policy begins", !policy::initialize(policy::Kind::Fifo).is_error());
    Pages pages(call.number(1));
    for (int round = 0; round < 2; ++round) {
        samples.clear();
        for (uint32_t i = 0; i < pages.count(); ++i) samples.add(without_disk(take_one));
        for (uint32_t i = 0; i < pages.count(); ++i) again(pages, i);
    }
    reply(call);
}

void dirty_out(Call& call) {
    out(call, [](Pages& pages, uint32_t page) { pages.write(page); });
}

/// In the second round the slots have the contents still.
void clean_out(Call& call) {
    out(call, [](Pages& pages, uint32_t page) { pages.read(page); });
}

/// Pages leave in batches of eight, which are written at once: ticks for each.
void batch_out(Call& call) {
    KASSERT("the policy begins", !policy::initialize(policy::Kind::Fifo).is_error());
    Pages pages(call.number(1));
    samples.clear();
    for (uint32_t i = 0; i + reclaim::kBatch <= pages.count(); i += reclaim::kBatch)
        samples.add(without_disk([] { KASSERT("pages can leave", reclaim::take_pages(reclaim::kBatch) == reclaim::kBatch); }) / reclaim::kBatch);
    reply(call);
}

/// Pages come back in the order `next` says. `counts` says whether a fault is measured.
template <typename Next, typename Counts>
void in(Call& call, Next next, Counts counts) {
    KASSERT("the policy begins", !policy::initialize(policy::Kind::Fifo).is_error());
    Pages pages(call.number(1));
    for (uint32_t i = 0; i < pages.count(); ++i) take_one();
    samples.clear();
    for (uint32_t i = 0; i < pages.count(); ++i) {
        const uint32_t hits = swap::statistics().cache_hits;
        const uint64_t ticks = without_disk([&] { pages.read(next(i, pages.count())); });
        if (counts(swap::statistics().cache_hits != hits)) samples.add(ticks);
    }
    reply(call);
}

uint32_t in_order(uint32_t i, uint32_t) { return i; }
/// No two that lie in one block come near each other: one page of each block, then the next of each.
uint32_t far_apart(uint32_t i, uint32_t count) {
    const uint32_t blocks = count / swap::kCluster;
    return i / blocks % swap::kCluster + i % blocks * swap::kCluster;
}

void in_from_copy(Call& call) { in(call, in_order, [](bool is_hit) { return is_hit; }); }
void in_with_neighbours(Call& call) { in(call, in_order, [](bool is_hit) { return !is_hit; }); }
void in_mean(Call& call) { in(call, far_apart, [](bool) { return true; }); }

/// A search when every page was used: the whole circle, for each page. Then one more, when nobody has used any for a while.
template <policy::Kind kKind>
void scan(Call& call) {
    KASSERT("the policy begins", !policy::initialize(kKind).is_error());
    Pages pages(call.number(1));
    if (kKind == policy::Kind::Aging) policy::tick();
    const uint64_t first = without_disk([] { KASSERT("there is a victim", !policy::choose_victim().is_error()); });
    take_one();
    spaces::add_virtual_time(spaces::active(), policy::kWorkingSetWindow + 1); // for the working set: all are old now
    const uint64_t second = without_disk([] { KASSERT("there is a victim", !policy::choose_victim().is_error()); });
    call.reply({static_cast<uint32_t>(first / pages.count()), static_cast<uint32_t>(second)});
}

struct Operation {
    const char* name;
    void (*perform)(Call& call);
};

constexpr Operation kOperations[] = {
    {"dirty-out", dirty_out}, {"clean-out", clean_out}, {"batch-out", batch_out}, {"in-from-copy", in_from_copy},
    {"in-with-neighbours", in_with_neighbours}, {"in-mean", in_mean}, {"scan-fifo", scan<policy::Kind::Fifo>},
    {"scan-clock", scan<policy::Kind::Clock>}, {"scan-aging", scan<policy::Kind::Aging>}, {"scan-two-lists", scan<policy::Kind::TwoLists>},
    {"scan-working-set", scan<policy::Kind::WorkingSet>},
};

/// bench.swap OPERATION PAGES -> ticks: median, worst. Of a scan: for each page of the circle, and of a search without one.
void perform(Call& call) {
    for (const Operation& operation : kOperations) {
        if (text_equal(operation.name, call.word(0))) return operation.perform(call);
    }
    harness::bad_script("nothing to measure", call.word(0));
}

HARNESS_VERB("bench.swap", perform);

} // namespace
