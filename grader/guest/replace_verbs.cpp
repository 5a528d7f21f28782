// Page replacement, as operations of a script: the policy of lab 10-replace in force over numbered spaces. See harness.h for the script.
//
// Pages are used as programs use them: through the active space's page tables, so that the CPU notes it there. Who has to leave is told
// by name, before he goes: a private page by its address, a page of an object by its number, the object's, and a 1.
#include "boot_information.h"
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "lib/text.h"
#include "mm/heap/slab.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/page_usage.h"
#include "mm/reclaim/policy.h"
#include "mm/reclaim/reclaim.h"
#include "mm/space/reverse_map.h"
#include "mm/space/user_memory.h"

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address;

constexpr size_t kMaxVictims = 64;
constexpr size_t kMaxEvents = 16384;
constexpr uint32_t kNoPage = 0xF; ///< In the low bits of a name: a frame that is no page of user memory.
constexpr uint16_t kWrite = 0x8000;

/// Victims of the operation that is being performed, by name.
struct Victims {
    uint32_t count;
    uint32_t names[kMaxVictims];
};
HARNESS_DATA Victims victims;

/// Victims of all strings so far: the number of the reference in the upper half, of the page in the string in the lower.
HARNESS_DATA uint32_t events[kMaxEvents];
HARNESS_DATA size_t event_count;

/// The operation during which the piece runs, as far as the piece is called by the kernel itself; and the string that is being run.
HARNESS_DATA Call* running;
HARNESS_DATA bool runs_string;
HARNESS_DATA uint32_t string_begin;          ///< The address of its page 0.
uint32_t reference;                          ///< Changes while the guest's memory is closed; wrong is what it is when the piece writes to it.

uint32_t name_of(FrameNumber frame) {
    if (frame.value() >= frame_table::frame_count() || frame_table::info(frame).use != FrameUse::Pageable) return frame.value() << kPageShift | kNoPage;
    const MemoryObject* const object = reverse_map::object_of(frame);
    if (!object) return reverse_map::page_of(frame).value();
    return static_cast<uint32_t>(reverse_map::index_of(frame) << kPageShift | numbered_spaces::number_of(object) << 4 | 1);
}

/// The page of a string that a frame holds: a private page by its address, a file's by its index.
uint32_t page_in_string(FrameNumber frame) {
    const uint32_t name = name_of(frame);
    if ((name & kNoPage) == kNoPage) return 0xFFFF;
    return ((name & 1) ? name : name - string_begin) >> kPageShift & 0xFFFF;
}

void write_down(FrameNumber frame) {
    if (runs_string) {
        if (event_count < kMaxEvents) events[event_count++] = reference << 16 | page_in_string(frame);
    } else if (victims.count < kMaxVictims) {
        victims.names[victims.count++] = name_of(frame);
    }
}

/// Called by the kernel between two calls of the piece, with the guest's memory closed: it is opened meanwhile.
void note_victim(FrameNumber frame) {
    Call* const call = running;
    if (!call) return;
    call->leave_piece();
    write_down(frame);
    call->enter_piece();
}

/// Does `work`, in which the kernel calls the piece, with the guest's memory closed.
template <typename Work>
auto with_piece(Call& call, Work work) {
    victims.count = 0;
    running = &call;
    call.enter_piece();
    const auto result = work();
    call.leave_piece();
    running = nullptr;
    return result;
}

/// replace.policy KIND FRAMES: begins with a policy, by its number, which has FRAMES frames for user memory; 0 is no limit
void set_policy(Call& call) {
    call.enter_piece();
    const Result<void> begun = policy::initialize(static_cast<policy::Kind>(call.number(0)));
    call.leave_piece();
    reclaim::set_limit(call.number(1));
    reclaim::set_victim_listener(note_victim);
    call.reply(begun);
}

/// replace.limit FRAMES
void set_limit(Call& call) { reclaim::set_limit(call.number(0)); }

Error use_page(VirtAddr page, bool writes) { return writes ? write_user(page, page.value()).error() : read_user<uint32_t>(page).error(); }

/// replace.use r|w ADDRESS...: reads or writes a word of each page of the active space; the victims that had to go for it
void use(Call& call) {
    const bool writes = text_equal(call.word(0), "w");
    VirtAddr pages[harness::kMaxArguments];
    const size_t count = call.count() - 1;
    for (size_t i = 0; i < count; ++i) pages[i] = address(call, i + 1);
    const Error error = with_piece(call, [&] {
        for (size_t i = 0; i < count; ++i) {
            if (const Error failed = use_page(pages[i], writes); failed != Error::None) return failed;
        }
        return Error::None;
    });
    if (error != Error::None) return call.reply(error);
    call.reply({victims.names, victims.count});
}

/// replace.touch r|w ADDRESS PAGES: the same for neighbours
void touch(Call& call) {
    const bool writes = text_equal(call.word(0), "w");
    const VirtAddr begin = address(call, 1);
    const size_t count = call.number(2);
    const Error error = with_piece(call, [&] {
        for (size_t i = 0; i < count; ++i) {
            if (const Error failed = use_page(begin + i * kPageSize, writes); failed != Error::None) return failed;
        }
        return Error::None;
    });
    if (error != Error::None) return call.reply(error);
    call.reply({victims.names, victims.count});
}

// Strings.

const uint16_t* references_of_module(size_t first, size_t count) {
    for (const BootModule& module : boot_information().files()) {
        if (!text_equal(module.name, "strings")) continue;
        if ((first + count) * sizeof(uint16_t) > module.length) harness::bad_script("the string is longer than the module", "");
        return reinterpret_cast<const uint16_t*>(module.begin.value()) + first;
    }
    harness::bad_script("no boot module \"strings\"", "");
}

