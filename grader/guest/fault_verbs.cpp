// Page faults, as operations of a script: calls the piece of lab 06-faults on numbered spaces, and makes the spaces, objects and
// shortages that its tests need.
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "lib/text.h"
#include "mm/fault/demand.h"
#include "mm/fault/page_fault.h"
#include "mm/heap/slab.h"
#include "mm/object/memory_object.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address, numbered_spaces::object, numbered_spaces::space;

constexpr Order kLargeOrder{10};

/// ADDRESS read|write|fetch user|kernel PRESENT, from argument i on. A write or read comes from code somewhere else.
FaultInfo fault_info(Call& call, size_t i) {
    const VirtAddr at = address(call, i);
    return {.address = at,
            .instruction = text_equal(call.word(i + 1), "fetch") ? at : VirtAddr(at.value() ^ kPageSize),
            .present = call.number(i + 3) != 0,
            .write = text_equal(call.word(i + 1), "write"),
            .user = text_equal(call.word(i + 2), "user"),
            .reserved_bit = false};
}

/// Frames in use once the heap keeps none that it does not need.
uint32_t frames_in_use() {
    slab::shrink();
    return frames::in_use();
}

/// fault.resolve SPACE ADDRESS read|write|fetch user|kernel PRESENT STACK_POINTER: outcome, reason, how, stack grew, neighbours, and how
/// many more frames are in use than before
void resolve(Call& call) {
    AddressSpace* const target = space(call, 0);
    const FaultInfo fault = fault_info(call, 1);
    const VirtAddr stack_pointer = address(call, 5);
    const uint32_t before = frames_in_use();
    call.enter_piece();
    const fault::Decision decision = demand::resolve(target, fault, stack_pointer);
    call.leave_piece();
    call.reply({static_cast<uint32_t>(decision.outcome), static_cast<uint32_t>(decision.reason), static_cast<uint32_t>(decision.how),
                decision.stack_grew, decision.neighbours, frames_in_use() - before});
}

AreaKind kind(Call& call, size_t i) {
    const char* const word = call.word(i);
    if (text_equal(word, "image")) return AreaKind::Image;
    if (text_equal(word, "heap")) return AreaKind::Heap;
    if (text_equal(word, "mapping")) return AreaKind::Mapping;
    if (text_equal(word, "stack")) return AreaKind::Stack;
    harness::bad_script("no such kind of area", word);
}

/// fault.map SPACE BEGIN PAGES PROTECTION private|shared KIND OBJECT FIRST_PAGE: an area of any kind, where nothing is
void map(Call& call) {
    const Result<VirtAddr> begin = spaces::map(space(call, 0), {.pages = call.number(2),
                                                                .protection = numbered_spaces::protection(call, 3),
                                                                .sharing = text_equal(call.word(4), "shared") ? Sharing::Shared : Sharing::Private,
                                                                .kind = kind(call, 5),
                                                                .place = MapPlace::FixedIfFree,
                                                                .hint = address(call, 1),
                                                                .object = object(call, 6),
                                                                .first_page = call.number(7)});
    call.reply(begin.error(), {begin.value().value()});
}

/// fault.load OBJECT INDEX: the object's page is in memory from now on. Answers its frame.
void load(Call& call) {
    MemoryObject& source = *object(call, 0);
    const Result<FrameNumber> frame = source.operations->page(source, call.number(1));
    if (!frame.is_error() && frames::release(frame.value()).is_error()) harness::bad_script("an object's frame has no owner", "");
    call.reply(frame.error(), {frame.value().value()});
}

/// fault.at_hand OBJECT INDEX: the frame of the object's page, if it is in memory; Error::NotFound if not.
void at_hand(Call& call) {
    MemoryObject& source = *object(call, 0);
    const Result<FrameNumber> frame = source.operations->page_at_hand(source, call.number(1));
    if (!frame.is_error() && frames::release(frame.value()).is_error()) harness::bad_script("an object's frame has no owner", "");
    call.reply(frame.error(), {frame.value().value()});
}

/// fault.poke SPACE ADDRESS WORD: writes into the frame of a page that is present, whatever its rights are.
void poke(Call& call) {
    const Result<Translation> seen = page_table::translate(spaces::directory(space(call, 0)), address(call, 1));
    if (seen.is_error()) return call.reply(seen.error());
    const FrameMemory memory = frame_memory(FrameNumber::containing(seen.value().address));
    memory.as<volatile uint32_t>()[address(call, 1).page_offset() / sizeof(uint32_t)] = call.number(2);
    call.reply({});
}

/// fault.take_runs: from now on there is no free run of 4 MiB. Answers how many there were.
void take_runs(Call& call) {
    uint32_t count = 0;
    while (!frames::allocate_run(kLargeOrder, Zone::High, Contents::Unspecified).is_error()) ++count;
    call.reply({count});
}

void zero_frame(Call& call) { call.reply({spaces::zero_frame().value()}); }

HARNESS_VERB("fault.resolve", resolve);
HARNESS_VERB("fault.map", map);
HARNESS_VERB("fault.load", load);
HARNESS_VERB("fault.at_hand", at_hand);
HARNESS_VERB("fault.poke", poke);
HARNESS_VERB("fault.take_runs", take_runs);
HARNESS_VERB("fault.zero_frame", zero_frame);

} // namespace
