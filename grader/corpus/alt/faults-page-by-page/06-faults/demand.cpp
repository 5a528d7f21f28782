// One function after the other tries the fault, from the simplest case to the hardest; the first that knows an answer ends it. A stack grows
// a page at a time, until it holds the address. Whether a page is there, its translation says; nothing is remembered between faults.
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

using fault::Decision, fault::How, fault::Outcome, fault::Reason;

// A fault on its way through the rules.
struct Case {
    AddressSpace* space;
    const FaultInfo& fault;
    VirtAddr stack_pointer;
    VirtAddr page;
    const Area* area = nullptr;
    bool grew = false;
};

const Area* area_at(const Case& it, VirtAddr address) { return areas::find(spaces::areas_of(it.space), address); }

uint32_t pages_between(VirtAddr low, VirtAddr high) { return (high.value() - low.value()) / kPageSize; }

Decision of_error(Error error) {
    if (error == Error::OutOfRange) return fault::signal(Reason::PastEnd);
    return error == Error::DeviceError ? fault::signal(Reason::Device) : fault::out_of_memory();
}

// Grows the stack down to the page, so far as nothing is in the way. Whether all of it may grow is known before it begins.
bool grow(Case& it, const Area* stack, Decision& answer) {
    const SpaceLimits& limits = spaces::limits(it.space);
    const uint32_t more = pages_between(it.page, stack->range.begin);
    answer = fault::signal(Reason::StackLimit);
    if (stack->range.pages() + more > limits.stack) return false;
    answer = fault::signal(Reason::GuardPage);
    if (it.page == VirtAddr(kUserBegin) || area_at(it, VirtAddr(it.page.value() - kPageSize))) return false;
    answer = fault::out_of_memory();
    if (spaces::statistics(it.space).mapped + more > limits.address_space) return false;
    const VirtAddr last(stack->range.end.value() - kPageSize);
    while (stack->range.begin > it.page) {
        if (spaces::grow_stack(it.space, *stack, VirtAddr(stack->range.begin.value() - kPageSize)).is_error()) return false;
        stack = area_at(it, last); // the old one is stale
    }
    it.grew = true;
    return true;
}

// Rule 1: true when the address is in an area, now.
bool find_home(Case& it, Decision& answer) {
    it.area = area_at(it, it.fault.address);
    if (it.area) return true;
    const Area* const above = areas::find_from(spaces::areas_of(it.space), it.fault.address);
    const bool touches = above && pages_between(it.page, above->range.begin) == 1;
    answer = fault::signal(touches ? Reason::GuardPage : Reason::NotMapped);
    if (!above || above->kind != AreaKind::Stack) return false;
    const bool is_too_low = it.fault.address < it.stack_pointer && it.stack_pointer.value() - it.fault.address.value() > kBelowStackPointer;
    if (is_too_low || !grow(it, above, answer)) return false;
    it.area = area_at(it, it.fault.address);
    return true;
}

// Rule 2.
bool is_allowed(const Case& it, Decision& answer) {
    const Protection granted = it.area->protection;
    Reason reason = Reason::None;
    if (granted == Protection{})
        reason = Reason::NotReadable;
    else if (it.fault.write)
        reason = granted.write ? Reason::None : Reason::NotWritable;
    else if (it.fault.user && it.fault.is_fetch())
        reason = granted.execute ? Reason::None : Reason::NotExecutable;
    answer = fault::signal(reason);
    return reason == Reason::None;
}

// Rule 3: true when it is absent.
bool is_absent(const Case& it, Decision& answer) {
    const Result<Translation> seen = page_table::translate(spaces::directory(it.space), it.page);
    if (seen.is_error()) return true;
    const bool copies = it.fault.write && it.area->sharing == Sharing::Private && seen.value().rights.access == Access::ReadOnly;
    answer = copies ? copy_on_write::resolve_write(it.space, *it.area, it.page) : fault::retry();
    return false;
}

// A frame whose reference is ours becomes a page, or the reference goes back.
Decision place(const Case& it, VirtAddr page, FrameNumber frame, bool writable, How how) {
    const Result<void> added =
        spaces::add_page(it.space, *it.area, page, frame, PageSize::Small, writable ? Access::ReadWrite : Access::ReadOnly);
    if (!added.is_error()) return fault::resolved(how);
    (void)frames::release(frame);
    return fault::out_of_memory();
}

