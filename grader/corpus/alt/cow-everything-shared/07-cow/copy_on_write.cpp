/// @file
/// Copy-on-write in runs of pages, with two differences to the reference. Pages of shared areas are shown in the child at once, as they are
/// in the parent, so its first looks cost no faults. And neighbours that may be written lose that right by one protect().
#include "mm/fault/copy_on_write.h"

#include "lib/memory.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"

namespace mm::copy_on_write {

namespace {

/// Pages side by side that are present with the same rights.
struct Run {
    VirtAddr begin;
    size_t pages = 0;
    Rights rights{};

    VirtAddr end() const { return begin + pages * kPageSize; }
};

bool is_empty(AddressSpace* space, VirtAddr address) { return spaces::slot_contents(space, address) == spaces::SlotContents::Empty; }

VirtAddr next_slot(VirtAddr address) { return VirtAddr(align_down(address.value(), kLargePageSize)) + kLargePageSize; }

/// The next run in [at, end); of no pages when there is none.
Run find_run(AddressSpace* space, VirtAddr at, VirtAddr end) {
    const PageDirectory directory = spaces::directory(space);
    Run run{.begin = at};
    while (at < end) {
        const bool is_slot_empty = is_empty(space, at);
        const Result<Translation> seen = is_slot_empty ? Result<Translation>(Error::NotMapped) : page_table::translate(directory, at);
        const bool goes_on = !seen.is_error() && (run.pages == 0 || seen.value().rights == run.rights);
        if (!goes_on && run.pages > 0) return run;
        if (goes_on) {
            if (run.pages == 0) run = {.begin = at, .pages = 0, .rights = seen.value().rights};
            ++run.pages;
        }
        at = is_slot_empty ? next_slot(at) : at + kPageSize;
    }
    return run;
}

Result<void> show(AddressSpace* parent, AddressSpace* child, const Area& area, const Run& run, Access access) {
    const PageDirectory directory = spaces::directory(parent);
    for (VirtAddr page = run.begin; page < run.end(); page = page + kPageSize) {
        const FrameNumber frame = FrameNumber::containing(TRY(page_table::translate(directory, page)).address);
        frames::share(frame);
        const Result<void> added = spaces::add_page(child, area, page, frame, PageSize::Small, access);
        if (!added.is_error()) continue;
        (void)frames::release(frame);
        return added;
    }
    return {};
}

/// A frame with the same contents, made word by word of memory.
Result<FrameNumber> copy_of(FrameNumber old) {
    const FrameNumber copy = TRY(frames::allocate(Zone::High, Contents::Zeroed));
    if (old == spaces::zero_frame()) return copy;
    const FrameMemory from = frame_memory(old);
    const FrameMemory to = frame_memory(copy);
    memcpy(to.as<void>(), from.as<void>(), kPageSize);
    return copy;
}

} // namespace

Result<void> share(AddressSpace* parent, AddressSpace* child, const Area& area) {
    const bool is_private = area.sharing == Sharing::Private;
    for (Run run = find_run(parent, area.range.begin, area.range.end); run.pages > 0; run = find_run(parent, run.end(), area.range.end)) {
        if (is_private && run.rights.access == Access::ReadWrite) {
            run.rights.access = Access::ReadOnly;
            TRY(page_table::protect(spaces::directory(parent), run.begin, run.pages, run.rights));
        }
        TRY(show(parent, child, area, run, run.rights.access));
    }
    return {};
}

fault::Decision resolve_write(AddressSpace* space, const Area& area, VirtAddr page) {
    const PageDirectory directory = spaces::directory(space);
    const Result<Translation> seen = page_table::translate(directory, page);
    if (seen.is_error() || area.sharing == Sharing::Shared) return fault::retry();
    constexpr Rights own{Access::ReadWrite, Privilege::User, Scope::Local};
    const FrameNumber old = FrameNumber::containing(seen.value().address);
    if (frame_table::info(old).references == 1) {
        (void)page_table::map(directory, page, old, 1, PageSize::Small, own);
        return fault::resolved(fault::How::LastOwner);
    }
    const Result<FrameNumber> copy = copy_of(old);
    if (copy.is_error()) return fault::out_of_memory();
    (void)page_table::map(directory, page, copy.value(), 1, PageSize::Small, own);
    (void)frames::release(old);
    return fault::resolved(fault::How::Copied);
}

} // namespace mm::copy_on_write
