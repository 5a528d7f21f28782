/// Reference solution of lab 03-buddy: one free list per zone, threaded through the frame table.
///
///     zones[Dma]      head -> 0x9E -> 0x9F -> 0x300 -> ... -> end          link[0] of each frame's entry is the arrow
///     zones[Normal]   head -> 0x1000 -> ...
///     zones[High]     head -> end
///
/// A frame's allocator_tag says where it stands:
///
/// | state     | meaning                        | in a list | becomes             |
/// |-----------|--------------------------------|-----------|---------------------|
/// | Unmanaged | no memory: a hole, a device    | no        | nothing else        |
/// | Reserved  | memory that is taken for good  | no        | nothing else        |
/// | Free      | ours to hand out               | yes       | InUse by allocate() |
/// | InUse     | handed out                     | no        | Free by free()      |
///
/// Both functions touch the head of one list and one entry of the table, however large memory is.
#include "mm/physical/frame_allocator.h"

#include "config.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace mm::frame_allocator {
namespace {

enum class State : uint8_t { Unmanaged = 0, Reserved, Free, InUse };

/// Ends a list. No frame has this number: frames are below kMaxFrames.
constexpr FrameNumber kEnd{~uint32_t{0}};

struct ZoneList {
    FrameNumber head = kEnd;
    size_t count = 0;
};
constinit ZoneList zones[kZoneCount];

ZoneList& zone_list(Zone zone) { return zones[static_cast<uint32_t>(zone)]; }

State state(const FrameInfo& info) { return State{info.allocator_tag}; }
void set_state(FrameInfo& info, State state) { info.allocator_tag = static_cast<uint8_t>(state); }

/// Puts a frame in front of its zone's list.
void push(FrameNumber frame, FrameInfo& info) {
    ZoneList& list = zone_list(zone_of(frame));
    set_state(info, State::Free);
    info.link[0] = list.head.value();
    list.head = frame;
    ++list.count;
}

/// Takes the first frame of a list that is not empty.
FrameNumber pop(ZoneList& list) {
    const FrameNumber frame = list.head;
    FrameInfo& info = frame_table::info(frame);
    set_state(info, State::InUse);
    list.head = FrameNumber(info.link[0]);
    --list.count;
    return frame;
}

/// Reserved ranges may reach past the last frame of memory, where the table has no entries.
FrameNumber clamp_to_table(FrameNumber frame) {
    const FrameNumber end(static_cast<uint32_t>(frame_table::frame_count()));
    return frame < end ? frame : end;
}

} // namespace

Result<void> initialize(std::span<const FrameRange> usable, std::span<const FrameRange> reserved) {
    for (const FrameRange& range : reserved) {
        const FrameNumber end = clamp_to_table(range.end);
        for (FrameNumber frame = range.begin; frame < end; ++frame) set_state(frame_table::info(frame), State::Reserved);
    }
    // Downwards, so that the lists begin with the lowest frames: easy on the eye in a dump.
    for (size_t i = usable.size(); i > 0; --i) {
        for (FrameNumber frame = usable[i - 1].end; frame > usable[i - 1].begin;) {
            frame = FrameNumber(frame.value() - 1);
            FrameInfo& info = frame_table::info(frame);
            if (state(info) != State::Reserved) push(frame, info);
        }
    }
    return {};
}

Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {
    if (order != Order(0)) return Error::Unsupported;
    for (uint32_t i = static_cast<uint32_t>(zone) + 1; i > 0; --i) {
        ZoneList& list = zones[i - 1];
        if (list.count == 0) continue;
        const FrameNumber frame = pop(list);
        if (contents == Contents::Zeroed) zero_frame(frame);
        return frame;
    }
    return Error::OutOfMemory;
}

Result<void> free(FrameNumber first, Order order) {
    if (order != Order(0)) return Error::Unsupported;
    if (first.value() >= frame_table::frame_count()) return Error::NotAllocated;
    FrameInfo& info = frame_table::info(first);
    if (state(info) != State::InUse) return Error::NotAllocated;
    if constexpr (CONFIG_MEMORY_DEBUGGING) fill_frame(first, kFreedFramePoison);
    push(first, info);
    return {};
}

size_t free_frames(Zone zone) { return zone_list(zone).count; }

} // namespace mm::frame_allocator
