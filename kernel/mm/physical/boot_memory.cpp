#include "mm/physical/boot_memory.h"

#include <algorithm>
#include <array>

#include "lib/panic.h"
#include "mm/physical/zone.h"

namespace mm::boot_memory {

FrameRange reserved_frames[kMaxReserved];
size_t reserved_count = 0;

namespace {

std::array<MemoryMapEntry, memory_map::kMaxEntries> firmware_entries;
size_t firmware_count = 0;
std::array<FrameRange, memory_map::kMaxEntries> usable_ranges;
size_t usable_count = 0;
std::array<const char*, kMaxReserved> reserved_names;

/// sanitise() is a student's: what it returned is checked before the kernel stands on it.
void check_usable() {
    if (usable_count == 0) PANIC("lab 01-frames: sanitise() found no memory at all");
    if (usable_count > usable_ranges.size()) PANIC("lab 01-frames: sanitise() says it wrote more ranges than fit");
    for (size_t i = 0; i < usable_count; ++i) {
        if (usable_ranges[i].begin >= usable_ranges[i].end) PANIC("lab 01-frames: sanitise() returned an empty range");
        if (usable_ranges[i].end.value() > kMaxFrames) PANIC("lab 01-frames: sanitise() returned memory above 4 GiB");
        if (i > 0 && usable_ranges[i].begin < usable_ranges[i - 1].end)
            PANIC("lab 01-frames: sanitise() returned ranges that are not sorted, or overlap");
    }
}

/// The first reserved range that `candidate` touches, or nullptr.
const FrameRange* conflict(FrameRange candidate) {
    const auto taken = reserved();
    const auto found = std::find_if(taken.begin(), taken.end(), [&](FrameRange range) { return range.overlaps(candidate); });
    return found == taken.end() ? nullptr : &*found;
}

/// The lowest `count` frames in a row of `range` that nobody reserved; an empty range when there are none.
FrameRange find_unreserved(size_t count, FrameRange range) {
    FrameRange candidate{range.begin, range.begin + count};
    while (candidate.end <= range.end) {
        const FrameRange* taken = conflict(candidate);
        if (!taken) return candidate;
        candidate = {taken->end, taken->end + count};
    }
    return {};
}

/// Memory that answers: a map that calls a hole memory must not take the kernel down in a place that explains nothing.
void check_memory_answers(FrameRange frames) {
    for (const FrameNumber frame : {frames.begin, FrameNumber(frames.end.value() - 1)}) {
        auto* word = reinterpret_cast<volatile uint32_t*>(frame.address().value());
        for (const uint32_t pattern : {0x5A5A'A5A5u, 0xA5A5'5A5Au}) {
            *word = pattern;
            if (*word != pattern) PANIC("lab 01-frames: sanitise() calls frames usable where there is no memory");
        }
    }
}

} // namespace

void discover(std::span<const MemoryMapEntry> firmware) {
    firmware_count = std::min(firmware.size(), firmware_entries.size());
    std::copy_n(firmware.begin(), firmware_count, firmware_entries.begin());
    const auto count = memory_map::sanitise(boot_memory::firmware(), usable_ranges);
    if (count.is_error()) PANIC("lab 01-frames: sanitise() returned an error for the firmware's memory map");
    usable_count = count.value();
    check_usable();
}

void reserve(FrameRange frames, const char* what) {
    if (frames.begin == frames.end) return;
    KASSERT("there is room for another reserved range", reserved_count < kMaxReserved);
    reserved_names[reserved_count] = what;
    reserved_frames[reserved_count++] = frames;
}

void reserve_bytes(PhysAddr begin, uint32_t length, const char* what) {
    if (length == 0) return;
    reserve({FrameNumber::containing(begin), FrameNumber::containing(begin + (length - 1)) + 1}, what);
}

FrameRange take(size_t count, const char* what) {
    for (const Zone zone : {Zone::Normal, Zone::Dma}) { // DMA memory is scarce: it comes last
        for (const FrameRange range : usable()) {
            const FrameRange found = find_unreserved(count, intersect(range, zone_frames(zone)));
            if (found.count() == 0) continue;
            check_memory_answers(found);
            reserve(found, what);
            return found;
        }
    }
    PANIC("too little memory: the kernel finds no room for its own tables");
}

std::span<const MemoryMapEntry> firmware() { return {firmware_entries.data(), firmware_count}; }
std::span<const FrameRange> usable() { return {usable_ranges.data(), usable_count}; }
std::span<const FrameRange> reserved() { return {reserved_frames, reserved_count}; }
const char* reserved_name(size_t i) { return reserved_names[i]; }
FrameNumber end_of_memory() { return usable_ranges[usable_count - 1].end; }

} // namespace mm::boot_memory
