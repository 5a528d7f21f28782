// The swap area's slots, as operations of a script: the piece of lab 09-swap at work on numbered spaces, and on pages that no space has.
#include <algorithm>
#include <array>

#include "drivers/faulty_disk.h"
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "guest/slot_view.h"
#include "lib/format.h"
#include "mm/heap/slab.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/page_usage.h"
#include "mm/reclaim/swap.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/fault_services.h"
#include "mm/space/swap_services.h"
#include "mm/space/user_memory.h"
#include "swap_device.h"

namespace slot_guest {
HARNESS_DATA View view;
}

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address, numbered_spaces::space;
using slot_guest::kPages, slot_guest::kPicked;

/// What went over the disk during an operation, and how many frames more are in use.
class Meanwhile {
public:
    /// With `frames` given as argument i, no more than so many can be had.
    explicit Meanwhile(Call& call, size_t i = SIZE_MAX) : call_(call) {
        if (i < call.count()) frames::fail_after(call.number(i));
        call.enter_piece();
    }
    void piece_is_done() {
        call_.leave_piece();
        frames::fail_never();
    }
    /// The result, commands that read and wrote, pages of both, errors of both, frames; then `more`.
    void reply(uint32_t result, std::span<const uint32_t> more = {}) {
        const swap_area::Statistics& now = swap_area::statistics();
        std::array<uint32_t, 8 + kPicked> values = {result, now.reads - before_.reads, now.writes - before_.writes,
                                                    now.pages_read - before_.pages_read, now.pages_written - before_.pages_written,
                                                    now.read_errors - before_.read_errors, now.write_errors - before_.write_errors,
                                                    static_cast<uint32_t>(frames::in_use()) - frames_};
        std::copy(more.begin(), more.end(), values.begin() + 8);
        call_.reply({values.data(), 8 + more.size()});
    }

private:
    Call& call_;
    const swap_area::Statistics before_ = swap_area::statistics();
    const uint32_t frames_ = static_cast<uint32_t>(frames::in_use());
};

// Pages of spaces.

/// A page that leaves with the next swap.out. Its frame is that of the moment when it was picked.
struct Picked {
    AddressSpace* space;
    VirtAddr page;
    FrameNumber frame;
};
HARNESS_DATA constinit Picked picked[kPicked];
HARNESS_DATA size_t picked_count;

bool is_picked(FrameNumber frame) {
    return std::any_of(picked, picked + picked_count, [&](const Picked& one) { return one.frame == frame; });
}

/// Passed over: pages that are absent, those that must stay (zeros, objects' pages), and frames that are picked already.
void pick_page(AddressSpace* target, VirtAddr page) {
    const Result<Translation> seen = page_table::translate(spaces::directory(target), page);
    if (seen.is_error()) return;
    const FrameNumber frame = FrameNumber::containing(seen.value().address);
    if (frame_table::info(frame).use != FrameUse::Pageable || is_picked(frame)) return;
    if (picked_count == kPicked) harness::bad_script("too many pages", "");
    picked[picked_count++] = {target, page, frame};
}

/// swap.pick SPACE ADDRESS PAGES STEP: pages that are STEP apart; how many are picked by now
void pick(Call& call) {
    for (uint32_t i = 0; i < call.number(2); ++i) pick_page(space(call, 0), address(call, 1) + i * call.number(3) * kPageSize);
    call.reply({static_cast<uint32_t>(picked_count)});
}

