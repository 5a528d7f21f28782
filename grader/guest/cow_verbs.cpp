// fork's sharing and the write fault, as operations of a script: the piece of lab 07-cow at work on numbered spaces.
#include "guest/cow_view.h"
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "mm/fault/copy_on_write.h"
#include "mm/fault/page_fault.h"
#include "mm/heap/slab.h"
#include "mm/physical/frames.h"
#include "mm/space/areas.h"
#include "mm/space/fault_services.h"
#include "mm/space/user_memory.h"

namespace cow_guest {
HARNESS_DATA View view;
}

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address, numbered_spaces::slot, numbered_spaces::space;

constexpr uint32_t kUnlimited = ~0u;

/// spaces::fork() hands areas to a plain function: what belongs to the operation is kept here.
struct Forking {
    Call* call;
    uint32_t areas;         ///< Shared so far.
    uint32_t taken;         ///< Frames that share() has taken.
    uint32_t allowed;       ///< Frames that share() may take yet.
};
HARNESS_DATA Forking forking;

uint32_t in_use() { return static_cast<uint32_t>(frames::in_use()); }

/// One call of share(), with at most `allowed` frames for it.
Result<void> share_area(AddressSpace* parent, AddressSpace* child, const Area& area) {
    const uint32_t before = in_use();
    if (forking.allowed != kUnlimited) frames::fail_after(forking.allowed);
    forking.call->enter_piece();
    const Result<void> result = copy_on_write::share(parent, child, area);
    forking.call->leave_piece();
    frames::fail_never();
    const uint32_t taken = in_use() - before;
    ++forking.areas;
    forking.taken += taken;
    if (forking.allowed != kUnlimited) forking.allowed -= taken;
    return result;
}

void fork_with(Call& call, spaces::SharePages share, uint32_t allowed) {
    forking = {.call = &call, .areas = 0, .taken = 0, .allowed = allowed};
    const Result<AddressSpace*> made = spaces::fork(space(call, 0), share);
    slot(call, 1) = made.value();
    if (made.is_error()) return call.reply(made.error());
    call.reply({spaces::directory(made.value()).frame.value(), forking.areas, forking.taken});
}

/// cow.fork SPACE CHILD [FRAMES]: directory, calls of share(), frames that these took. With FRAMES they get no more than that.
void fork(Call& call) { fork_with(call, share_area, call.count() > 2 ? call.number(2) : kUnlimited); }

/// cow.fork_bare SPACE CHILD: the child has the areas and no page; the piece is not called.
void fork_bare(Call& call) {
    fork_with(call, [](AddressSpace*, AddressSpace*, const Area&) { return Result<void>(); }, kUnlimited);
}

const Area& area_at(Call& call, AddressSpace* target, size_t i) {
    const Area* const area = areas::find(spaces::areas_of(target), address(call, i));
    if (!area) harness::bad_script("no area there", call.word(i));
    return *area;
}

/// cow.share SPACE CHILD ADDRESS [FRAMES]: share() for the area that holds the address; the frames that it took
void share(Call& call) {
    AddressSpace* const parent = space(call, 0);
    forking = {.call = &call, .areas = 0, .taken = 0, .allowed = call.count() > 3 ? call.number(3) : kUnlimited};
    const Result<void> result = share_area(parent, space(call, 1), area_at(call, parent, 2));
    call.reply(result.error(), {forking.taken});
}

/// cow.write SPACE PAGE [FRAMES]: resolve_write(), with at most so many frames: outcome, how, frames that it took
void resolve_write(Call& call) {
    AddressSpace* const target = space(call, 0);
    const Area& area = area_at(call, target, 1);
    const VirtAddr page = address(call, 1);
    const uint32_t before = in_use();
    if (call.count() > 2) frames::fail_after(call.number(2));
    call.enter_piece();
    const fault::Decision decision = copy_on_write::resolve_write(target, area, page);
    call.leave_piece();
    frames::fail_never();
    call.reply({static_cast<uint32_t>(decision.outcome), static_cast<uint32_t>(decision.how), in_use() - before});
}

/// What page faults did meanwhile.
struct Meanwhile {
    fault::Counters before = fault::counters();
    uint32_t frames = in_use();

    void reply(Call& call, uint32_t value) const {
        const fault::Counters& now = fault::counters();
        const auto more = [&](fault::How how) { return now.of(how) - before.of(how); };
        call.reply({value, now.faults() - before.faults(), more(fault::How::Copied), more(fault::How::LastOwner), in_use() - frames});
    }
};

/// cow.store ADDRESS PAGES STEP WORD [FRAMES]: the kernel writes WORD + i to page i * STEP from ADDRESS on, for user code: page faults, as
/// with CR0.WP they are. Words written, faults, copies, last owners, frames taken.
void store(Call& call) {
    const VirtAddr begin = address(call, 0);
    const uint32_t count = call.number(1), step = call.number(2), word = call.number(3);
    const Meanwhile meanwhile;
    if (call.count() > 4) frames::fail_after(call.number(4));
    uint32_t done = 0;
    call.enter_piece();
    while (done < count && !write_user(begin + done * step * kPageSize, word + done).is_error()) ++done;
    call.leave_piece();
    frames::fail_never();
    meanwhile.reply(call, done);
}

/// cow.load ADDRESS PAGES STEP: reads the words there; a number that is stirred from them, faults, copies, last owners, frames taken.
void load(Call& call) {
    const VirtAddr begin = address(call, 0);
    const uint32_t count = call.number(1), step = call.number(2);
    const Meanwhile meanwhile;
    uint32_t sum = 0;
    call.enter_piece();
    for (uint32_t i = 0; i < count; ++i) {
        const Result<uint32_t> word = read_user<uint32_t>(begin + i * step * kPageSize);
        sum = (sum ^ (word.is_error() ? 0xDEAD'0000 : word.value())) * 0x0100'0193; // FNV-1a by words
    }
    call.leave_piece();
    meanwhile.reply(call, sum);
}

/// cow.look: fills in `view`. A checkpoint follows.
void look(Call& call) {
    slab::shrink();
    cow_guest::View& view = cow_guest::view;
    view.frames_in_use = in_use();
    view.zero_frame = spaces::zero_frame().value();
    for (size_t i = 0; i < numbered_spaces::kSpaces; ++i) {
        const AddressSpace* const one = numbered_spaces::peek(i);
        view.spaces[i] = {one ? spaces::directory(one).frame.value() : 0, one ? static_cast<uint32_t>(spaces::statistics(one).resident) : 0};
    }
    call.reply({view.frames_in_use});
}

HARNESS_VERB("cow.fork", fork);
HARNESS_VERB("cow.fork_bare", fork_bare);
HARNESS_VERB("cow.share", share);
HARNESS_VERB("cow.write", resolve_write);
HARNESS_VERB("cow.store", store);
HARNESS_VERB("cow.load", load);
HARNESS_VERB("cow.look", look);

} // namespace
