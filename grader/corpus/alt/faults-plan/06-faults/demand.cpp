// First a plan, then the work. A plan says what is to be shown and where from, and touches nothing; carrying it out asks no more questions.
// Frames are held by objects that give their reference back, unless a page has taken it over: no path can forget it.
#include "mm/fault/demand.h"

#include <utility>

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

// A reference of a frame or of a run of 1024.
class Held {
public:
    explicit Held(FrameNumber frame, PageSize size = PageSize::Small) : frame_(frame), size_(size) {}
    Held(Held&& other) : frame_(other.frame_), size_(other.size_), is_ours_(std::exchange(other.is_ours_, false)) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() {
        if (!is_ours_) return;
        if (size_ == PageSize::Large)
            (void)frames::release_run(frame_, Order(10));
        else
            (void)frames::release(frame_);
    }
    FrameNumber frame() const { return frame_; }

    Result<void> show(AddressSpace* space, const Area& area, VirtAddr page, Access access) {
        TRY(spaces::add_page(space, area, page, frame_, size_, access));
        is_ours_ = false;
        return {};
    }

private:
    FrameNumber frame_;
    PageSize size_;
    bool is_ours_ = true;
};

enum class Step : uint8_t { Answer, GrowStack, BreakSharing, ShowZeroFrame, ShowNewZeros, ShowObject, CopyObject };

struct Plan {
    Step step = Step::Answer;
    Decision answer{};           // Step::Answer
    const Area* area = nullptr;  // all others; the stack that is to grow
    Access access = Access::ReadOnly;
    bool with_neighbours = false;
};

Plan answer(Decision decision) { return {.step = Step::Answer, .answer = decision}; }
Plan refuse(Reason reason) { return answer(fault::signal(reason)); }

Plan plan_for_area(AddressSpace* space, const Area* area, VirtAddr page, const FaultInfo& fault) {
    const Protection may = area->protection;
    if (!(may.read || may.write || may.execute)) return refuse(Reason::NotReadable);
    if (fault.write && !may.write) return refuse(Reason::NotWritable);
    if (!fault.write && fault.user && fault.is_fetch() && !may.execute) return refuse(Reason::NotExecutable);
    const bool is_private = area->sharing == Sharing::Private;
    const Result<Translation> now = page_table::translate(spaces::directory(space), page);
    if (!now.is_error()) {
        const bool breaks = fault.write && is_private && now.value().rights.access == Access::ReadOnly;
        return breaks ? Plan{.step = Step::BreakSharing, .area = area} : answer(fault::retry());
    }
    if (!area->object) return {.step = fault.write ? Step::ShowNewZeros : Step::ShowZeroFrame, .area = area};
    if (!is_private) return {.step = Step::ShowObject, .area = area, .access = may.write ? Access::ReadWrite : Access::ReadOnly};
    if (fault.write) return {.step = Step::CopyObject, .area = area};
    return {.step = Step::ShowObject, .area = area, .with_neighbours = true};
}

Plan plan_outside(AddressSpace* space, VirtAddr page, VirtAddr address, VirtAddr stack_pointer) {
    const Area* const above = areas::find_from(spaces::areas_of(space), address);
    if (!above) return refuse(Reason::NotMapped);
    const int64_t below = int64_t{stack_pointer.value()} - address.value();
    if (above->kind != AreaKind::Stack || below > int64_t{kBelowStackPointer}) {
        return refuse(page + kPageSize == above->range.begin ? Reason::GuardPage : Reason::NotMapped);
    }
    if (AddressRange{page, above->range.end}.pages() > spaces::limits(space).stack) return refuse(Reason::StackLimit);
    const bool is_first = page.value() < kUserBegin + kPageSize;
    if (is_first || spaces::find_area(space, VirtAddr(page.value() - kPageSize))) return refuse(Reason::GuardPage);
    return {.step = Step::GrowStack, .area = areas::find_from(spaces::areas_of(space), address)};
}

Decision outcome(Result<void> shown, How how) {
    if (!shown.is_error()) return fault::resolved(how);
    switch (shown.error()) {
    case Error::OutOfRange: return fault::signal(Reason::PastEnd);
    case Error::DeviceError: return fault::signal(Reason::Device);
    default: return fault::out_of_memory();
    }
}

