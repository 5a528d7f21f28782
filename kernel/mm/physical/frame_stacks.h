/// @file
/// The inside of the frame cache (frame_cache.h): its stacks, for the two files that work on them. frames.cpp pops and pushes one
/// frame, which must be cheap enough to be inlined; frame_cache.cpp moves frames between the stacks and the frame allocator.
///
///                      release()                    too many: the coldest go
///       an owner  ------------------->  hot stack  ------------------->  frame allocator
///                 <-------------------             <-------------------         |
///                      allocate()                   empty: a batch comes        |  while idle
///                 <-------------------  zeroed stack  <------------------------ +
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "lib/panic.h"
#include "lib/result.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/zone.h"

namespace mm::frame_cache {

/// Frames that are at hand; the one that came last leaves first.
template <size_t kRoom>
class FrameStack {
public:
    bool is_empty() const { return count_ == 0; }
    bool is_full() const { return count_ >= room_; }
    size_t count() const { return count_; }

    /// Only on a stack that is not full.
    void push(FrameNumber frame) { frames_[count_++] = frame; }
    /// Only on a stack that is not empty.
    FrameNumber pop() { return frames_[--count_]; }
    /// Takes the frames that have been here for the longest time. Only while there are so many.
    template <size_t kCount>
    void pop_coldest(FrameNumber (&coldest)[kCount]) {
        std::copy_n(frames_, kCount, coldest);
        std::copy(frames_ + kCount, frames_ + count_, frames_);
        count_ -= kCount;
    }

    /// A closed stack is full, whatever it holds.
    void close() { room_ = 0; }
    bool is_closed() const { return room_ == 0; }
    void open() { room_ = kRoom; }

private:
    size_t count_ = 0;
    size_t room_ = kRoom;
    FrameNumber frames_[kRoom];
};

/// What one zone has at hand. In the frame table these frames count one reference already, their next owner's: that saves the fast paths a
/// write each. The hot stack is closed while the zone is below its min mark: a frame that comes back goes straight to
/// the frame allocator then, where only requests for the reserve reach it.
struct ZoneStacks {
    FrameStack<kHotFrames> hot;
    FrameStack<kZeroedFrames> zeroed;
};

extern ZoneStacks stacks[kZoneCount];
inline ZoneStacks& stacks_of(Zone zone) { return stacks[static_cast<uint32_t>(zone)]; }

/// The stacks of a frame's zone, without comparing it with the zones' ends: all zones begin at a multiple of 16 MiB.
inline constexpr uint32_t kFramesPerHome = 4096;
extern const std::array<ZoneStacks*, kMaxFrames / kFramesPerHome> home_stacks;
inline ZoneStacks& stacks_of(FrameNumber frame) { return *home_stacks[frame.value() / kFramesPerHome]; }

/// The frame table, as look_up_frame_table() found it: frame_table::info() is a call, and the fast paths have no ticks to spare. Whoever
/// takes frames from the allocator looks it up first, so no frame is on a stack or in use before.
extern FrameInfo* entries;
extern size_t entry_count;
void look_up_frame_table();

/// The highest zone that may serve a request for zone i and has memory. Zone i itself before choose_zones().
extern Zone served_by[kZoneCount];
/// The stacks of that zone: where allocate() looks first. While hidden, stacks that are always empty, so that every allocation goes
/// the slow path.
extern ZoneStacks* first_choice[kZoneCount];

/// Fills both, once the watermarks tell which zones have memory.
void choose_zones();
void hide_stacks();
void show_stacks();

/// Fills the hot stack of `zone` with up to kBatch frames, and leaves `floor` free frames to the allocator.
void refill(Zone zone, size_t floor);

/// Puts a frame that its last owner gave back into a hot stack that is full or closed: makes room in the one, passes the other by.
void push_slowly(FrameNumber frame);

/// Takes one frame past the watermark, for its owner; the zone that it comes from keeps nothing at hand until it is above its mark again.
Result<FrameNumber> take_reserved(Zone zone, Contents contents);

/// CONFIG_MEMORY_DEBUGGING only. A frame on the hot stack that came from an owner is full of poison; these write it and look whether it
/// still stands when the frame goes out again, and whether a frame on the zeroed stack is still zero. Damage is a panic that names
/// the frame and its first wrong word.
void poison(FrameNumber frame);
void check_hot(FrameNumber frame);
void check_zeroed(FrameNumber frame);

/// Visits the entries of a run's frames. Eight at a time: runs are long, and every tick of this loop counts as often.
template <typename Visit>
inline void for_each_frame(FrameInfo* entry, Order order, Visit visit) {
    const FrameInfo* const end = entry + order.frames();
    if (order < Order(3)) {
        do visit(*entry++);
        while (entry != end);
        return;
    }
    do {
        visit(entry[0]), visit(entry[1]), visit(entry[2]), visit(entry[3]);
        visit(entry[4]), visit(entry[5]), visit(entry[6]), visit(entry[7]);
        entry += 8;
    } while (entry != end);
}

/// The entry of the first frame of a run that the frame allocator has just handed out for a request for `zone`. All its frames get
/// the new use. The allocator may be a student's: a frame that it must not hand out is named here, where it happens.
[[gnu::always_inline]] inline FrameInfo& claim(FrameNumber first, Order order, Zone zone, FrameUse use) {
    const uint32_t behind_first = order.frames() - 1;
    KASSERT("the frame allocator hands out runs that begin at a multiple of their size", (first.value() & behind_first) == 0);
    KASSERT("the frame allocator hands out frames of memory", (first.value() | behind_first) < entry_count);
    KASSERT("the frame allocator hands out no frame of a higher zone than was asked for", &stacks_of(first) <= &stacks_of(zone));
    FrameInfo& entry = entries[first.value()];
    for_each_frame(&entry, order, [use](FrameInfo& info) {
        KASSERT("the frame allocator hands out frames that nobody has", info.use == FrameUse::Free);
        info.use = use;
    });
    return entry;
}

/// Gives a run back to the frame allocator, which must take it.
void give_back(FrameNumber first, Order order);

} // namespace mm::frame_cache