/// replace.run SPACE ADDRESS FIRST COUNT TICK: uses the pages of the active space that the module "strings" names, two bytes each, from number
/// FIRST on: the page's number from ADDRESS on, and 0x8000 for a write. The space's time goes on by one with each, and after every
/// TICK of them the policy has a tick. The faults, where in `events` its victims begin and end, and where that is.
void run(Call& call) {
    AddressSpace* const space = numbered_spaces::space(call, 0);
    const VirtAddr begin = address(call, 1);
    const size_t count = call.number(3), tick = call.number(4);
    const uint16_t* const string = references_of_module(call.number(2), count);
    const size_t first_event = event_count;
    uint32_t faults = 0;
    string_begin = begin.value();
    runs_string = true;
    const Error error = with_piece(call, [&] {
        for (size_t i = 0; i < count; ++i) {
            reference = static_cast<uint32_t>(i);
            const VirtAddr page = begin + (string[i] & ~kWrite & 0xFFFF) * kPageSize;
            faults += page_table::translate(active_directory(), page).is_error();
            if (const Error failed = use_page(page, string[i] & kWrite); failed != Error::None) return failed;
            spaces::add_virtual_time(space, 1);
            if ((i + 1) % tick == 0) policy::tick();
        }
        return Error::None;
    });
    runs_string = false;
    if (error != Error::None) return call.reply(error);
    call.reply({faults, static_cast<uint32_t>(first_event), static_cast<uint32_t>(event_count), reinterpret_cast<uint32_t>(events)});
}

// The piece's functions by themselves.

/// replace.choose: the next victim, which stays
void choose(Call& call) {
    call.enter_piece();
    const Result<FrameNumber> victim = policy::choose_victim();
    call.leave_piece();
    if (victim.is_error()) return call.reply(victim.error());
    call.reply({name_of(victim.value())});
}

/// replace.take COUNT: so many victims leave, one after the other
void take(Call& call) {
    const size_t count = call.number(0);
    const Error error = with_piece(call, [&] {
        for (size_t i = 0; i < count; ++i) {
            if (const Result<FrameNumber> taken = reclaim::take_one(); taken.is_error()) return taken.error();
        }
        return Error::None;
    });
    if (error != Error::None) return call.reply(error);
    call.reply({victims.names, victims.count});
}

/// replace.out FIRST COUNT: page_out() for frames that are no pages in memory
void out(Call& call) {
    const uint32_t first = call.number(0), count = call.number(1);
    for (uint32_t i = 0; i < count; ++i) {
        const FrameNumber frame(first + i);
        if (frame.value() >= frame_table::frame_count() || frame_table::info(frame).use == FrameUse::Pageable) continue;
        call.enter_piece();
        policy::page_out(frame);
        call.leave_piece();
    }
}

/// replace.cycle SPACE ADDRESS TIMES: page_out() and page_in() of a page that is in memory, as for a victim that cannot leave
void cycle(Call& call) {
    const auto seen = page_table::translate(spaces::directory(numbered_spaces::space(call, 0)), address(call, 1));
    if (seen.is_error()) return call.reply(seen.error());
    const FrameNumber frame = FrameNumber::containing(seen.value().address);
    for (uint32_t i = 0; i < call.number(2); ++i) {
        call.enter_piece();
        policy::page_out(frame);
        policy::page_in(frame);
        call.leave_piece();
    }
}

/// replace.tick COUNT: so many ticks of the policy
void tick(Call& call) {
    for (uint32_t i = 0; i < call.number(0); ++i) {
        call.enter_piece();
        policy::tick();
        call.leave_piece();
    }
}

/// replace.count: pages in the set
void count(Call& call) {
    call.enter_piece();
    const size_t pages = policy::count();
    call.leave_piece();
    call.reply({static_cast<uint32_t>(pages)});
}

// What is around it.

/// replace.time SPACE TICKS: its process has run for so long
void add_time(Call& call) { spaces::add_virtual_time(numbered_spaces::space(call, 0), call.number(1)); }

/// replace.dirty ADDRESS PAGES: which of the active space's pages that are in memory must be written before they can leave, one bit each
void dirty(Call& call) {
    uint32_t words[2] = {};
    for (uint32_t i = 0; i < call.number(1) && i < 64; ++i) {
        const auto seen = page_table::translate(active_directory(), address(call, 0) + i * kPageSize);
        if (seen.is_error()) continue;
        if (page_usage::is_dirty(FrameNumber::containing(seen.value().address))) words[i / 32] |= 1u << i % 32;
    }
    call.reply({words[0], words[1]});
}

/// replace.look: how many frames there are in use when the heap has given back what it does not need
void look(Call& call) {
    slab::shrink();
    call.reply({static_cast<uint32_t>(frames::in_use())});
}

HARNESS_VERB("replace.policy", set_policy);
HARNESS_VERB("replace.limit", set_limit);
HARNESS_VERB("replace.use", use);
HARNESS_VERB("replace.touch", touch);
HARNESS_VERB("replace.run", run);
HARNESS_VERB("replace.choose", choose);
HARNESS_VERB("replace.take", take);
HARNESS_VERB("replace.out", out);
HARNESS_VERB("replace.cycle", cycle);
HARNESS_VERB("replace.tick", tick);
HARNESS_VERB("replace.count", count);
HARNESS_VERB("replace.time", add_time);
HARNESS_VERB("replace.dirty", dirty);
HARNESS_VERB("replace.look", look);

} // namespace