Result<void> show_large(AddressSpace* space, const Area& area, VirtAddr page) {
    const VirtAddr begin(align_down(page.value(), kLargePageSize));
    if (!CONFIG_LARGE_PAGES || begin < area.range.begin || area.range.end.value() - begin.value() < kLargePageSize) return Error::Unsupported;
    if (spaces::slot_contents(space, begin) != spaces::SlotContents::Empty) return Error::Exists;
    Held run(TRY(frames::allocate_run(Order(10), Zone::High, Contents::Zeroed)), PageSize::Large);
    return run.show(space, area, begin, Access::ReadWrite);
}

Result<void> show_small(AddressSpace* space, const Area& area, VirtAddr page) {
    Held frame(TRY(frames::allocate(Zone::High, Contents::Zeroed)));
    return frame.show(space, area, page, Access::ReadWrite);
}

Result<void> show_zero_frame(AddressSpace* space, const Area& area, VirtAddr page) {
    frames::share(spaces::zero_frame());
    Held zeros(spaces::zero_frame());
    return zeros.show(space, area, page, Access::ReadOnly);
}

using Ask = Result<FrameNumber> (*)(MemoryObject& object, size_t index);

Result<FrameNumber> ask_object(Ask ask, const Area& area, VirtAddr page) {
    return ask(*area.object, area.first_page + AddressRange{area.range.begin, page}.pages());
}

Result<void> show_copy(AddressSpace* space, const Area& area, VirtAddr page) {
    const Held original(TRY(ask_object(area.object->operations->page, area, page)));
    Held copy(TRY(frames::allocate(Zone::High, Contents::Unspecified)));
    copy_frame(copy.frame(), original.frame());
    return copy.show(space, area, page, Access::ReadWrite);
}

Result<void> show_object(AddressSpace* space, const Area& area, VirtAddr page, Access access, Ask ask) {
    Held frame(TRY(ask_object(ask, area, page)));
    return frame.show(space, area, page, access);
}

uint32_t show_neighbours(AddressSpace* space, const Area& area, VirtAddr page) {
    uint32_t count = 0;
    const uint32_t block = align_down(page.value(), kNeighbourhood * kPageSize);
    for (uint32_t at = block; at != block + kNeighbourhood * kPageSize; at += kPageSize) {
        const VirtAddr other(at);
        if (!area.range.contains(other) || spaces::is_resident(space, other)) continue;
        const Result<void> shown = show_object(space, area, other, Access::ReadOnly, area.object->operations->page_at_hand);
        if (shown.is_error() && (shown.error() == Error::OutOfMemory || shown.error() == Error::LimitReached)) break;
        count += !shown.is_error();
    }
    return count;
}

Decision carry_out(const Plan& plan, AddressSpace* space, VirtAddr page) {
    const Area& area = *plan.area;
    Decision done;
    switch (plan.step) {
    case Step::BreakSharing: return copy_on_write::resolve_write(space, area, page);
    case Step::ShowZeroFrame: return outcome(show_zero_frame(space, area, page), How::ZeroFrame);
    case Step::CopyObject: return outcome(show_copy(space, area, page), How::ObjectCopy);
    case Step::ShowNewZeros:
        if (!show_large(space, area, page).is_error()) return fault::resolved(How::LargePage);
        return outcome(show_small(space, area, page), How::Zeroed);
    default:
        done = outcome(show_object(space, area, page, plan.access, area.object->operations->page), How::ObjectPage);
        if (plan.with_neighbours && done.outcome == Outcome::Resolved) done.neighbours = show_neighbours(space, area, page);
        return done;
    }
}

} // namespace

Decision resolve(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const VirtAddr page(fault.address.value() - fault.address.page_offset());
    const Area* const area = spaces::find_area(space, page);
    const Plan plan = area ? plan_for_area(space, area, page, fault) : plan_outside(space, page, fault.address, stack_pointer);
    if (plan.step == Step::Answer) return plan.answer;
    if (plan.step != Step::GrowStack) return carry_out(plan, space, page);
    if (spaces::grow_stack(space, *plan.area, page).is_error()) return fault::out_of_memory();
    Decision decision = resolve(space, fault, stack_pointer); // it has a home now
    decision.stack_grew = true;
    return decision;
}

} // namespace mm::demand
