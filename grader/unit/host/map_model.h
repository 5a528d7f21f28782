/// @file
/// What memory_map::sanitise() must answer, worked out another way: by looking at each boundary, one byte at a time.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/source.h"
#include "lib/address.h"
#include "mm/physical/memory_map.h"

namespace host {

/// The usable ranges of a map.
std::vector<FrameRange> expected_ranges(std::span<const mm::MemoryMapEntry> firmware);

/// Calls sanitise() with room enough; what is wrong with its answer, in words, or an empty text.
std::string compare_with_model(std::span<const mm::MemoryMapEntry> firmware);

/// Up to 64 entries such as no honest firmware gives: unaligned, overlapping, empty, wrapping, around 4 GiB.
std::vector<mm::MemoryMapEntry> random_map(Source& source);

} // namespace host
