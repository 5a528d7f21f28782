// Memory that is short now may be there later. Whoever gives up first loses.
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

Decision failed(Error error) {
    if (error == Error::OutOfRange) return fault::signal(Reason::PastEnd);
    return error == Error::DeviceError ? fault::signal(Reason::Device) : fault::out_of_memory();
}

Decision show(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, Access access, How how) {
    const Result<void> added = spaces::add_page(space, area, page, frame, PageSize::Small, access);
    if (!added.is_error()) return fault::resolved(how);
    (void)frames::release(frame);
    return failed(added.error());
}

bool show_large(AddressSpace* space, const Area& area, VirtAddr page) {
    const VirtAddr begin(align_down(page.value(), kLargePageSize));
    const bool fits = area.range.begin <= begin && area.range.end.value() - begin.value() >= kLargePageSize;
    if (!CONFIG_LARGE_PAGES || !fits || spaces::slot_contents(space, begin) != spaces::SlotContents::Empty) return false;
    const Result<FrameNumber> run = frames::allocate_run(Order(10), Zone::High, Contents::Zeroed);
    if (run.is_error()) return false;
    if (!spaces::add_page(space, area, begin, run.value(), PageSize::Large, Access::ReadWrite).is_error()) return true;
    (void)frames::release_run(run.value(), Order(10));
    return false;
}

Decision show_zeros(AddressSpace* space, const Area& area, VirtAddr page, bool write) {
    if (!write) {
        frames::share(spaces::zero_frame());
        return show(space, area, page, spaces::zero_frame(), Access::ReadOnly, How::ZeroFrame);
    }
    if (show_large(space, area, page)) return fault::resolved(How::LargePage);
    for (;;) {
        const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Zeroed);
        if (!frame.is_error()) return show(space, area, page, frame.value(), Access::ReadWrite, How::Zeroed);
    }
}

size_t index_of(const Area& area, VirtAddr page) { return area.first_page + AddressRange{area.range.begin, page}.pages(); }

uint32_t show_neighbours(AddressSpace* space, const Area& area, VirtAddr page) {
    const VirtAddr block(align_down(page.value(), kNeighbourhood * kPageSize));
    const VirtAddr end = std::min(block + kNeighbourhood * kPageSize, area.range.end);
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

Decision show_object(AddressSpace* space, const Area& area, VirtAddr page, bool write) {
    const Result<FrameNumber> frame = area.object->operations->page(*area.object, index_of(area, page));
    if (frame.is_error()) return failed(frame.error());
    if (area.sharing == Sharing::Shared) {
        return show(space, area, page, frame.value(), area.protection.write ? Access::ReadWrite : Access::ReadOnly, How::ObjectPage);
    }
    if (write) {
        const Result<FrameNumber> copy = frames::allocate(Zone::High, Contents::Unspecified);
        if (!copy.is_error()) copy_frame(copy.value(), frame.value());
        (void)frames::release(frame.value());
        return copy.is_error() ? failed(copy.error()) : show(space, area, page, copy.value(), Access::ReadWrite, How::ObjectCopy);
    }
    Decision decision = show(space, area, page, frame.value(), Access::ReadOnly, How::ObjectPage);
    if (decision.outcome == Outcome::Resolved) decision.neighbours = show_neighbours(space, area, page);
    return decision;
}

Decision resolve_in(AddressSpace* space, const Area& area, const FaultInfo& fault) {
    if (area.protection == Protection{}) return fault::signal(Reason::NotReadable);
    if (fault.write && !area.protection.write) return fault::signal(Reason::NotWritable);
    if (fault.user && fault.is_fetch() && !area.protection.execute) return fault::signal(Reason::NotExecutable);
    const VirtAddr page(align_down(fault.address.value(), kPageSize));
    const Result<Translation> seen = page_table::translate(spaces::directory(space), page);
    if (!seen.is_error()) {
        const bool is_shared = fault.write && area.sharing == Sharing::Private && seen.value().rights.access == Access::ReadOnly;
        return is_shared ? copy_on_write::resolve_write(space, area, page) : fault::retry();
    }
    return area.object ? show_object(space, area, page, fault.write) : show_zeros(space, area, page, fault.write);
}

Decision resolve_outside(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const VirtAddr page(align_down(fault.address.value(), kPageSize));
    const Area* const next = areas::find_from(spaces::areas_of(space), fault.address);
    const bool is_near = uint64_t{fault.address.value()} + kBelowStackPointer >= stack_pointer.value();
    if (!next || next->kind != AreaKind::Stack || !is_near) {
        return fault::signal(next && next->range.begin == page + kPageSize ? Reason::GuardPage : Reason::NotMapped);
    }
    if (AddressRange{page, next->range.end}.pages() > spaces::limits(space).stack) return fault::signal(Reason::StackLimit);
    const bool is_first = page.value() < kUserBegin + kPageSize;
    if (is_first || spaces::find_area(space, VirtAddr(page.value() - kPageSize))) return fault::signal(Reason::GuardPage);
    if (spaces::grow_stack(space, *next, page).is_error()) return fault::out_of_memory();
    Decision decision = resolve_in(space, *spaces::find_area(space, page), fault);
    decision.stack_grew = true;
    return decision;
}

} // namespace

Decision resolve(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer) {
    const Area* const area = spaces::find_area(space, fault.address);
    return area ? resolve_in(space, *area, fault) : resolve_outside(space, fault, stack_pointer);
}

} // namespace mm::demand