/// swap.out [SPACE ADDRESS...]: swap_out() for the frames of these pages and of those picked before. How many are out, what Meanwhile
/// says, and for each frame the slot that its page's entry names now, 0 when it is no swap entry.
void swap_out(Call& call) {
    for (size_t i = 1; i < call.count(); ++i) pick_page(space(call, 0), address(call, i));
    static constinit FrameNumber leaving[kPicked];
    for (size_t i = 0; i < picked_count; ++i) leaving[i] = picked[i].frame;
    Meanwhile meanwhile(call);
    const size_t out = swap::swap_out({leaving, picked_count});
    meanwhile.piece_is_done();
    std::array<uint32_t, kPicked> slots;
    for (size_t i = 0; i < picked_count; ++i) slots[i] = spaces::swap_entry(picked[i].space, picked[i].page).value();
    meanwhile.reply(static_cast<uint32_t>(out), {slots.data(), picked_count});
    picked_count = 0;
}

/// swap.in SPACE ADDRESS [FRAMES]: swap_in(), with at most so many frames; the Error's number, what Meanwhile says
void swap_in(Call& call) {
    AddressSpace* const target = space(call, 0);
    const VirtAddr page = address(call, 1);
    if (spaces::swap_entry(target, page) == SwapSlot(0)) return call.reply({~0u});
    const Area& area = *spaces::find_area(target, page);
    Meanwhile meanwhile(call, 2);
    const Result<void> back = swap::swap_in(target, area, page);
    meanwhile.piece_is_done();
    meanwhile.reply(static_cast<uint32_t>(back.error()));
}

/// swap.write ADDRESS PAGES STEP WORD: the kernel writes WORD + i to page i * STEP from ADDRESS on, for the active space's user code: page
/// faults, as with CR0.WP they are. Words written, what Meanwhile says.
void write(Call& call) {
    const VirtAddr begin = address(call, 0);
    const uint32_t count = call.number(1), step = call.number(2), word = call.number(3);
    uint32_t done = 0;
    Meanwhile meanwhile(call);
    while (done < count && !write_user(begin + done * step * kPageSize, word + done).is_error()) ++done;
    meanwhile.piece_is_done();
    meanwhile.reply(done);
}

/// swap.read ADDRESS PAGES STEP: how many words could be read, what Meanwhile says, and a number that is stirred from them
void read(Call& call) {
    const VirtAddr begin = address(call, 0);
    const uint32_t count = call.number(1), step = call.number(2);
    uint32_t sum = 0, done = 0;
    Meanwhile meanwhile(call);
    for (; done < count; ++done) {
        const Result<uint32_t> word = read_user<uint32_t>(begin + done * step * kPageSize);
        if (word.is_error()) break;
        sum = (sum ^ word.value()) * 0x0100'0193; // FNV-1a by words
    }
    meanwhile.piece_is_done();
    meanwhile.reply(done, {&sum, 1});
}

/// swap.clean SPACE ADDRESS: writes the page that is present there, which stays: as who writes ahead does (mm/reclaim/page_usage.h)
void clean(Call& call) {
    const FrameNumber frame = FrameNumber::containing(page_table::translate(spaces::directory(space(call, 0)), address(call, 1)).value().address);
    Meanwhile meanwhile(call);
    const bool done = page_usage::clean(frame);
    meanwhile.piece_is_done();
    const uint32_t slot = swap::slot_of(frame).value();
    meanwhile.reply(done, {&slot, 1});
}

/// swap.break SPACE [ADDRESS...]: the disk fails from now on at the slots that these pages' entries name, and nowhere else. 0, and the slots.
void break_slots(Call& call) {
    char rules[120] = "";
    std::array<uint32_t, 1 + FaultyDisk::kMaxFaults> slots = {};
    size_t length = 0;
    for (size_t i = 1; i < call.count(); ++i) {
        slots[i] = spaces::swap_entry(space(call, 0), address(call, i)).value();
        length += format_into({rules + length, sizeof(rules) - length}, "{}slot:{}", i > 1 ? "," : "", slots[i]);
    }
    if (set_swap_faults(rules).is_error()) harness::bad_script("no such faults", rules);
    call.reply({slots.data(), call.count()});
}

// Pages that no space has: numbered, each a frame in memory, or an entry of a slot. They stand for an object's.

