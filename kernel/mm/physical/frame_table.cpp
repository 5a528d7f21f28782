#include "mm/physical/frame_table.h"

#include <algorithm>

#include "config.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/physical/boot_memory.h"

namespace mm::frame_table {

namespace {

FrameInfo* table = nullptr;
size_t entries = 0;

void mark(FrameRange frames, FrameUse use) {
    const size_t end = std::min<size_t>(frames.end.value(), entries);
    for (size_t frame = frames.begin.value(); frame < end; ++frame) table[frame].use = use;
}

} // namespace

void build() {
    entries = boot_memory::end_of_memory().value();
    const size_t bytes = entries * sizeof(FrameInfo);
    const FrameRange home = boot_memory::take((bytes + kPageSize - 1) / kPageSize, "frame table");
    table = reinterpret_cast<FrameInfo*>(home.begin.address().value());
    memset(table, 0, bytes);
}

void classify() {
    for (const FrameRange range : boot_memory::usable()) mark(range, FrameUse::Free);
    for (const FrameRange range : boot_memory::reserved()) mark(range, FrameUse::Reserved);
}

size_t frame_count() { return entries; }

FrameInfo& info(FrameNumber frame) {
#if CONFIG_MEMORY_DEBUGGING
    KASSERT("a frame table index lies within the table", frame.value() < entries);
#endif
    return table[frame.value()];
}

} // namespace mm::frame_table
