// Rules as tables. A question about the fault is a number; a table says what follows from it.
//
//     verdicts   protection x access      -> a reason, or none
//     sources    object, shared, write    -> who makes the page
//
// Each source is a function that brings a frame, whose reference is ours, and says what may be done with it; one place shows it.
#include "mm/fault/demand.h"

#include "config.h"
#include "mm/fault/copy_on_write.h"
#include "mm/object/memory_object.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"

namespace mm::demand {

namespace {

using namespace mm::fault;

enum Kind : unsigned { kRead, kWrite, kFetch, kKinds };

Kind kind_of(const FaultInfo& fault) {
    if (fault.write) return kWrite;
    return fault.user && fault.is_fetch() ? kFetch : kRead;
}

// By protection (bit 0 read, 1 write, 2 execute) and access.
constexpr Reason kVerdicts[8][kKinds] = {
    {Reason::NotReadable, Reason::NotReadable, Reason::NotReadable},   // ---
    {Reason::None, Reason::NotWritable, Reason::NotExecutable},        // r--
    {Reason::None, Reason::None, Reason::NotExecutable},               // -w-
    {Reason::None, Reason::None, Reason::NotExecutable},               // rw-
    {Reason::None, Reason::NotWritable, Reason::None},                 // --x
    {Reason::None, Reason::NotWritable, Reason::None},                 // r-x
    {Reason::None, Reason::None, Reason::None},                        // -wx
    {Reason::None, Reason::None, Reason::None},                        // rwx
};

unsigned bits_of(Protection it) { return unsigned(it.read) | unsigned(it.write) << 1 | unsigned(it.execute) << 2; }

// What a source brings.
struct Brought {
    FrameNumber frame{0};
    PageSize size = PageSize::Small;
    bool writable = false;
    How how = How::None;
};

struct Question {
    AddressSpace* space;
    const Area* area;
    VirtAddr page;

