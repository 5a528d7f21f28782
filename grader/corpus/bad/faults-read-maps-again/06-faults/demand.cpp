// Pages on demand, rule by rule.
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

using namespace fault;

constexpr Order kRun{10};

VirtAddr page_of(VirtAddr address) { return VirtAddr(align_down(address.value(), kPageSize)); }

/// A page of this space, while it is being made.
struct Page {
    AddressSpace* space;
    const Area& area;
    VirtAddr begin;

    size_t index(VirtAddr at) const { return area.first_page + AddressRange{area.range.begin, at}.pages(); }
    Access rights() const { return area.protection.write ? Access::ReadWrite : Access::ReadOnly; }
};

Decision answer(Error error) {
    if (error == Error::OutOfRange) return signal(Reason::PastEnd);
    if (error == Error::DeviceError) return signal(Reason::Device);
    return out_of_memory();
}

/// The reference of the frame belongs to the page from here on, or goes back.
Error enter(const Page& page, VirtAddr at, FrameNumber frame, Access access) {
    const Result<void> added = spaces::add_page(page.space, page.area, at, frame, PageSize::Small, access);
    if (added.is_error()) (void)frames::release(frame);
    return added.error();
}

Decision enter(const Page& page, FrameNumber frame, Access access, How how) {
    const Error error = enter(page, page.begin, frame, access);
    return error == Error::None ? resolved(how) : answer(error);
}

// Zeros

bool enter_large(const Page& page) {
    if (!CONFIG_LARGE_PAGES) return false;
    const VirtAddr begin(align_down(page.begin.value(), kLargePageSize));
    if (begin < page.area.range.begin || page.area.range.end.value() - begin.value() < kLargePageSize) return false;
    if (spaces::slot_contents(page.space, begin) != spaces::SlotContents::Empty) return false;
    const Result<FrameNumber> run = frames::allocate_run(kRun, Zone::High, Contents::Zeroed);
    if (run.is_error()) return false;
    if (spaces::add_page(page.space, page.area, begin, run.value(), PageSize::Large, Access::ReadWrite).is_error()) {
        (void)frames::release_run(run.value(), kRun);
        return false;
    }
    return true;
}

Decision make_zeros(const Page& page, bool write) {
    if (!write) {
        const FrameNumber zeros = spaces::zero_frame();
        frames::share(zeros);
        return enter(page, zeros, Access::ReadOnly, How::ZeroFrame);
    }
    if (enter_large(page)) return resolved(How::LargePage);
    const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Zeroed);
    return frame.is_error() ? answer(frame.error()) : enter(page, frame.value(), Access::ReadWrite, How::Zeroed);
}

// Objects

uint32_t enter_neighbours(const Page& page) {
    constexpr uint32_t kBlock = kNeighbourhood * kPageSize;
    uint32_t shown = 0;
    VirtAddr other(align_down(page.begin.value(), kBlock));
    for (size_t i = 0; i < kNeighbourhood; ++i, other = other + kPageSize) {
        if (!page.area.range.contains(other) || spaces::is_resident(page.space, other)) continue;
        const auto frame = page.area.object->operations->page_at_hand(*page.area.object, page.index(other));
        if (frame.is_error()) continue;
        if (enter(page, other, frame.value(), Access::ReadOnly) != Error::None) break;
        ++shown;
    }
    return shown;
}

Decision make_copy(const Page& page, FrameNumber original) {
    const Result<FrameNumber> copy = frames::allocate(Zone::High, Contents::Unspecified);
    if (copy.is_error()) {
        (void)frames::release(original);
        return answer(copy.error());
    }
    copy_frame(copy.value(), original);
    (void)frames::release(original);
    return enter(page, copy.value(), Access::ReadWrite, How::ObjectCopy);
}

Decision make_object_page(const Page& page, bool write) {
    const auto frame = page.area.object->operations->page(*page.area.object, page.index(page.begin));
    if (frame.is_error()) return answer(frame.error());
    if (page.area.sharing == Sharing::Shared) return enter(page, frame.value(), page.rights(), How::ObjectPage);
    if (write) return make_copy(page, frame.value());
    Decision decision = enter(page, frame.value(), Access::ReadOnly, How::ObjectPage);
    if (decision.outcome == Outcome::Resolved) decision.neighbours = enter_neighbours(page);
    return decision;
}

// An address in an area

Reason refusal(const Protection& granted, const FaultInfo& fault) {
    if (granted == Protection{}) return Reason::NotReadable;
    if (fault.write && !granted.write) return Reason::NotWritable;
    if (fault.user && fault.is_fetch() && !granted.execute) return Reason::NotExecutable;
    return Reason::None;
}

bool is_read_only(const Page& page) {
    const auto seen = page_table::translate(spaces::directory(page.space), page.begin);
    return !seen.is_error() && seen.value().rights.access == Access::ReadOnly;
}

Decision resolve_in(const Page& page, const FaultInfo& fault) {
    if (const Reason reason = refusal(page.area.protection, fault); reason != Reason::None) return signal(reason);
    if (fault.write && spaces::is_resident(page.space, page.begin)) {
        const bool shares = fault.write && page.area.sharing == Sharing::Private && is_read_only(page);
        return shares ? copy_on_write::resolve_write(page.space, page.area, page.begin) : retry();
    }
    return page.area.object ? make_object_page(page, fault.write) : make_zeros(page, fault.write);
}

// An address in none

Decision grow(AddressSpace* space, const Area& stack, VirtAddr page) {
    if (AddressRange{page, stack.range.end}.pages() > spaces::limits(space).stack) return signal(Reason::StackLimit);
    const VirtAddr guard(page.value() - kPageSize);
    if (guard < VirtAddr(kUserBegin) || spaces::find_area(space, guard)) return signal(Reason::GuardPage);
    if (spaces::grow_stack(space, stack, page).is_error()) return out_of_memory();
    return resolved(How::None);
}

bool is_stack(const Area* next, VirtAddr address, VirtAddr stack_pointer) {
    return next && next->kind == AreaKind::Stack && address.value() + kBelowStackPointer >= stack_pointer.value();
}

Decision resolve_outside(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const VirtAddr page = page_of(fault.address);
    const Area* const next = areas::find_from(spaces::areas_of(space), fault.address);
    if (!is_stack(next, fault.address, stack_pointer))
        return signal(next && next->range.begin == page + kPageSize ? Reason::GuardPage : Reason::NotMapped);
    const Decision grown = grow(space, *next, page);
    if (grown.outcome != Outcome::Resolved) return grown;
    Decision decision = resolve_in({space, *spaces::find_area(space, page), page}, fault);
    decision.stack_grew = true;
    return decision;
}

} // namespace

Decision resolve(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const Area* const area = spaces::find_area(space, fault.address);
    return area ? resolve_in({space, *area, page_of(fault.address)}, fault) : resolve_outside(space, fault, stack_pointer);
}

} // namespace mm::demand
