// Reclaim, as operations of a script: pages of numbered spaces leave and come back, and everything is compared with everything.
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frame_table.h"
#include "mm/reclaim/eviction.h"
#include "mm/reclaim/page_usage.h"
#include "mm/reclaim/policy.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap.h"
#include "mm/space/pageable.h"
#include "mm/space/pager.h"
#include "mm/space/swap_services.h"
#include "swap_device.h"

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address, numbered_spaces::space, numbered_spaces::range;

constexpr uint32_t kAbsent = 0, kPresent = 1, kSwapped = 2; ///< And, shifted by 8, the slot.

Result<Translation> seen_at(AddressSpace* target, VirtAddr page) { return page_table::translate(spaces::directory(target), page); }

uint32_t state_of(AddressSpace* target, VirtAddr page) {
    if (!seen_at(target, page).is_error()) return kPresent;
    const SwapSlot slot = spaces::swap_entry(target, page);
    return slot == SwapSlot(0) ? kAbsent : kSwapped | slot.value() << 8;
}

/// reclaim.out SPACE BEGIN PAGES: the present pages of the range leave, one by one; how many did
void out(Call& call) {
    AddressSpace* const target = space(call, 0);
    const AddressRange where = range(call, 1);
    uint32_t left = 0;
    for (VirtAddr page = where.begin; page < where.end; page = page + kPageSize) {
        const Result<Translation> seen = seen_at(target, page);
        if (seen.is_error()) continue;
        const FrameNumber frame = FrameNumber::containing(seen.value().address);
        if (frame_table::info(frame).use == FrameUse::Pageable) left += reclaim::take_page(frame);
    }
    call.reply({left});
}

/// reclaim.clean SPACE BEGIN PAGES: written, and still present; how many are clean
void clean(Call& call) {
    AddressSpace* const target = space(call, 0);
    const AddressRange where = range(call, 1);
    uint32_t cleaned = 0;
    for (VirtAddr page = where.begin; page < where.end; page = page + kPageSize) {
        const Result<Translation> seen = seen_at(target, page);
        if (!seen.is_error()) cleaned += page_usage::clean(FrameNumber::containing(seen.value().address));
    }
    call.reply({cleaned});
}

/// reclaim.states SPACE BEGIN PAGES: of each page
void states(Call& call) {
    constexpr size_t kMost = 64;
    uint32_t answers[kMost];
    AddressSpace* const target = space(call, 0);
    const AddressRange where = range(call, 1);
    if (where.pages() > kMost) harness::bad_script("too many pages", call.word(2));
    size_t count = 0;
    for (VirtAddr page = where.begin; page < where.end; page = page + kPageSize) answers[count++] = state_of(target, page);
    call.reply({answers, count});
}

/// reclaim.counters: safe points, wakeups, rooms made, victims, stayed, anonymous, shared, files
void counters(Call& call) {
    const reclaim::Counters& c = reclaim::counters();
    call.reply({c.safe_points, c.wakeups, c.made_room, c.victims, c.stayed, c.anonymous, c.shared, c.files});
}

/// reclaim.swapped: slots, free, copies, pages out, clean of these, in, hits, read ahead
void swapped(Call& call) {
    const swap::Statistics s = swap::statistics();
    call.reply({static_cast<uint32_t>(s.slots), static_cast<uint32_t>(s.free), static_cast<uint32_t>(s.copies), s.pages_out, s.clean_out,
                s.pages_in, s.cache_hits, s.read_ahead});
}

/// reclaim.take COUNT: pages leave as the policy says; how many frames that gave
void take(Call& call) { call.reply({static_cast<uint32_t>(reclaim::take_pages(call.number(0)))}); }

void take_one(Call& call) {
    const Result<FrameNumber> victim = reclaim::take_one();
    call.reply(victim.error(), {victim.value().value()});
}

void check(Call& call) { call.reply(reclaim::check_invariants()); }
void limit(Call& call) { reclaim::set_limit(call.number(0)); }
void torture(Call& call) { reclaim::set_torture(call.number(0)); }
void count(Call& call) { call.reply({static_cast<uint32_t>(policy::count())}); }
void split(Call& call) { call.reply({spaces::split_some_large_page()}); }
void safe_point(Call&) { pager::safe_point(); }
/// reclaim.faults RULES: the swap disk fails from now on (drivers/faulty_disk.h)
void faults(Call& call) { call.reply(set_swap_faults(call.count() == 0 ? "" : call.word(0))); }

HARNESS_VERB("reclaim.out", out);
HARNESS_VERB("reclaim.clean", clean);
HARNESS_VERB("reclaim.states", states);
HARNESS_VERB("reclaim.counters", counters);
HARNESS_VERB("reclaim.swapped", swapped);
HARNESS_VERB("reclaim.take", take);
HARNESS_VERB("reclaim.take_one", take_one);
HARNESS_VERB("reclaim.check", check);
HARNESS_VERB("reclaim.limit", limit);
HARNESS_VERB("reclaim.torture", torture);
HARNESS_VERB("reclaim.count", count);
HARNESS_VERB("reclaim.split", split);
HARNESS_VERB("reclaim.safe_point", safe_point);
HARNESS_VERB("reclaim.faults", faults);

} // namespace
