/// @file
/// Who takes pages out of memory when that is short, and brings them back: mm/reclaim, floors above, which registers here at boot.
/// Without a pager pages stay where they are.
///
/// Pages are taken at *safe points* only: at the begin of a page fault or of the work for a system call, and between two attempts of
/// either. What runs between two safe points (a lab's piece, say) never sees a page leave under its hands.
#pragma once

#include "lib/address.h"
#include "lib/result.h"

namespace mm {

class AddressSpace;
struct Area;

struct Pager {
    /// A frame with a page of user memory has become pageable (mm/space/reverse_map.h).
    void (*page_came)(FrameNumber frame);
    /// Makes a page present that has a swap entry.
    /// @return Error::OutOfMemory, LimitReached (resident pages), DeviceError. Nothing has changed then.
    Result<void> (*bring_back)(AddressSpace* space, const Area& area, VirtAddr page);
    /// Takes pages when memory is low: the caller holds no frame that it has only looked up.
    void (*safe_point)();
    /// Something failed for want of memory, and has changed nothing: takes pages.
    /// @return whether it is worth while to begin again
    bool (*make_room)();
};

namespace pager {

extern constinit const Pager* registered;

/// Once, at boot; `pager` lives for ever.
void set(const Pager& pager);
/// Null when there is none.
inline const Pager* get() { return registered; }

inline void safe_point() {
    if (registered) registered->safe_point();
}
inline bool make_room() { return registered && registered->make_room(); }

/// Does `work`, which changes nothing when it fails; when that is for want of memory, again, as long as pages can be taken.
/// @param work  returns a Result
template <typename Work>
auto with_memory(Work work) {
    safe_point();
    auto result = work();
    while (result.error() == Error::OutOfMemory && make_room()) result = work();
    return result;
}

} // namespace pager
} // namespace mm
