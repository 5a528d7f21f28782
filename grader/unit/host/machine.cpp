#include "host/machine.h"

#include <algorithm>
#include <map>

#include "host/arena.h"
#include "host/paging.h"
#include "lib/panic.h"
#include "mm/paging/layout.h"
#include "mm/physical/boot_memory.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace host {

namespace {

Machine booted;
std::map<uint32_t, size_t> mapped; ///< Temporary mappings of a frame, by its address.
size_t mappings = 0;
size_t most_mappings = 0;

/// A High frame lies at its physical address like any other, and may be touched while it is mapped.
void* map_temporarily(FrameNumber frame) {
    KASSERT("a temporary mapping is free: frame_memory() objects are short-lived", mappings < mm::kKmapSlots);
    most_mappings = std::max(most_mappings, ++mappings);
    if (mapped[frame.address().value()]++ == 0) allow(frame);
    return pointer_to<void>(VirtAddr(frame.address().value()));
}

void unmap_temporarily(void* address) {
    const auto found = mapped.find(address_of(address).value());
    if (found == mapped.end() || found->second == 0) return;
    --mappings;
    if (--found->second == 0) forbid(found->first, kPageSize);
}

void forbid_range(FrameRange frames) {
    if (frames.count() > 0) forbid(frames.begin.address().value(), size_t{frames.count()} * kPageSize);
}

} // namespace

Machine ordinary_machine() {
    return {.memory = {bytes(0x1'0000, 0x9'F000), bytes(0x10'0000, 0x4F'3000), bytes(0x100'0000, 0x1C0'5000),
                       bytes(0x1D0'0000, 0x200'0000), bytes(0x1000'0000, 0x1042'1000)},
            .reserved = {bytes(0, 0x1'1000), bytes(0x9'E000, 0x10'0000), bytes(0x12'3000, 0x15'7000), bytes(0x15'0000, 0x15'9000),
                         bytes(0x1BF'F000, 0x1D0'1000), bytes(0x1042'0000, 0x1100'0000)}};
}

void boot(const Machine& machine) {
    KASSERT("a machine is booted once in a process", booted.memory.empty());
    reserve_addresses();
    booted = machine;
    for (const FrameRange frames : booted.memory) add_memory(frames);
    for (const FrameRange taken : booted.reserved)
        for (const FrameRange memory : booted.memory) forbid_range(intersect(taken, memory));
    for (const FrameRange memory : booted.memory) forbid_range(intersect(memory, mm::zone_frames(mm::Zone::High)));
    mm::set_temporary_mapper({.map = map_temporarily, .unmap = unmap_temporarily});
    mm::frame_table::build();
    build_kernel_directory();
    mm::frame_table::classify();
}

std::span<const FrameRange> usable() { return booted.memory; }
std::span<const FrameRange> reserved() { return booted.reserved; }

bool is_free_at_boot(FrameNumber frame) {
    const auto has = [frame](FrameRange range) { return range.contains(frame); };
    return std::ranges::any_of(booted.memory, has) && std::ranges::none_of(booted.reserved, has);
}

std::vector<FrameNumber> free_at_boot(mm::Zone zone) {
    std::vector<FrameNumber> found;
    for (const FrameRange range : booted.memory) {
        const FrameRange part = intersect(range, mm::zone_frames(zone));
        for (FrameNumber frame = part.begin; frame < part.end; ++frame)
            if (is_free_at_boot(frame)) found.push_back(frame);
    }
    return found;
}

size_t temporary_mappings() { return mappings; }
size_t most_temporary_mappings() { return most_mappings; }

} // namespace host

// What the kernel does before there is an allocator: boot_memory.h without the firmware.
namespace mm::boot_memory {

FrameRange take(size_t count, const char*) {
    const auto size = static_cast<uint32_t>(count);
    for (const Zone zone : {Zone::Normal, Zone::Dma}) {
        for (const FrameRange memory : host::booted.memory) {
            const FrameRange range = intersect(memory, zone_frames(zone));
            for (FrameNumber first = range.begin; first + size <= range.end; ++first) {
                const FrameRange run{first, first + size};
                if (std::ranges::any_of(host::booted.reserved, [run](FrameRange taken) { return taken.overlaps(run); })) continue;
                host::booted.reserved.push_back(run);
                return run;
            }
        }
    }
    PANIC("the machine of this test is too small for the kernel's own tables");
}

std::span<const FrameRange> usable() { return host::booted.memory; }
std::span<const FrameRange> reserved() { return host::booted.reserved; }
FrameNumber end_of_memory() { return host::booted.memory.back().end; }

} // namespace mm::boot_memory