struct Page {
    bool is_frame;
    FrameNumber frame;
    SwapSlot slot;
    bool is_used() const { return is_frame || slot != SwapSlot(0); }
};
HARNESS_DATA constinit Page pages[kPages];

Page& page(Call& call, size_t i, bool used = true) {
    if (call.number(i) >= kPages || pages[call.number(i)].is_used() != used) harness::bad_script("no such page", call.word(i));
    return pages[call.number(i)];
}

/// page.new PAGE WORD: a frame whose word i is WORD + i
void new_page(Call& call) {
    const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Unspecified);
    if (frame.is_error()) return call.reply(frame.error());
    const FrameMemory memory = frame_memory(frame.value());
    for (uint32_t i = 0; i < kPageSize / 4; ++i) memory.as<uint32_t>()[i] = call.number(1) + i;
    page(call, 0, false) = {true, frame.value(), SwapSlot(0)};
}

/// page.write PAGE WORD: a frame that nobody else has; its first word becomes WORD
void write_page(Call& call) {
    const FrameMemory memory = frame_memory(page(call, 0).frame);
    memory.as<uint32_t>()[0] = call.number(1);
}

/// swap.store PAGE CHANGED: store(); the Error's number, what Meanwhile says, the slot. Without an error the frame's reference is given back.
void store(Call& call) {
    Page& one = page(call, 0);
    Meanwhile meanwhile(call);
    const Result<SwapSlot> slot = swap::store(one.frame, call.number(1) != 0);
    const bool released = slot.is_error() || !frames::release(one.frame).is_error();
    meanwhile.piece_is_done();
    if (!slot.is_error()) one = {false, FrameNumber(0), slot.value()};
    const uint32_t number = slot.value().value();
    meanwhile.reply(released ? static_cast<uint32_t>(slot.error()) : ~0u, {&number, 1});
}

/// swap.load PAGE [FRAMES]: load(), unless it is a frame; the Error's number, what Meanwhile says
void load(Call& call) {
    Page& one = page(call, 0);
    if (one.is_frame) return call.reply({~0u});
    Meanwhile meanwhile(call, 1);
    const Result<FrameNumber> frame = swap::load(one.slot);
    meanwhile.piece_is_done();
    if (!frame.is_error()) one = {true, frame.value(), SwapSlot(0)};
    meanwhile.reply(static_cast<uint32_t>(frame.error()));
}

/// swap.share PAGE NEW: share() of the entry, which both have then; or another reference of the frame
void share(Call& call) {
    const Page& one = page(call, 0);
    call.enter_piece();
    if (one.is_frame) frames::share(one.frame);
    else swap::share(one.slot);
    call.leave_piece();
    page(call, 1, false) = one;
}

/// swap.release PAGE: release() of the entry; or the frame's reference, which says forget() before the last one goes
void release(Call& call) {
    const Page one = page(call, 0);
    Meanwhile meanwhile(call);
    if (!one.is_frame) {
        swap::release(one.slot);
    } else {
        if (frame_table::info(one.frame).references == 1) swap::forget(one.frame);
        (void)frames::release(one.frame);
    }
    meanwhile.piece_is_done();
    pages[call.number(0)] = {};
    meanwhile.reply(0);
}

/// swap.shrink COUNT: how many, what Meanwhile says
void shrink(Call& call) {
    Meanwhile meanwhile(call);
    const size_t given = swap::shrink(call.number(0));
    meanwhile.piece_is_done();
    meanwhile.reply(static_cast<uint32_t>(given));
}

// Looking.

std::array<uint32_t, 8> figures(Call& call) {
    call.enter_piece();
    const swap::Statistics s = swap::statistics();
    call.leave_piece();
    return {static_cast<uint32_t>(s.slots), static_cast<uint32_t>(s.free), static_cast<uint32_t>(s.copies), s.pages_out, s.clean_out,
            s.pages_in, s.cache_hits, s.read_ahead};
}