    size_t index() const { return area->first_page + (page.value() - area->range.begin.value()) / kPageSize; }
};

Result<Brought> bring_zero_frame(const Question&) {
    frames::share(spaces::zero_frame());
    return Brought{.frame = spaces::zero_frame(), .how = How::ZeroFrame};
}

Result<Brought> bring_zeros(const Question&) {
    const FrameNumber frame = TRY(frames::allocate(Zone::High, Contents::Zeroed));
    return Brought{.frame = frame, .writable = true, .how = How::Zeroed};
}

Result<Brought> bring_object_page(const Question& question) {
    MemoryObject& object = *question.area->object;
    const FrameNumber frame = TRY(object.operations->page(object, question.index()));
    const bool writable = question.area->sharing == Sharing::Shared && question.area->protection.write;
    return Brought{.frame = frame, .writable = writable, .how = How::ObjectPage};
}

Result<Brought> bring_object_copy(const Question& question) {
    const Brought original = TRY(bring_object_page(question));
    const Result<FrameNumber> copy = frames::allocate(Zone::High, Contents::Unspecified);
    if (!copy.is_error()) copy_frame(copy.value(), original.frame);
    (void)frames::release(original.frame);
    if (copy.is_error()) return copy.error();
    return Brought{.frame = copy.value(), .writable = true, .how = How::ObjectCopy};
}

using Source = Result<Brought> (*)(const Question& question);
// By object, sharing, write. Shared memory always has an object.
constexpr Source kSources[2][2][2] = {
    {{bring_zero_frame, bring_zeros}, {bring_zero_frame, bring_zeros}},
    {{bring_object_page, bring_object_copy}, {bring_object_page, bring_object_page}},
};

Decision of_error(Error error) {
    if (error == Error::OutOfRange) return signal(Reason::PastEnd);
    if (error == Error::DeviceError) return signal(Reason::Device);
    return out_of_memory();
}

// Gives the reference back when it cannot be shown.
Result<void> show(const Question& question, const Brought& it) {
    const Access access = it.writable ? Access::ReadWrite : Access::ReadOnly;
    const Result<void> shown = spaces::add_page(question.space, *question.area, question.page, it.frame, it.size, access);
    if (!shown.is_error()) return {};
    if (it.size == PageSize::Large)
        (void)frames::release_run(it.frame, Order(10));
    else
        (void)frames::release(it.frame);
    return shown.error();
}

bool show_large(const Question& question) {
    const uint32_t begin = align_down(question.page.value(), kLargePageSize);
    const AddressRange range = question.area->range;
    if (!CONFIG_LARGE_PAGES || begin < range.begin.value() || range.end.value() - begin < kLargePageSize) return false;
    if (spaces::slot_contents(question.space, VirtAddr(begin)) != spaces::SlotContents::Empty) return false;
    const Result<FrameNumber> run = frames::allocate_run(Order(10), Zone::High, Contents::Zeroed);
    if (run.is_error()) return false;
    return !show({question.space, question.area, VirtAddr(begin)}, {run.value(), PageSize::Large, true, How::LargePage}).is_error();
}

uint32_t show_block(const Question& question) {
    MemoryObject& object = *question.area->object;
    uint32_t count = 0;
    for (uint32_t i = 0; i < kNeighbourhood; ++i) {
        const VirtAddr page(align_down(question.page.value(), kNeighbourhood * kPageSize) + i * kPageSize);
        if (!question.area->range.contains(page) || spaces::is_resident(question.space, page)) continue;
        const Question other{question.space, question.area, page};
        const Result<FrameNumber> frame = object.operations->page_at_hand(object, other.index());
        if (frame.is_error()) continue;
        if (show(other, {.frame = frame.value(), .how = How::ObjectPage}).is_error()) break;
        ++count;
    }
    return count;
}

Decision decide_present(const Question& question, bool write) {
    if (!write || question.area->sharing == Sharing::Shared) return retry();
    const Result<Translation> seen = page_table::translate(spaces::directory(question.space), question.page);
    const bool can_write = !seen.is_error() && seen.value().rights.access == Access::ReadWrite;
    return can_write ? retry() : copy_on_write::resolve_write(question.space, *question.area, question.page);
}

Decision decide_in(const Question& question, const FaultInfo& fault) {
    const Area& area = *question.area;
    const Reason reason = kVerdicts[bits_of(area.protection)][kind_of(fault)];
    if (reason != Reason::None) return signal(reason);
    if (spaces::is_resident(question.space, question.page)) return decide_present(question, fault.write);
    if (!area.object && fault.write && show_large(question)) return resolved(How::LargePage);
    const Source source = kSources[area.object != nullptr][area.sharing == Sharing::Shared][fault.write];
    const Result<Brought> brought = source(question);
    if (brought.is_error()) return of_error(brought.error());
    const Result<void> shown = show(question, brought.value());
    if (shown.is_error()) return of_error(shown.error());
    Decision decision = resolved(brought.value().how);
    if (area.object && area.sharing == Sharing::Private && !fault.write) decision.neighbours = show_block(question);
    return decision;
}

Decision decide_below(AddressSpace* space, const Area* above, const FaultInfo& fault, VirtAddr page, VirtAddr stack_pointer) {
    const bool is_next = above && above->range.begin.value() - page.value() == kPageSize;
    const Decision nothing = signal(is_next ? Reason::GuardPage : Reason::NotMapped);
    if (!above || above->kind != AreaKind::Stack) return nothing;
    const uint32_t lowest = stack_pointer.value() < kBelowStackPointer ? 0 : stack_pointer.value() - kBelowStackPointer;
    if (fault.address.value() < lowest) return nothing;
    if ((above->range.end.value() - page.value()) / kPageSize > spaces::limits(space).stack) return signal(Reason::StackLimit);
    const VirtAddr guard(page.value() - kPageSize);
    if (guard.value() < kUserBegin || areas::find(spaces::areas_of(space), guard)) return signal(Reason::GuardPage);
    if (spaces::grow_stack(space, *above, page).is_error()) return out_of_memory();
    Decision decision = decide_in({space, areas::find(spaces::areas_of(space), page), page}, fault);
    decision.stack_grew = true;
    return decision;
}

} // namespace

Decision resolve(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const VirtAddr page(align_down(fault.address.value(), kPageSize));
    const Area* const area = areas::find_from(spaces::areas_of(space), fault.address);
    if (area && area->range.contains(fault.address)) return decide_in({space, area, page}, fault);
    return decide_below(space, area, fault, page, stack_pointer);
}

} // namespace mm::demand
