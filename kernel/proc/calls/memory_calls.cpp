// The process's own address space. Which pages there are, the areas say (mm/space/areas.h); what may be mapped, spaces::map().
#include <cstddef>

#include "abi/memory.h"
#include "fs/file_object.h"
#include "fs/open_file.h"
#include "mm/object/memory_object.h"
#include "mm/space/address_space.h"
#include "mm/space/pager.h"
#include "mm/space/user_memory.h"
#include "proc/calls/arguments.h"
#include "proc/calls/calls.h"
#include "proc/descriptors.h"
#include "proc/process.h"

namespace proc::calls {

namespace {

using mm::AddressRange, mm::Area, mm::MapPlace, mm::MapRequest, mm::Sharing;

const mm::areas::Set* own_areas() { return mm::spaces::areas_of(current().space); }

/// Shows the areas that overlap `range`, lowest first, until `visit` returns false.
/// @return Error::NotMapped when a page of the range is in no area, or `visit` was not content
template <typename V>
Result<void> for_each_area(AddressRange range, V visit) {
    for (VirtAddr at = range.begin; at < range.end;) {
        const Area* const area = mm::areas::find(own_areas(), at);
        if (area == nullptr) return Error::NotMapped;
        TRY(visit(*area));
        at = area->range.end;
    }
    return {};
}

Result<void> check_mapped(AddressRange range) {
    return for_each_area(range, [](const Area&) { return Result<void>(); });
}

/// MAP_SHARED or MAP_PRIVATE, and where.
Result<void> decode_flags(uint32_t flags, uint32_t address, MapRequest& request) {
    constexpr uint32_t known = abi::MAP_SHARED | abi::MAP_PRIVATE | abi::MAP_FIXED | abi::MAP_ANONYMOUS | abi::MAP_FIXED_NOREPLACE;
    const bool shared = flags & abi::MAP_SHARED;
    const bool is_private = flags & abi::MAP_PRIVATE;
    if ((flags & ~known) || shared == is_private) return Error::InvalidArgument;
    request.sharing = shared ? Sharing::Shared : Sharing::Private;
    if (flags & abi::MAP_FIXED_NOREPLACE)
        request.place = MapPlace::FixedIfFree;
    else
        request.place = flags & abi::MAP_FIXED ? MapPlace::Fixed : MapPlace::Anywhere;
    request.hint = VirtAddr(request.place == MapPlace::Anywhere ? align_down(address, kPageSize) : address);
    return {};
}

/// Shared memory without a number: fork() is the only way to it.
Result<VirtAddr> map_shared_zeros(MapRequest request) {
    mm::MemoryObject& object = *TRY(mm::create_shared_memory(request.pages));
    request.object = &object;
    const Result<VirtAddr> begin = mm::spaces::map(current().space, request);
    release(object); // the area has its own reference, if there is one
    return begin;
}

Result<VirtAddr> map_file(MapRequest request, uint32_t number, uint32_t offset) {
    const fs::OpenFile& file = *TRY(descriptors::file(current(), number));
    if (file.node->kind != fs::NodeKind::File || !file.readable) return Error::AccessDenied;
    if (!is_aligned(offset, kPageSize)) return Error::Misaligned;
    const uint32_t first_page = offset / kPageSize;
    if (request.pages > kMaxFrames - first_page) return Error::OutOfRange;
    if (request.sharing == Sharing::Shared && request.protection.write) {
        return file.writable ? Error::Unsupported : Error::AccessDenied;
    }
    mm::MemoryObject& object = *TRY(fs::object_of(*file.node));
    request.object = &object;
    request.first_page = first_page;
    const Result<VirtAddr> begin = mm::spaces::map(current().space, request);
    release(object);
    return begin;
}

/// Brings the pages in that are not there. Where that fails, those before stay: it was advice. Each page for itself may take the place of others: a
/// range that is larger than memory comes to an end.
Result<void> fill(AddressRange range) {
    for (VirtAddr page = range.begin; page < range.end; page = page + kPageSize)
        TRY(mm::pager::with_memory([&] { return mm::spaces::resolve_page(current().space, page); }));
    return {};
}

Result<void> discard(AddressRange range) {
    return mm::pager::with_memory([&] { return mm::spaces::discard(current().space, range); });
}

} // namespace

Result<uint32_t> move_break(const Arguments& arguments) {
    const VirtAddr end(arguments[0]);
    if (end != VirtAddr(0)) TRY(mm::spaces::set_heap_end(current().space, end));
    return mm::spaces::heap_end(current().space).value();
}

Result<uint32_t> map_memory(const Arguments& arguments) {
    const uint32_t flags = arguments[3];
    MapRequest request;
    request.pages = TRY(pages_for(arguments[1]));
    request.protection = TRY(protection_of(arguments[2]));
    TRY(decode_flags(flags, arguments[0], request));
    if (!(flags & abi::MAP_ANONYMOUS)) return TRY(map_file(request, arguments[4], arguments[5])).value();
    if (request.sharing == Sharing::Shared) return TRY(map_shared_zeros(request)).value();
    return TRY(mm::spaces::map(current().space, request)).value();
}

Result<uint32_t> unmap_memory(const Arguments& arguments) {
    TRY(mm::spaces::unmap(current().space, TRY(page_range(arguments[0], arguments[1]))));
    return 0;
}

Result<uint32_t> protect(const Arguments& arguments) {
    const AddressRange range = TRY(page_range(arguments[0], arguments[1]));
    const mm::Protection protection = TRY(protection_of(arguments[2]));
    if (protection.write) {
        // What is written to a shared mapping of a file would have to reach the file.
        TRY(for_each_area(range, [](const Area& area) -> Result<void> {
            const bool is_shared_file = area.sharing == Sharing::Shared && area.object != nullptr && !area.object->is_shared_memory;
            if (is_shared_file) return Error::AccessDenied;
            return {};
        }));
    }
    TRY(mm::spaces::protect(current().space, range, protection));
    return 0;
}

Result<uint32_t> advise(const Arguments& arguments) {
    const AddressRange range = TRY(page_range(arguments[0], arguments[1]));
    const uint32_t advice = arguments[2];
    if (advice != abi::MADV_NORMAL && advice != abi::MADV_WILLNEED && advice != abi::MADV_DONTNEED) return Error::InvalidArgument;
    TRY(check_mapped(range));
    if (advice == abi::MADV_WILLNEED) TRY(fill(range));
    if (advice == abi::MADV_DONTNEED) TRY(discard(range));
    return 0;
}

Result<uint32_t> resident(const Arguments& arguments) {
    const AddressRange range = TRY(page_range(arguments[0], arguments[1]));
    TRY(check_mapped(range));
    VirtAddr answer(arguments[2]);
    uint8_t answers[128];
    size_t count = 0;
    for (VirtAddr page = range.begin; page < range.end; page = page + kPageSize) {
        answers[count++] = mm::spaces::is_resident(current().space, page);
        if (count < sizeof answers && page + kPageSize < range.end) continue;
        TRY(mm::copy_to_user(answer, answers, count));
        answer = answer + static_cast<uint32_t>(count);
        count = 0;
    }
    return 0;
}

} // namespace proc::calls