/// swap.statistics: slots, free, copies, pages out, clean, pages in, hits, read ahead
void statistics(Call& call) { call.reply(figures(call)); }

constexpr uint32_t kAtOnce = 64;

/// What the piece says about frames [first, first + kAtOnce): asked all at once, as opening the guest's memory takes its time.
void look_at_frames(Call& call, uint32_t first, uint32_t end, uint32_t slots) {
    std::array<SwapSlot, kAtOnce> slot;
    std::array<bool, kAtOnce> held;
    call.enter_piece();
    for (uint32_t i = first; i < end; ++i) {
        slot[i - first] = swap::slot_of(FrameNumber(i));
        held[i - first] = swap::holds(FrameNumber(i));
    }
    call.leave_piece();
    for (uint32_t i = first; i < end; ++i) {
        const uint32_t number = slot[i - first].value();
        if (number >= slots) {
            ++slot_guest::view.strays;
        } else if (number != 0) {
            slot_guest::View::Slot& its = slot_guest::view.slots[number];
            its = {its.entries, its.copies + 1, i, held[i - first]};
        }
    }
}

void look_at_slots(Call& call) {
    const uint32_t slots = static_cast<uint32_t>(std::min(swap_area::slots(), slot_guest::kSlots));
    for (uint32_t first = 1; first < slots; first += kAtOnce) {
        std::array<uint32_t, kAtOnce> entries;
        const uint32_t end = std::min(first + kAtOnce, slots);
        call.enter_piece();
        for (uint32_t i = first; i < end; ++i) entries[i - first] = swap::entries(SwapSlot(i));
        call.leave_piece();
        for (uint32_t i = first; i < end; ++i) slot_guest::view.slots[i] = {entries[i - first], 0, 0, 0};
    }
    const uint32_t frames = static_cast<uint32_t>(frame_table::frame_count());
    for (uint32_t first = 0; first < frames; first += kAtOnce) look_at_frames(call, first, std::min(first + kAtOnce, frames), slots);
}

/// slots.look: fills in `view`. A checkpoint follows.
void look(Call& call) {
    slab::shrink();
    slot_guest::View& view = slot_guest::view;
    view.frames_in_use = static_cast<uint32_t>(frames::in_use());
    view.zero_frame = spaces::zero_frame().value();
    view.strays = 0;
    const std::array<uint32_t, 8> now = figures(call);
    std::copy(now.begin(), now.end(), view.statistics);
    for (size_t i = 0; i < numbered_spaces::kSpaces; ++i) {
        const AddressSpace* const one = numbered_spaces::peek(i);
        const SpaceStatistics its = one ? spaces::statistics(one) : SpaceStatistics{};
        view.spaces[i] = {one ? spaces::directory(one).frame.value() : 0, static_cast<uint32_t>(its.resident), static_cast<uint32_t>(its.swapped)};
    }
    for (size_t i = 0; i < kPages; ++i) view.pages[i] = pages[i].is_frame ? pages[i].frame.value() : 0;
    look_at_slots(call);
    call.reply({view.frames_in_use});
}

HARNESS_VERB("swap.pick", pick);
HARNESS_VERB("swap.out", swap_out);
HARNESS_VERB("swap.in", swap_in);
HARNESS_VERB("swap.write", write);
HARNESS_VERB("swap.read", read);
HARNESS_VERB("swap.clean", clean);
HARNESS_VERB("swap.break", break_slots);
HARNESS_VERB("page.new", new_page);
HARNESS_VERB("page.write", write_page);
HARNESS_VERB("swap.store", store);
HARNESS_VERB("swap.load", load);
HARNESS_VERB("swap.share", share);
HARNESS_VERB("swap.release", release);
HARNESS_VERB("swap.shrink", shrink);
HARNESS_VERB("swap.statistics", statistics);
HARNESS_VERB("slots.look", look);

} // namespace
