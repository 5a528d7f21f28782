/// @file
/// Who takes pages out of memory when that is short, and brings them back: mm/reclaim, floors above, which registers here at boot.
/// Without a pager pages stay where they are.
///
/// Pages are taken at *safe points* only: at the begin of a page fault or of the work for a system call, and between two attempts of
/// either. What runs between two safe points (a lab's piece, say) never sees a page leave under its hands.
#pragma once

#include "lib/address.h"
#include "lib/result.h"
#include "mm/physical/frames.h"

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
    /// Something failed for want of memory, and has changed nothing: takes pages, the more the more often it was tried.
    /// @param attempt  0 at first
    /// @return whether it is worth while to begin again
    bool (*make_room)(size_t attempt);
    /// Nothing but its own limit keeps a space from showing another page: takes one of its pages.
    /// @return whether that worked
    bool (*make_room_in)(AddressSpace* space);
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

/// What failed for want of memory.
enum class Asker : uint8_t { PageFault, SystemCall };

/// Who is asked when no page can be taken either: somebody may have to end, so that the others go on. Registered at boot by the floors above;
/// nobody is asked without it.
/// @return whether it is worth while to begin again
using LastResort = bool (*)(Asker asker);
extern constinit LastResort last_resort;
void set_last_resort(LastResort ask);

/// What begins again when it has failed for want of memory.
class Attempts {
public:
    /// Begins the first.
    Attempts() : refusals_(frames::refusals()), single_refusals_(frames::single_refusals()) {}

    /// The attempt has failed with Error::OutOfMemory.
    /// @return whether to begin another: pages were taken, and frames were what it lacked
    bool make_room() {
        const size_t before = refusals_;
        refusals_ = frames::refusals();
        if (!registered || refusals_ == before) return false;
        return registered->make_room(count_++);
    }

    /// As make_room(); when that gives nothing and the machine has really no frame left, the last resort is asked. So nobody else suffers from a
    /// frames::fail_after(), from an account of promises that refuses (mm/object/commit.h), or for a run that fragmented memory does not have.
    bool find_memory(Asker asker) {
        const bool has_no_frame = frames::single_refusals() != single_refusals_;
        single_refusals_ = frames::single_refusals();
        if (make_room()) return true;
        if (!has_no_frame || !last_resort || !last_resort(asker)) return false;
        count_ = 0;
        return true;
    }

private:
    size_t refusals_;   ///< When the attempt began.
    size_t single_refusals_;
    size_t count_ = 0;
};

/// Does `work`, which changes nothing when it fails; when that is for want of memory, again, as long as some can be found.
/// @param work  returns a Result
template <typename Work>
auto with_memory(Work work) {
    safe_point();
    Attempts attempts;
    for (;;) {
        auto result = work();
        if (result.error() != Error::OutOfMemory || !attempts.find_memory(Asker::SystemCall)) return result;
    }
}

} // namespace pager
} // namespace mm
