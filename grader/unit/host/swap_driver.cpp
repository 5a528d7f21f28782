#include "host/swap_driver.h"

#include <algorithm>
#include <cstring>

#include "host/frames.h"
#include "host/paging.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/fault_services.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace host {

namespace bits = mm::entry_bits;
using mm::Pte;
using mm::SwapSlot;

namespace {

constexpr VirtAddr kBegin(0x4000'0000 + 77 * kPageSize);
constexpr uint32_t kOwn = bits::kPresent | bits::kWritable | bits::kUser | bits::kAccessed | bits::kDirty;
constexpr size_t kMostSpaces = 5, kMostThings = 6;
const mm::Area kArea{.range = {kBegin, kBegin + SwapDriver::kPages * kPageSize}, .protection = {true, true, false}};

std::set<uint32_t> pageable; ///< Frames that some space has shown.

void last_reference_goes(FrameNumber frame) {
    if (pageable.erase(frame.value()) == 0) return;
    mm::swap::forget(frame);
    mm::reverse_map::set_dirtied(frame, false);
}

bool is_filled(FrameNumber frame, uint32_t word) {
    const mm::FrameMemory memory = mm::frame_memory(frame);
    const uint32_t* const words = memory.as<uint32_t>();
    return words[0] == word && memcmp(words, words + 1, kPageSize - sizeof(uint32_t)) == 0; // each is as the one before
}

FrameNumber new_frame() { return mm::frames::allocate(mm::Zone::High, mm::Contents::Unspecified).value(); }

/// While it lives, so many frames can be had.
struct Allowance {
    explicit Allowance(size_t frames) {
        if (frames != SIZE_MAX) mm::frames::fail_after(frames);
    }
    ~Allowance() { mm::frames::fail_never(); }
};

} // namespace

SwapDriver::SwapDriver(Source& source, std::string what, uint32_t slots, std::set<uint32_t> bad) : source_(source), journal_(std::move(what)) {
    make_swap_area(slots, std::move(bad));
    load_directory(mm::kernel_directory());
    on_last_release(last_reference_goes);
    journal_.call("initialize()");
    journal_.require(!mm::swap::initialize().is_error(), "initialize() has memory, and fails");
    frames_at_start_ = mm::frames::in_use();
    check();
}

// --- Spaces ----------------------------------------------------------------------------------------------------------------

VirtAddr SwapDriver::address(size_t page) { return kBegin + static_cast<uint32_t>(page * kPageSize); }
uint32_t* SwapDriver::place(size_t number, size_t page) const { return entry_of(*spaces_.at(number), address(page)); }
Pte SwapDriver::entry(size_t number, size_t page) const { return Pte::from_word(*place(number, page)); }

void SwapDriver::set_known() {
    std::vector<mm::AddressSpace*> all;
    for (const auto& [number, space] : spaces_) all.push_back(space.get());
    set_known_spaces(std::move(all), kBegin, kPages);
}

size_t SwapDriver::create() {
    auto& made = spaces_[next_space_] = std::make_unique<mm::AddressSpace>();
    made->areas.list = {kArea};
    journal_.require(!mm::spaces::page_table_for(made.get(), kBegin).is_error(), "the test has no memory for a page table");
    set_known();
    return next_space_++;
}

size_t SwapDriver::fork(size_t parent) {
    const size_t child = create();
    journal_.call("space ", parent, " forks space ", child);
    for (size_t page = 0; page < kPages; ++page) {
        uint32_t& from = *place(parent, page);
        const Pte shown = Pte::from_word(from);
        if (shown.is_empty()) continue;
        words_[{child, page}] = words_.at({parent, page});
        if (shown.is_swapped()) {
            mm::swap::share(shown.slot());
            ++space(child).swapped;
        } else {
            mm::frames::share(shown.frame());
            if (shown.is_dirty()) mm::reverse_map::set_dirtied(shown.frame(), true);
            from &= ~bits::kWritable;
            mm::tlb::invalidate_page(address(page));
            ++space(child).resident;
        }
        *place(child, page) = from & ~(shown.is_present() ? bits::kDirty | bits::kAccessed : 0);
    }
    check();
    return child;
}

void SwapDriver::forget_page(size_t number, size_t page) {
    const Pte shown = entry(number, page);
    *place(number, page) = 0;
    words_.erase({number, page});
    if (number == active_) mm::tlb::invalidate_page(address(page));
    if (shown.is_swapped()) {
        --space(number).swapped;
        mm::swap::release(shown.slot());
    } else if (shown.is_present()) {
        --space(number).resident;
        if (shown.is_dirty()) mm::reverse_map::set_dirtied(shown.frame(), true);
        journal_.require(!mm::frames::release(shown.frame()).is_error(), "space ", number, " shows ", shown.frame(), ", and has no reference of it");
    }
}

void SwapDriver::destroy(size_t number) {
    journal_.call("space ", number, " goes");
    if (active_ == number) activate(kNone);
    for (size_t page = 0; page < kPages; ++page) forget_page(number, page);
    journal_.require(space(number).resident == 0 && space(number).swapped == 0, "all pages of space ", number, " are gone, and it counts ", space(number).resident,
                     " present and ", space(number).swapped, " swapped");
    spaces_.erase(number);
    set_known();
    check();
}

void SwapDriver::activate(size_t number) {
    active_ = number;
    load_directory(number == kNone ? mm::kernel_directory() : space(number).directory);
}

void SwapDriver::unmap(size_t number, size_t page) {
    journal_.call("space ", number, " unmaps page ", page);
    forget_page(number, page);
    check();
}

void SwapDriver::bring(size_t number, size_t page) {
    if (!entry(number, page).is_swapped()) return;
    journal_.require(in(number, page) == Error::None, "swap_in() has all it needs, and fails");
}

void SwapDriver::load(size_t number, size_t first, size_t count) {
    for (size_t page = first; page < first + count; ++page) {
        bring(number, page);
        if (number == active_ && entry(number, page).is_present()) touch(address(page));
    }
}

void SwapDriver::store(size_t number, size_t first, size_t count) {
    for (size_t page = first; page < first + count; ++page) {
        bring(number, page);
        journal_.call("space ", number, " writes to page ", page);
        uint32_t& word = *place(number, page);
        const Pte shown = Pte::from_word(word);
        const bool is_alone = shown.is_present() && mm::frame_table::info(shown.frame()).references == 1;
        journal_.require(!shown.is_present() || !(word & bits::kWritable) || is_alone, "page ", page, " of space ", number, " may be written, and others have its frame");
        const FrameNumber frame = is_alone ? shown.frame() : new_frame();
        word = frame.address().value() | kOwn;
        pageable.insert(frame.value());
        if (shown.is_empty()) ++space(number).resident;
        else if (!is_alone) journal_.require(!mm::frames::release(shown.frame()).is_error(), "a copy was made of ", shown.frame(), ", which nobody has");
        mm::fill_frame(frame, words_[{number, page}] = static_cast<uint32_t>(source_.word()) | 1);
        if (number == active_) {
            mm::tlb::invalidate_page(address(page));
            touch(address(page));
        }
    }
    check();
}

// --- The piece -------------------------------------------------------------------------------------------------------------

size_t SwapDriver::out(size_t number, size_t first, size_t count) {
    std::vector<FrameNumber> frames;
    for (size_t page = first; page < first + count; ++page) {
        const Pte shown = entry(number, page);
        if (shown.is_present() && std::ranges::find(frames, shown.frame()) == frames.end()) frames.push_back(shown.frame());
    }
    return out(frames);
}

size_t SwapDriver::out(const std::vector<FrameNumber>& frames) {
    journal_.call("swap_out(", frames.size(), " frames)");
    const size_t done = mm::swap::swap_out(frames);
    journal_.answer(done);
    journal_.require(done <= frames.size(), "swap_out() says that more pages are out than it got");
    check();
    return done;
}

Error SwapDriver::in(size_t number, size_t page, size_t frames) {
    journal_.call("swap_in(space ", number, ", page ", page, ")");
    const Pte before = entry(number, page);
    const Result<void> done = [&] {
        const Allowance allowance(frames);
        return mm::swap::swap_in(&space(number), kArea, address(page));
    }();
    journal_.answer(done.error());
    const Pte now = entry(number, page);
    journal_.require(done.is_error() ? now.word() == before.word() : now.is_present(), "swap_in() answers ", done.error(), ", and the entry says otherwise");
    if (!done.is_error()) {
        pageable.insert(now.frame().value());
        const bool may_write = mm::frame_table::info(now.frame()).references == 1;
        journal_.require(((now.word() & bits::kWritable) != 0) == may_write, "page ", page, " of space ", number, " is ", may_write ? "its own, and read-only" : "others' as well, and writable");
    }
    check();
    return done.error();
}

Error SwapDriver::clean(size_t number, size_t page) {
    journal_.call("clean(space ", number, ", page ", page, ")");
    const FrameNumber frame = this->frame(number, page);
    const Result<void> done = mm::swap::clean(frame);
    journal_.answer(done.error());
    if (!done.is_error()) {
        mm::reverse_map::set_dirtied(frame, false);
        mm::reverse_map::for_each(frame, [](const mm::Mapping& mapping) { *mapping.entry = Pte::from_word(mapping.entry->word() & ~bits::kDirty); });
        journal_.require(mm::swap::slot_of(frame) != SwapSlot(0), "a page that was written ahead is the copy of a slot, and slot_of() says of none");
    }
    check();
    return done.error();
}

size_t SwapDriver::shrink(size_t count) {
    journal_.call("shrink(", count, ")");
    const size_t before = mm::frames::in_use(), given = mm::swap::shrink(count);
    journal_.answer(given);
    journal_.require(given <= count && before - mm::frames::in_use() == given, "shrink() says that it has given back ", given, " frames, and it were ", before - mm::frames::in_use());
    check();
    return given;
}

size_t SwapDriver::make_thing() {
    const SwapThing made{static_cast<uint32_t>(source_.word()) | 1, new_frame(), SwapSlot(0)};
    mm::fill_frame(made.frame, made.word);
    things_[next_thing_] = made;
    return next_thing_++;
}

Error SwapDriver::store_thing(size_t number, bool changed) {
    SwapThing& thing = things_.at(number);
    journal_.call("store(thing ", number, ")");
    const Result<SwapSlot> slot = mm::swap::store(thing.frame, changed);
    journal_.answer(slot.error());
    if (!slot.is_error()) {
        thing.slot = slot.value();
        journal_.require(!mm::frames::release(thing.frame).is_error(), "store() has taken the caller's reference");
    }
    check();
    return slot.error();
}

Error SwapDriver::load_thing(size_t number, size_t frames) {
    SwapThing& thing = things_.at(number);
    journal_.call("load(thing ", number, ")");
    const Result<FrameNumber> frame = [&] {
        const Allowance allowance(frames);
        return mm::swap::load(thing.slot);
    }();
    journal_.answer(frame.error());
    if (!frame.is_error()) thing = {thing.word, frame.value(), SwapSlot(0)};
    check();
    return frame.error();
}

size_t SwapDriver::share_thing(size_t number) {
    const SwapThing& thing = things_[next_thing_] = things_.at(number);
    if (thing.slot != SwapSlot(0)) mm::swap::share(thing.slot);
    else mm::frames::share(thing.frame);
    check();
    return next_thing_++;
}

void SwapDriver::release_thing(size_t number) {
    const SwapThing thing = things_.at(number);
    journal_.call("thing ", number, " goes");
    things_.erase(number);
    if (thing.slot != SwapSlot(0)) {
        mm::swap::release(thing.slot);
    } else {
        if (mm::frame_table::info(thing.frame).references == 1) mm::swap::forget(thing.frame);
        journal_.require(!mm::frames::release(thing.frame).is_error(), "a thing has no reference of its frame");
    }
    check();
}

// --- Comparing -------------------------------------------------------------------------------------------------------------

void SwapDriver::add_word(std::map<uint32_t, Count>& counts, uint32_t at, uint32_t word, const char* what) const {
    Count& count = counts[at];
    journal_.require(count.entries == 0 || count.word == word, what, " ", at, " is said to hold two different pages");
    count.word = word;
    ++count.entries;
}

void SwapDriver::check() {
    ++checks_;
    std::map<uint32_t, Count> slots, frames;
    for (const auto& [number, space] : spaces_) {
        size_t present = 0, swapped = 0;
        for (size_t page = 0; page < kPages; ++page) {
            const Pte shown = entry(number, page);
            const auto word = words_.find({number, page});
            journal_.require(shown.is_empty() == (word == words_.end()), "page ", page, " of space ", number, " has the entry ", shown.word());
            if (shown.is_empty()) continue;
            ++(shown.is_present() ? present : swapped);
            if (shown.is_present()) add_word(frames, shown.frame().value(), word->second, "frame");
            else add_word(slots, shown.slot().value(), word->second, "slot");
        }
        journal_.require(space->resident == present && space->swapped == swapped, "space ", number, " has ", present, " pages present and ", swapped, " swapped, and counts ",
                         space->resident, " and ", space->swapped);
    }
    for (const auto& [number, thing] : things_) {
        if (thing.slot == SwapSlot(0)) add_word(frames, thing.frame.value(), thing.word, "frame");
        else add_word(slots, thing.slot.value(), thing.word, "slot");
    }
    check_slots(slots, frames);
    check_frames(frames);
    check_tlb();
}

/// The piece's books beside the entries. Adds the reference that entries own to the frames.
void SwapDriver::check_slots(const std::map<uint32_t, Count>& slots, std::map<uint32_t, Count>& frames) {
    std::map<uint32_t, uint32_t> copies;
    for (uint32_t frame = 0; frame < mm::frame_table::frame_count(); ++frame) {
        if (mm::frame_table::info(FrameNumber(frame)).use != mm::FrameUse::Allocated && (frame + checks_) % 16 != 0) continue; // free ones in turns
        const uint32_t slot = mm::swap::slot_of(FrameNumber(frame)).value();
        if (slot == 0) continue;
        journal_.require(copies.emplace(slot, frame).second, "slot ", slot, " has two copies");
        journal_.require(mm::swap::holds(FrameNumber(frame)) == slots.contains(slot), "holds(", FrameNumber(frame), ") is wrong: slot ", slot, " has ", slots.contains(slot) ? "" : "no ", "entries");
        if (slots.contains(slot)) add_word(frames, frame, slots.at(slot).word, "frame");
        else journal_.require(frames.contains(frame), FrameNumber(frame), " is said to be the copy of slot ", slot, ", and nobody has it");
    }
    for (uint32_t slot = 1; slot < mm::swap_area::slots(); ++slot) {
        const uint32_t wanted = slots.contains(slot) ? slots.at(slot).entries : 0;
        journal_.require(mm::swap::entries(SwapSlot(slot)) == wanted, "slot ", slot, " has ", wanted, " entries, and entries() says ", mm::swap::entries(SwapSlot(slot)));
    }
    for (const auto& [slot, count] : slots) {
        journal_.require(slot > 0 && slot < mm::swap_area::slots() && !mm::swap_area::is_bad(SwapSlot(slot)), "a page is said to lie in slot ", slot);
        journal_.require(slot_holds(slot, count.word), "slot ", slot, " does not hold what its page held");
    }
    size_t used = slots.size();
    for (const auto& [slot, frame] : copies) used += !slots.contains(slot);
    const mm::swap::Statistics figures = mm::swap::statistics();
    journal_.require(figures.copies == copies.size(), copies.size(), " slots have copies, and statistics() says ", figures.copies);
    journal_.require(figures.slots - figures.free == used, used, " slots are in use, and statistics() says ", figures.slots, " less ", figures.free);
}

void SwapDriver::check_frames(const std::map<uint32_t, Count>& frames) const {
    for (const auto& [frame, count] : frames) {
        const uint32_t seen = mm::frame_table::info(FrameNumber(frame)).references;
        journal_.require(seen == count.entries, FrameNumber(frame), " has ", count.entries, " owners, and ", seen, " references");
        journal_.require(is_filled(FrameNumber(frame), count.word), FrameNumber(frame), " does not hold what its page held");
    }
    const size_t wanted = frames_at_start_ + 2 * spaces_.size() + frames.size();
    journal_.require(mm::frames::in_use() == wanted, wanted, " frames are somebody's, and ", mm::frames::in_use(), " are in use");
}

void SwapDriver::check_tlb() const {
    if (active_ == kNone) return;
    for (const auto& [page, cached] : remembered()) {
        if (page < mm::kUserBegin || page >= mm::kUserEnd) continue;
        const Cached now = walk(spaces_.at(active_)->directory, VirtAddr(page));
        const bool is_same = is_present(now) && now.pte / kPageSize == cached.pte / kPageSize && !(cached.pte & ~now.pte & bits::kWritable);
        journal_.require(is_same, "the TLB still leads from ", VirtAddr(page), " to ", FrameNumber(cached.pte / kPageSize), ", and the page tables do not");
    }
}

// --- Histories -------------------------------------------------------------------------------------------------------------

void SwapDriver::step() {
    if (spaces_.empty()) store(create(), 0, kPages / 2);
    auto one = spaces_.begin();
    std::advance(one, source_.below(spaces_.size()));
    const size_t number = one->first, page = source_.below(kPages), count = source_.between(1, std::min<size_t>(9, kPages - page));
    switch (source_.below(14)) {
    case 0:
        if (spaces_.size() < kMostSpaces) fork(number);
        return;
    case 1: return source_.one_in(2) ? destroy(number) : activate(number);
    case 2: return unmap(number, page);
    case 3:
        if (entry(number, page).is_present() && entry(number, page).is_dirty()) (void)clean(number, page);
        return;
    case 4:
        (void)shrink(source_.below(5));
        return;
    case 5:
        if (things_.size() < kMostThings) (void)store_thing(make_thing(), true);
        return;
    case 6:
        if (things_.empty()) return;
        if (things_.begin()->second.slot != SwapSlot(0)) (void)load_thing(things_.begin()->first, source_.one_in(4) ? source_.below(3) : SIZE_MAX);
        else release_thing(things_.begin()->first);
        return;
    case 7:
        if (entry(number, page).is_swapped()) (void)in(number, page, source_.below(4));
        return;
    case 8:
        disk_faults().writes = source_.one_in(3) ? std::set{static_cast<uint32_t>(1 + source_.below(mm::swap_area::slots() - 1))} : std::set<uint32_t>{};
        (void)out(number, page, count);
        disk_faults().writes.clear();
        return;
    case 9:
    case 10: return store(number, page, count);
    case 11: return load(number, page, count);
    default: (void)out(number, page, count);
    }
}

void SwapDriver::finish() {
    while (!spaces_.empty()) destroy(spaces_.begin()->first);
    while (!things_.empty()) release_thing(things_.begin()->first);
    const mm::swap::Statistics figures = mm::swap::statistics();
    journal_.require(figures.free == figures.slots, "everybody is gone, and ", figures.slots - figures.free, " slots are in use");
}

} // namespace host