// Rule 4, 1024 pages at once. False: one will do.
bool make_large(const Case& it) {
    if (!CONFIG_LARGE_PAGES || !it.fault.write) return false;
    const VirtAddr begin(it.page.value() & ~(kLargePageSize - 1));
    const VirtAddr last(begin.value() + (kLargePageSize - kPageSize));
    if (!it.area->range.contains(begin) || !it.area->range.contains(last)) return false;
    if (spaces::slot_contents(it.space, it.page) != spaces::SlotContents::Empty) return false;
    if (spaces::statistics(it.space).resident + kLargePageSize / kPageSize > spaces::limits(it.space).resident) return false;
    const Result<FrameNumber> run = frames::allocate_run(Order(10), Zone::High, Contents::Zeroed);
    if (run.is_error()) return false;
    const bool is_shown = !spaces::add_page(it.space, *it.area, begin, run.value(), PageSize::Large, Access::ReadWrite).is_error();
    if (!is_shown) (void)frames::release_run(run.value(), Order(10));
    return is_shown;
}

// Rule 4.
Decision make_zeros(const Case& it) {
    if (!it.fault.write) {
        frames::share(spaces::zero_frame());
        return place(it, it.page, spaces::zero_frame(), false, How::ZeroFrame);
    }
    if (make_large(it)) return fault::resolved(How::LargePage);
    const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Unspecified);
    if (frame.is_error()) return fault::out_of_memory();
    fill_frame(frame.value(), 0);
    return place(it, it.page, frame.value(), true, How::Zeroed);
}

// Rule 5.
Decision make_from_object(const Case& it) {
    MemoryObject& object = *it.area->object;
    const size_t first = it.area->first_page;
    const Result<FrameNumber> frame = object.operations->page(object, first + pages_between(it.area->range.begin, it.page));
    if (frame.is_error()) return of_error(frame.error());
    if (it.area->sharing == Sharing::Shared) return place(it, it.page, frame.value(), it.area->protection.write, How::ObjectPage);
    if (it.fault.write) {
        const Result<FrameNumber> copy = frames::allocate(Zone::High, Contents::Unspecified);
        if (copy.is_error()) {
            (void)frames::release(frame.value());
            return fault::out_of_memory();
        }
        const FrameMemory from = frame_memory(frame.value()), to = frame_memory(copy.value());
        for (uint32_t i = 0; i < kPageSize / sizeof(uint32_t); ++i) to.as<uint32_t>()[i] = from.as<uint32_t>()[i];
        (void)frames::release(frame.value());
        return place(it, it.page, copy.value(), true, How::ObjectCopy);
    }
    Decision decision = place(it, it.page, frame.value(), false, How::ObjectPage);
    if (decision.outcome != Outcome::Resolved) return decision;
    const uint32_t block = it.page.value() / kPageSize / kNeighbourhood * kNeighbourhood;
    for (uint32_t number = block; number < block + kNeighbourhood; ++number) {
        const VirtAddr other(number * kPageSize);
        if (!it.area->range.contains(other) || !page_table::translate(spaces::directory(it.space), other).is_error()) continue;
        const Result<FrameNumber> near = object.operations->page_at_hand(object, first + pages_between(it.area->range.begin, other));
        if (near.is_error()) continue;
        if (place(it, other, near.value(), false, How::ObjectPage).outcome != Outcome::Resolved) break;
        ++decision.neighbours;
    }
    return decision;
}

} // namespace

Decision resolve(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    Case it{.space = space, .fault = fault, .stack_pointer = stack_pointer, .page = VirtAddr(fault.address.value() & ~(kPageSize - 1))};
    Decision answer;
    const bool is_to_be_made = find_home(it, answer) && is_allowed(it, answer) && is_absent(it, answer);
    if (is_to_be_made) answer = it.area->object ? make_from_object(it) : make_zeros(it);
    answer.stack_grew = it.grew;
    return answer;
}

} // namespace mm::demand
