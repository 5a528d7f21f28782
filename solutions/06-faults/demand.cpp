/// @file
/// Pages on demand: the reference of lab 06-faults. The contract is mm/fault/demand.h.
///
///      where is the address?        in no area: a stack grows, or a signal
///      does the area allow it?      no: a signal
///      is the page there?           yes: copy-on-write's business, or nothing to do
///      where do its contents come from?   zeros, or an object
#include "mm/fault/demand.h"

#include <algorithm>

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

constexpr Order kLargeOrder{10};

VirtAddr page_of(VirtAddr address) { return VirtAddr(align_down(address.value(), kPageSize)); }

/// What an error means for who touched the page.
Decision failed(Error error) {
    switch (error) {
    case Error::OutOfRange: return fault::signal(Reason::PastEnd);
    case Error::DeviceError: return fault::signal(Reason::Device);
    default: return fault::out_of_memory();
    }
}

/// Shows a frame whose reference we have, or gives that back.
Decision show(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, Access access, How how) {
    const Result<void> added = spaces::add_page(space, area, page, frame, PageSize::Small, access);
    if (!added.is_error()) return fault::resolved(how);
    (void)frames::release(frame);
    return failed(added.error());
}

/// 4 MiB of zeros, where nothing has been looked at yet.
bool make_large_page(AddressSpace* space, const Area& area, VirtAddr address) {
    const VirtAddr begin(align_down(address.value(), kLargePageSize));
    const bool fits = area.range.begin <= begin && begin + (kLargePageSize - 1) < area.range.end;
    if (!CONFIG_LARGE_PAGES || !fits || spaces::slot_contents(space, begin) != spaces::SlotContents::Empty) return false;
    const Result<FrameNumber> run = frames::allocate_run(kLargeOrder, Zone::High, Contents::Zeroed);
    if (run.is_error()) return false;
    if (!spaces::add_page(space, area, begin, run.value(), PageSize::Large, Access::ReadWrite).is_error()) return true;
    (void)frames::release_run(run.value(), kLargeOrder);
    return false;
}

Decision show_zeros(AddressSpace* space, const Area& area, VirtAddr page, bool write) {
    if (!write) {
        frames::share(spaces::zero_frame());
        return show(space, area, page, spaces::zero_frame(), Access::ReadOnly, How::ZeroFrame);
    }
    if (make_large_page(space, area, page)) return fault::resolved(How::LargePage);
    const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Zeroed);
    if (frame.is_error()) return failed(frame.error());
    return show(space, area, page, frame.value(), Access::ReadWrite, How::Zeroed);
}

size_t index_of(const Area& area, VirtAddr page) { return area.first_page + AddressRange{area.range.begin, page}.pages(); }

/// Fault-around: what the object has in memory anyway needs no fault of its own.
uint32_t show_neighbours(AddressSpace* space, const Area& area, VirtAddr page) {
    constexpr uint32_t kBlock = kNeighbourhood * kPageSize;
    const VirtAddr block(align_down(page.value(), kBlock));
    const VirtAddr end = std::min(block + kBlock, area.range.end);
    uint32_t count = 0;
    for (VirtAddr other = std::max(block, area.range.begin); other < end; other = other + kPageSize) {
        if (spaces::is_resident(space, other)) continue;
        const Result<FrameNumber> frame = area.object->operations->page_at_hand(*area.object, index_of(area, other));
        if (frame.is_error()) continue;
        if (show(space, area, other, frame.value(), Access::ReadOnly, How::ObjectPage).outcome != Outcome::Resolved) break;
        ++count;
    }
    return count;
}

/// A private copy of a frame whose reference we have; that is given back.
Decision show_copy(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber original) {
    const Result<FrameNumber> copy = frames::allocate(Zone::High, Contents::Unspecified);
    if (!copy.is_error()) copy_frame(copy.value(), original);
    (void)frames::release(original);
    if (copy.is_error()) return failed(copy.error());
    return show(space, area, page, copy.value(), Access::ReadWrite, How::ObjectCopy);
}

Decision show_object(AddressSpace* space, const Area& area, VirtAddr page, bool write) {
    const Result<FrameNumber> frame = area.object->operations->page(*area.object, index_of(area, page));
    if (frame.is_error()) return failed(frame.error());
    if (area.sharing == Sharing::Shared) {
        const Access access = area.protection.write ? Access::ReadWrite : Access::ReadOnly;
        return show(space, area, page, frame.value(), access, How::ObjectPage);
    }
    if (write) return show_copy(space, area, page, frame.value());
    Decision decision = show(space, area, page, frame.value(), Access::ReadOnly, How::ObjectPage);
    if (decision.outcome == Outcome::Resolved) decision.neighbours = show_neighbours(space, area, page);
    return decision;
}

/// Why the area forbids the access; Reason::None when it does not.
Reason forbidden(Protection protection, const FaultInfo& fault) {
    if (!protection.read && !protection.write && !protection.execute) return Reason::NotReadable;
    if (fault.write && !protection.write) return Reason::NotWritable;
    if (fault.user && fault.is_fetch() && !protection.execute) return Reason::NotExecutable;
    return Reason::None;
}

Decision resolve_in(AddressSpace* space, const Area& area, const FaultInfo& fault) {
    const Reason reason = forbidden(area.protection, fault);
    if (reason != Reason::None) return fault::signal(reason);
    const VirtAddr page = page_of(fault.address);
    const spaces::PageState state = spaces::page_state(space, page);
    if (state != spaces::PageState::Absent) {
        const bool shares = fault.write && area.sharing == Sharing::Private && state == spaces::PageState::ReadOnly;
        return shares ? copy_on_write::resolve_write(space, area, page) : fault::retry();
    }
    return area.object ? show_object(space, area, page, fault.write) : show_zeros(space, area, page, fault.write);
}

/// Whether the stack may grow down to `page`; the decision says why not.
Decision may_grow(AddressSpace* space, const Area& stack, VirtAddr page) {
    if (AddressRange{page, stack.range.end}.pages() > spaces::limits(space).stack) return fault::signal(Reason::StackLimit);
    const bool has_guard = page.value() - kUserBegin >= kPageSize && !spaces::find_area(space, VirtAddr(page.value() - kPageSize));
    return has_guard ? fault::resolved(How::None) : fault::signal(Reason::GuardPage);
}

Decision resolve_outside(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const VirtAddr page = page_of(fault.address);
    const Area* next = areas::find_from(spaces::areas_of(space), fault.address);
    const bool is_near = uint64_t{fault.address.value()} + kBelowStackPointer >= stack_pointer.value();
    if (!next || next->kind != AreaKind::Stack || !is_near) {
        const bool is_guard = next && next->range.begin.value() - page.value() <= kPageSize;
        return fault::signal(is_guard ? Reason::GuardPage : Reason::NotMapped);
    }
    const Decision growth = may_grow(space, *next, page);
    if (growth.outcome != Outcome::Resolved) return growth;
    if (spaces::grow_stack(space, *next, page).is_error()) return fault::out_of_memory();
    Decision decision = resolve_in(space, *spaces::find_area(space, page), fault);
    decision.stack_grew = true;
    return decision;
}

} // namespace

Decision resolve(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const Area* area = spaces::find_area(space, fault.address);
    return area ? resolve_in(space, *area, fault) : resolve_outside(space, fault, stack_pointer);
}

} // namespace mm::demand
