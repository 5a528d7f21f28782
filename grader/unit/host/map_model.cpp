#include "host/map_model.h"

#include <algorithm>
#include <array>
#include <set>

#include "host/text.h"

namespace host {

namespace {

using mm::MemoryKind;
using mm::MemoryMapEntry;

/// 128 bits, so that nothing wraps.
using Wide = unsigned __int128;

constexpr Wide kEndOfBytes = Wide{1} << 64;

/// Whether every byte of the frame is usable and none is anything else. Nothing changes between two boundaries, so the bytes to be
/// asked are the frame's first, and those in it at which some entry begins or ends.
bool is_usable(std::span<const MemoryMapEntry> firmware, uint64_t frame) {
    const Wide begin = Wide{frame} * kPageSize;
    const Wide end = begin + kPageSize;
    std::set<Wide> probes = {begin};
    for (const MemoryMapEntry& entry : firmware) {
        for (const Wide at : {Wide{entry.base}, std::min(Wide{entry.base} + entry.length, kEndOfBytes)})
            if (begin < at && at < end) probes.insert(at);
    }
    return std::ranges::all_of(probes, [&](Wide at) {
        const auto has = [at](const MemoryMapEntry& entry) { return entry.base <= at && at < Wide{entry.base} + entry.length; };
        return std::ranges::any_of(firmware, [&](const MemoryMapEntry& e) { return has(e) && e.kind == MemoryKind::Usable; }) &&
               std::ranges::none_of(firmware, [&](const MemoryMapEntry& e) { return has(e) && e.kind != MemoryKind::Usable; });
    });
}

std::string show(std::span<const FrameRange> ranges) {
    std::string all;
    for (const FrameRange range : ranges) all += text(all.empty() ? "" : " ", range);
    return all.empty() ? "nothing" : all;
}

} // namespace

std::vector<FrameRange> expected_ranges(std::span<const MemoryMapEntry> firmware) {
    std::set<uint64_t> starts = {0, kMaxFrames}; // frames from which on the answer may be another
    for (const MemoryMapEntry& entry : firmware) {
        for (const Wide at : {Wide{entry.base}, std::min(Wide{entry.base} + entry.length, kEndOfBytes)})
            for (const Wide frame : {at / kPageSize, at / kPageSize + 1})
                if (frame < kMaxFrames) starts.insert(static_cast<uint64_t>(frame));
    }
    std::vector<FrameRange> ranges;
    for (auto at = starts.begin(); *at < kMaxFrames; ++at) {
        if (!is_usable(firmware, *at)) continue;
        const FrameRange part{FrameNumber(static_cast<uint32_t>(*at)), FrameNumber(static_cast<uint32_t>(*std::next(at)))};
        if (!ranges.empty() && ranges.back().end == part.begin) ranges.back().end = part.end;
        else ranges.push_back(part);
    }
    return ranges;
}

std::string compare_with_model(std::span<const MemoryMapEntry> firmware) {
    constexpr FrameRange kUntouched{FrameNumber(0xDEAD'0001), FrameNumber(0xDEAD'0002)};
    std::array<FrameRange, mm::memory_map::kMaxEntries + 1> room;
    room.fill(kUntouched);
    const auto expected = expected_ranges(firmware);
    const auto count = mm::memory_map::sanitise(firmware, std::span(room).first(mm::memory_map::kMaxEntries));
    if (expected.size() > mm::memory_map::kMaxEntries) {
        if (count.error() == Error::OutOfMemory) return {};
        return text("expected OutOfMemory for ", expected.size(), " ranges, seen ", count.error());
    }
    if (count.is_error()) return text("expected ", show(expected), "; seen error ", count.error());
    if (count.value() > mm::memory_map::kMaxEntries) return text("it says that it wrote ", count.value(), " ranges into room for 64");
    const std::span<const FrameRange> seen(room.data(), count.value());
    if (!std::ranges::equal(seen, expected)) return text("expected ", show(expected), "; seen ", show(seen));
    return {};
}

std::vector<MemoryMapEntry> random_map(Source& source) {
    constexpr std::array<uint64_t, 6> kNeighbourhoods = {0, 0x9'F000, 0x10'0000, 0x1000'0000, 0xFFFF'0000, 0xFFFF'FFFF'FFFF'0000};
    const auto address = [&] {
        const uint64_t near = kNeighbourhoods[source.below(kNeighbourhoods.size())] + source.below(24) * kPageSize;
        return source.one_in(3) ? near + source.below(kPageSize) : near;
    };
    std::vector<MemoryMapEntry> entries(source.below(mm::memory_map::kMaxEntries + 1));
    for (MemoryMapEntry& entry : entries) {
        entry.base = address();
        switch (source.below(8)) {
        case 0: entry.length = 0; break;
        case 1: entry.length = source.word() << 32 | source.word(); break;
        case 2: entry.length = address() - entry.base; break; // up to another entry's neighbourhood, or around
        default: entry.length = source.below(8) * kPageSize + (source.one_in(3) ? source.below(kPageSize) : 0);
        }
        entry.kind = source.one_in(4) ? MemoryKind{static_cast<uint32_t>(source.below(8))} : MemoryKind::Usable;
    }
    return entries;
}

} // namespace host
