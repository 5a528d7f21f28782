#include "mm/reclaim/eviction.h"

#include <algorithm>
#include <array>
#include <span>

#include "lib/panic.h"
#include "mm/object/memory_object.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/load_control.h"
#include "mm/reclaim/page_usage.h"
#include "mm/reclaim/policy.h"
#include "mm/reclaim/swap.h"
#include "mm/space/address_space.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace mm::reclaim {

constinit Counters counts;
constinit bool swaps = false;

namespace {

void (*victim_listener)(FrameNumber) = nullptr;

/// The pages of an object that show the frame forget it: the object knows where its contents are.
void hide(FrameNumber frame) {
    reverse_map::for_each(frame, [&](const Mapping& mapping) {
        *mapping.entry = Pte::empty();
        if (spaces::directory(mapping.space) == active_directory()) tlb::invalidate_page(mapping.page);
        spaces::count_hidden(mapping.space);
        KASSERT("a present page has a reference of its frame", !frames::release(frame).is_error());
    });
}

/// A page of an object leaves.
Result<void> evict_object_page(FrameNumber frame, MemoryObject& object) {
    const size_t index = reverse_map::index_of(frame);
    SwapSlot slot;
    if (object.is_shared_memory) {
        if (!swaps) return Error::NoSpace;
        slot = TRY(swap::store(frame, page_usage::of(frame).dirty));
    }
    hide(frame);
    ++(object.is_shared_memory ? counts.shared : counts.files);
    object.operations->evict(object, index, slot);
    return {};
}

/// Whether every reference of the frame is known: else somebody in the kernel works with it just now.
bool is_explained(FrameNumber frame) {
    const size_t known = page_usage::of(frame).mappings + (reverse_map::object_of(frame) ? 1 : 0) + (swaps && swap::holds(frame) ? 1 : 0);
    return frame_table::info(frame).references == known;
}

bool has_left(FrameNumber frame) { return frame_table::info(frame).use != FrameUse::Pageable; }

/// One victim, which the policy does not have any more.
Result<FrameNumber> choose() {
    const FrameNumber victim = TRY(policy::choose_victim());
    policy::page_out(victim);
    ++counts.victims;
    if (victim_listener) victim_listener(victim);
    return victim;
}

/// It could not leave.
void keep(FrameNumber frame) {
    ++counts.stayed;
    if (may_ever_leave(frame)) policy::page_in(frame);
}

/// Private pages leave. @return how many of them
size_t swap_out(std::span<const FrameNumber> frames) {
    if (frames.empty()) return 0;
    if (swaps) swap::swap_out(frames);
    size_t out = 0;
    for (const FrameNumber frame : frames) {
        if (has_left(frame)) ++out;
        else keep(frame);
    }
    counts.anonymous += out;
    return out;
}

/// Victims on their way out: the private ones gather until there are enough.
class Exit {
public:
    /// @return how many have left at once
    size_t add(FrameNumber victim) {
        MemoryObject* const object = reverse_map::object_of(victim);
        const bool may_leave = (object || !swap_is_full_) && is_explained(victim);
        if (may_leave) load_control::note_leaving(victim);
        if (may_leave && !object) {
            gathered_[count_++] = victim;
            return 0;
        }
        if (may_leave && !evict_object_page(victim, *object).is_error()) return 1;
        keep(victim);
        ++in_vain_;
        return 0;
    }
    size_t gathered() const { return count_; }
    bool is_full() const { return count_ == kBatch; }
    /// @return how many of those gathered have left
    size_t flush() {
        const size_t out = swap_out({gathered_.data(), count_});
        in_vain_ += count_ - out;
        swap_is_full_ |= out == 0 && count_ > 0;
        count_ = 0;
        return out;
    }
    size_t in_vain() const { return in_vain_; }
    /// No private page that must be written has found a slot that can be.
    bool swap_is_full() const { return swap_is_full_; }

private:
    std::array<FrameNumber, kBatch> gathered_;
    size_t count_ = 0;
    size_t in_vain_ = 0;
    bool swap_is_full_ = false; ///< Or broken: no other private page is tried. Pages of files are.
};

/// Pages leave that need no write, those of files above all: second chance, in the order of frames. The policy would name all the others
/// as well, one by one, and each would come in again as if it were new.
size_t take_clean_pages(size_t count) {
    static constinit uint32_t hand = 0;
    constexpr uint32_t kTurns = 2; // the first may have done no more than to clear the accessed bits
    size_t taken = 0;
    for (uint32_t left = kTurns * frame_table::frame_count(); left > 0 && taken < count; --left) {
        hand = (hand + 1) % frame_table::frame_count();
        const FrameNumber frame(hand);
        if (frame_table::info(frame).use != FrameUse::Pageable || !may_ever_leave(frame) || page_usage::is_dirty(frame)) continue;
        if (!page_usage::test_and_clear_accessed(frame)) taken += take_page(frame);
    }
    return taken;
}

} // namespace

bool may_ever_leave(FrameNumber frame) {
    if (swaps) return true;
    const MemoryObject* const object = reverse_map::object_of(frame);
    return object && !object->is_shared_memory;
}

size_t take_victims(size_t count, size_t patience) {
    const bool is_in_need = patience == SIZE_MAX;
    patience = std::min(patience, policy::count()); // nobody is asked twice
    size_t taken = 0;
    Exit exit;
    while (taken < count && exit.in_vain() < patience && !(is_in_need && exit.swap_is_full())) {
        const bool is_enough = taken + exit.gathered() == count || exit.is_full();
        const Result<FrameNumber> victim = is_enough ? Error::NotFound : choose();
        if (!victim.is_error()) {
            taken += exit.add(victim.value());
        } else {
            if (exit.gathered() == 0) break;
            taken += exit.flush();
        }
    }
    taken += exit.flush();
    return is_in_need && exit.swap_is_full() ? taken + take_clean_pages(count - taken) : taken;
}

Result<FrameNumber> take_one() {
    const FrameNumber victim = TRY(choose());
    Exit exit;
    if (exit.add(victim) + exit.flush() > 0) return victim;
    return swaps ? Error::DeviceError : Error::NoSpace;
}

bool take_page(FrameNumber frame) {
    policy::page_out(frame);
    Exit exit;
    return exit.add(frame) + exit.flush() > 0;
}

void set_victim_listener(void (*listener)(FrameNumber victim)) { victim_listener = listener; }
const Counters& counters() { return counts; }

} // namespace mm::reclaim
