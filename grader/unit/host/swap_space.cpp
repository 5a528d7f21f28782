#include "host/swap_space.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "lib/panic.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/reclaim/swap_area.h"
#include "mm/space/reverse_map.h"
#include "mm/space/swap_services.h"

namespace {

using namespace mm;
using Page = std::array<uint32_t, kPageSize / 4>;

std::vector<Page> area;
std::set<uint32_t> bad_list;
host::DiskFaults faults;
swap_area::Statistics counts;

std::vector<AddressSpace*> known;
VirtAddr known_begin;
size_t known_pages = 0;
std::set<uint32_t> dirtied;

bool is_in_area(SwapSlot first, size_t count) { return first.value() != 0 && first.value() + count <= area.size(); }

bool fails(const std::set<uint32_t>& slots, SwapSlot first, size_t count) {
    const auto at = slots.lower_bound(first.value());
    return at != slots.end() && *at < first.value() + count;
}

void must_have_owner(FrameNumber frame) {
    KASSERT("a frame that goes to the disk, or comes from it, is somebody's", frame_table::info(frame).use == FrameUse::Allocated);
}

} // namespace

namespace host {

void make_swap_area(uint32_t slots, std::set<uint32_t> bad) {
    area.assign(slots, Page{});
    bad_list = std::move(bad);
}

DiskFaults& disk_faults() { return faults; }

bool slot_holds(uint32_t slot, uint32_t word) {
    const Page& page = area.at(slot);
    return page[0] == word && memcmp(page.data(), page.data() + 1, sizeof(Page) - sizeof(page[0])) == 0; // each is as the one before
}

void set_known_spaces(std::vector<AddressSpace*> spaces, VirtAddr begin, size_t pages) {
    known = std::move(spaces);
    known_begin = begin;
    known_pages = pages;
}

} // namespace host

namespace mm {

namespace swap_area {

size_t slots() { return area.size(); }
size_t bad_slots() { return bad_list.size(); }
bool is_bad(SwapSlot slot) { return bad_list.contains(slot.value()); }
const Statistics& statistics() { return counts; }

Result<void> write(SwapSlot first, std::span<const FrameNumber> frames) {
    if (!is_in_area(first, frames.size())) return Error::OutOfRange;
    ++counts.writes;
    if (fails(faults.writes, first, frames.size())) {
        ++counts.write_errors;
        return Error::DeviceError;
    }
    for (size_t i = 0; i < frames.size(); ++i) {
        must_have_owner(frames[i]);
        const FrameMemory memory = frame_memory(frames[i]);
        std::copy_n(memory.as<uint32_t>(), kPageSize / 4, area[first.value() + i].begin());
    }
    counts.pages_written += static_cast<uint32_t>(frames.size());
    return {};
}

Result<void> read(SwapSlot first, std::span<const FrameNumber> frames) {
    if (!is_in_area(first, frames.size())) return Error::OutOfRange;
    ++counts.reads;
    if (fails(faults.reads, first, frames.size())) {
        ++counts.read_errors;
        return Error::DeviceError;
    }
    for (size_t i = 0; i < frames.size(); ++i) {
        must_have_owner(frames[i]);
        const FrameMemory memory = frame_memory(frames[i]);
        std::copy_n(area[first.value() + i].begin(), kPageSize / 4, memory.as<uint32_t>());
    }
    counts.pages_read += static_cast<uint32_t>(frames.size());
    return {};
}

} // namespace swap_area

namespace reverse_map {

size_t for_each(FrameNumber frame, Visit visit, void* context) {
    KASSERT("who shows a frame is asked of one that somebody has", frame_table::info(frame).references > 0);
    size_t found = 0;
    for (AddressSpace* const space : known) {
        for (size_t i = 0; i < known_pages; ++i) {
            const VirtAddr page = known_begin + static_cast<uint32_t>(i * kPageSize);
            Pte* const entry = reinterpret_cast<Pte*>(host::entry_of(*space, page));
            if (!entry || !entry->is_present() || entry->frame() != frame) continue;
            ++found;
            visit(context, {space, page, entry});
        }
    }
    return found;
}

MemoryObject* object_of(FrameNumber) { return nullptr; }
VirtAddr page_of(FrameNumber) { return known_begin; }
bool was_dirtied(FrameNumber frame) { return dirtied.contains(frame.value()); }
void set_dirtied(FrameNumber frame, bool is_dirtied) {
    if (is_dirtied) dirtied.insert(frame.value());
    else dirtied.erase(frame.value());
}

} // namespace reverse_map

namespace spaces {

SwapSlot swap_entry(const AddressSpace* space, VirtAddr page) {
    const uint32_t* const entry = host::entry_of(*space, page);
    const Pte pte = Pte::from_word(entry ? *entry : 0);
    return pte.is_swapped() ? pte.slot() : SwapSlot(0);
}

void count_swapped_out(AddressSpace* space) {
    --space->resident;
    ++space->swapped;
}

void count_hidden(AddressSpace* space) { --space->resident; }

Result<void> show_swapped(AddressSpace* space, const Area& where, VirtAddr page, FrameNumber frame, Access access) {
    KASSERT("a page that comes back has a swap entry", swap_entry(space, page) != SwapSlot(0));
    KASSERT("a page grants no more than its area", access == Access::ReadOnly || where.protection.write);
    must_have_owner(frame);
    if (space->resident >= space->limits.resident) return Error::LimitReached;
    *host::entry_of(*space, page) = Pte::present(frame, {access, Privilege::User, Scope::Local}).word();
    ++space->resident;
    --space->swapped;
    return {};
}

} // namespace spaces
} // namespace mm
