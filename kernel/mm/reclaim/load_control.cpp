#include "mm/reclaim/load_control.h"

#include <algorithm>
#include <cstddef>

#include "arch/cpu.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_table.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap_area.h"
#include "mm/reclaim/usage_notes.h"
#include "mm/space/present_pages.h"
#include "mm/space/reverse_map.h"

namespace mm::load_control {

constinit uint32_t held = 0;

namespace {

constexpr uint32_t kMillion = 1'000'000;
constexpr uint32_t kLongSample = UINT32_MAX / 2;  ///< CPU ticks: the first sample, or a machine that was stopped.

constinit Hooks hooks{};
constinit bool initialized = false;
constinit bool on = false;
constinit uint32_t overloads_in_a_row = 0;
constinit uint32_t swap_ins_before = 0;  ///< Of all spaces, up to the last sample.
constinit Counters counts;

template <typename Visit>
void for_each_space(Visit visit) {
    for (AddressSpace* space = spaces::first_space(); space; space = spaces::next_space(space)) visit(*space);
}

// Measuring.

/// Pages of one page table that were used since this was last asked.
size_t count_used(const FrameMemory& table) {
    size_t used = 0;
    for (Pte* entry = table.as<Pte>(); entry < table.as<Pte>() + kPagesPerLargePage; ++entry) {
        if (!entry->is_present() || frame_table::info(entry->frame()).use != FrameUse::Pageable) continue;
        used += usage_notes::take_for_sample(*entry);
    }
    return used;
}

size_t count_used(AddressSpace& space) {
    size_t used = 0;
    const PageDirectory directory = spaces::directory(&space);
    for (VirtAddr slot(kUserBegin); slot < VirtAddr(kUserEnd); slot = slot + kLargePageSize) {
        const Pde pde = spaces::directory_entry(directory, slot);
        if (pde.is_table()) used += count_used(frame_memory(pde.frame()));
    }
    if (directory == active_directory()) tlb::flush(); // else the CPU does not set the bits again
    return used;
}

void begin_window(AddressSpace& space) {
    LoadNotes& notes = spaces::load_notes(&space);
    notes.window_time = 0;
    notes.swap_ins_before = notes.swap_ins;
    notes.left = 0;
}

void end_window(AddressSpace& space) {
    LoadNotes& notes = spaces::load_notes(&space);
    notes.working_set = std::min(count_used(space) + notes.left, spaces::present_and_swapped(&space));
    notes.fault_rate = (notes.swap_ins - notes.swap_ins_before) * kMillion / notes.window_time;
    begin_window(space);
}

/// CPU ticks in a timer tick since the last sample, without those that the swap area's disk took.
uint32_t useful_ticks(uint32_t now) {
    static constinit uint32_t last_sample = 0;
    static constinit uint64_t last_ticks = 0, last_disk = 0;
    const uint64_t ticks = Cpu::ticks(), disk = swap_area::statistics().ticks;
    const uint32_t since = static_cast<uint32_t>(std::min<uint64_t>(ticks - last_ticks, kLongSample));
    const uint32_t of_disk = static_cast<uint32_t>(std::min<uint64_t>(disk - last_disk, since));
    const uint32_t timer_ticks = std::max<uint32_t>(now - last_sample, 1);
    last_sample = now;
    last_ticks = ticks;
    last_disk = disk;
    return (since - of_disk) / timer_ticks;
}

void measure(AddressSpace& space, uint32_t useful) {
    LoadNotes& notes = spaces::load_notes(&space);
    const uint32_t time = spaces::virtual_time(&space);
    notes.window_time += (time - notes.last_time) * useful;
    notes.last_time = time;
    if (notes.window_time >= kWindow) end_window(space);
}

uint32_t swap_ins() {
    uint32_t sum = 0;
    for_each_space([&](AddressSpace& space) { sum += spaces::load_notes(&space).swap_ins; });
    const uint32_t since = sum - swap_ins_before;
    swap_ins_before = sum;
    return since < UINT32_MAX / 2 ? since : 0; // a space that has gone has taken its share with it
}

// Deciding.

uint32_t time_of_turn(const AddressSpace& space, uint32_t now) { return now - spaces::load_notes(&space).turn_begin; }

struct Spaces {
    size_t running = 0;                  ///< That want to run, and may.
    AddressSpace* longest_turn = nullptr;  ///< Of those that may be held.
    AddressSpace* longest_hold = nullptr;
    uint32_t demand = 0;
};

Spaces look(uint32_t now) {
    Spaces all;
    held = 0;
    for_each_space([&](AddressSpace& space) {
        LoadNotes& notes = spaces::load_notes(&space);
        if (notes.turn_begin == 0) notes.turn_begin = now;
        if (notes.is_held) {
            ++held;
            if (!all.longest_hold || time_of_turn(space, now) > time_of_turn(*all.longest_hold, now)) all.longest_hold = &space;
        } else if (hooks.wants_to_run(&space)) {
            ++all.running;
            all.demand += notes.working_set;
            const bool is_longer = !all.longest_turn || time_of_turn(space, now) > time_of_turn(*all.longest_turn, now);
            if (is_longer && hooks.may_hold(&space)) all.longest_turn = &space;
        }
    });
    return all;
}

void hold(AddressSpace& space, uint32_t now) {
    LoadNotes& notes = spaces::load_notes(&space);
    notes.is_held = true;
    ++held;
    notes.turn_begin = now;
    ++notes.holds;
    ++counts.holds;
    overloads_in_a_row = 0;
}

void let_go(AddressSpace& space, uint32_t now) {
    LoadNotes& notes = spaces::load_notes(&space);
    notes.is_held = false;
    notes.turn_begin = now;
    begin_window(space); // its old pages say nothing about what it will use now
    hooks.let_go(&space);
    overloads_in_a_row = 0;
}

/// Its turn has come, and who has had the longest makes room.
void exchange(AddressSpace& next, AddressSpace* last, uint32_t now) {
    if (last) hold(*last, now);
    let_go(next, now);
    ++counts.turns;
}

/// Somebody held may go on, if there is room now or he has waited long enough.
bool let_somebody_go(const Spaces& all, uint32_t now) {
    AddressSpace* const space = all.longest_hold;
    if (!space) return false;
    const bool fits = all.demand + spaces::load_notes(space).working_set <= counts.capacity * 9 / 10;
    if (fits || all.running == 0) {
        let_go(*space, now);
        ++counts.releases;
        return true;
    }
    if (time_of_turn(*space, now) < kLongestHold) return false;
    exchange(*space, all.longest_turn, now);
    return true;
}

void decide(uint32_t now) {
    const Spaces all = look(now);
    const bool is_busy = swap_ins() >= kBusySwapIns;
    counts.demand = all.demand;
    counts.capacity = reclaim::frames_for_pages();
    const bool is_overloaded = is_busy && all.demand > counts.capacity;
    counts.overloads += is_overloaded;
    overloads_in_a_row = is_overloaded ? overloads_in_a_row + 1 : 0;
    if (let_somebody_go(all, now)) return;
    const bool may_hold = all.longest_turn && all.running >= 2 && time_of_turn(*all.longest_turn, now) >= kShortestTurn;
    if (overloads_in_a_row >= kPatience && may_hold) hold(*all.longest_turn, now);
}

} // namespace

void initialize(const Hooks& given) {
    hooks = given;
    initialized = on = true;
}

bool is_initialized() { return initialized; }

void set_on(bool wanted) {
    on = initialized && wanted;
    if (on) return;
    for_each_space([](AddressSpace& space) {
        if (is_held(&space)) let_go(space, spaces::load_notes(&space).turn_begin);
    });
    held = 0;
}

bool is_on() { return on; }

void sample(uint32_t now) {
    if (!on) return;
    ++counts.samples;
    const uint32_t useful = useful_ticks(now);
    for_each_space([=](AddressSpace& space) { measure(space, useful); });
    decide(now);
}

void note_leaving(FrameNumber frame) {
    if (!on) return;
    reverse_map::for_each(frame, [](const Mapping& mapping) {
        spaces::load_notes(mapping.space).left += usage_notes::is_used_in_sample(*mapping.entry);
    });
}

const Counters& counters() { return counts; }

} // namespace mm::load_control
