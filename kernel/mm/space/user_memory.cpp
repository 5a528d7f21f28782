#include "mm/space/user_memory.h"

#include <algorithm>

#include "mm/space/areas.h"
#include "mm/space/space.h"

extern "C" bool copy_with_fixup(void* to, const void* from, size_t bytes);
extern "C" bool touch_with_fixup(void* byte);
extern "C" int copy_text_with_fixup(char* to, const char* from, size_t bytes);

namespace mm {

namespace {

/// Of the latest access that failed.
constinit Error reason = Error::BadAddress;

bool is_user_range(VirtAddr begin, size_t bytes) {
    return begin >= VirtAddr(kUserBegin) && begin < VirtAddr(kUserEnd) && bytes <= kUserEnd - begin.value();
}

/// A page without rights is kept from user code by being the kernel's, so the CPU would let the kernel copy it.
bool meets_unreachable_page(const AddressSpace& space, VirtAddr begin, size_t bytes) {
    if (space.unreachable == 0) return false;
    const VirtAddr end = begin + bytes;
    for (const Area* area = areas::find_from(space.areas, begin); area && area->range.begin < end;
         area = areas::find_from(space.areas, area->range.end)) {
        if (spaces::grants_nothing(area->protection)) return true;
    }
    return false;
}

/// Whether a copy may try: the rest is the CPU's to find out.
bool may_try(VirtAddr begin, size_t bytes) {
    const AddressSpace* space = spaces::active();
    return space && is_user_range(begin, bytes) && !meets_unreachable_page(*space, begin, bytes);
}

} // namespace

void note_user_access_failed(Error why) { reason = why; }

Result<void> copy_from_user(void* to, VirtAddr from, size_t bytes) {
    if (bytes == 0) return {};
    if (!may_try(from, bytes)) return Error::BadAddress;
    if (!copy_with_fixup(to, pointer_to<void>(from), bytes)) return reason;
    return {};
}

Result<void> copy_to_user(VirtAddr to, const void* from, size_t bytes) {
    if (bytes == 0) return {};
    if (!may_try(to, bytes)) return Error::BadAddress;
    if (!copy_with_fixup(pointer_to<void>(to), from, bytes)) return reason;
    return {};
}

Result<void> prepare_user_write(VirtAddr to, size_t bytes) {
    if (bytes == 0) return {};
    if (!may_try(to, bytes)) return Error::BadAddress;
    for (size_t done = 0; done < bytes; done += kPageSize - (to + done).page_offset()) {
        if (!touch_with_fixup(pointer_to<void>(to + done))) return reason;
    }
    return {};
}

Result<size_t> copy_text_from_user(std::span<char> to, VirtAddr from) {
    // The text may end before any page that must not be read, so it is read page by page.
    size_t length = 0;
    while (length < to.size()) {
        const VirtAddr begin = from + length;
        const size_t bytes = std::min<size_t>(to.size() - length, kPageSize - begin.page_offset());
        if (!may_try(begin, bytes)) return Error::BadAddress;
        const int copied = copy_text_with_fixup(to.data() + length, pointer_to<char>(begin), bytes);
        if (copied < 0) return reason;
        length += copied;
        if (static_cast<size_t>(copied) < bytes) return length;
    }
    return Error::OutOfRange;
}

} // namespace mm
