#include "host/frames.h"

#include <array>
#include <limits>
#include <vector>

#include "host/arena.h"
#include "host/machine.h"
#include "host/source.h"
#include "lib/panic.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace host {

namespace {

using mm::FrameInfo;
using mm::FrameUse;
using mm::Zone;

constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

Runs runs_served = Runs::Unsupported;
Source source(0);
std::array<std::vector<uint32_t>, mm::kZoneCount> free_lists;
std::vector<uint32_t> place_in_list; ///< By frame number; kNowhere when it is not free.
constexpr uint32_t kNowhere = ~0u;
size_t allowed = kUnlimited;
size_t in_use_count = 0;
size_t requests = 0;
void (*last_release)(FrameNumber) = nullptr;

std::vector<uint32_t>& list_of(uint32_t frame) { return free_lists[static_cast<size_t>(mm::zone_of(FrameNumber(frame)))]; }

void put(uint32_t frame) {
    place_in_list[frame] = static_cast<uint32_t>(list_of(frame).size());
    list_of(frame).push_back(frame);
}

void take(uint32_t frame) {
    auto& list = list_of(frame);
    const uint32_t place = place_in_list[frame];
    list[place] = list.back();
    place_in_list[list[place]] = place;
    list.pop_back();
    place_in_list[frame] = kNowhere;
}

bool is_free_run(uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i)
        if (first + i >= place_in_list.size() || place_in_list[first + i] == kNowhere) return false;
    return true;
}

/// The first frame of a run that is free, or kNowhere.
uint32_t find_run(Order order, Zone highest) {
    for (size_t zone = static_cast<size_t>(highest) + 1; zone-- > 0;) {
        const auto& list = free_lists[zone];
        if (list.empty()) continue;
        const size_t start = source.below(list.size());
        for (size_t i = 0; i < list.size(); ++i) {
            const uint32_t first = align_down(list[(start + i) % list.size()], order.frames());
            if (is_free_run(first, order.frames())) return first;
        }
    }
    return kNowhere;
}

/// What an owner finds: rubbish, or zeros; and in the frame table what the last owner left.
void hand_out(FrameNumber frame, mm::Contents contents) {
    take(frame.value());
    const bool high = mm::zone_of(frame) == Zone::High; // touched through frame_memory() only
    if (!high) allow(frame);
    mm::fill_frame(frame, contents == mm::Contents::Zeroed ? 0 : 0xBAD0'F4A3u);
    FrameInfo& info = mm::frame_table::info(frame);
    info.use = FrameUse::Allocated;
    info.references = 0;
    info.order = 0;
    info.owner_tag = static_cast<uint8_t>(source.byte());
    info.link[0] = static_cast<uint32_t>(source.word());
    info.link[1] = static_cast<uint32_t>(source.word());
}

void take_back(FrameNumber frame) {
    mm::frame_table::info(frame).use = FrameUse::Free;
    if (mm::zone_of(frame) != Zone::High) forbid(frame);
    put(frame.value());
}

Result<FrameNumber> allocate_any(Order order, Zone zone, mm::Contents contents) {
    ++requests;
    if (order > Order(0) && runs_served == Runs::Unsupported) return Error::Unsupported;
    if (order > mm::kMaxOrder) return Error::Unsupported;
    if (allowed == 0) return Error::OutOfMemory;
    const uint32_t first = find_run(order, zone);
    if (first == kNowhere) return Error::OutOfMemory;
    for (uint32_t i = 0; i < order.frames(); ++i) hand_out(FrameNumber(first + i), contents);
    FrameInfo& info = mm::frame_table::info(FrameNumber(first));
    info.references = 1;
    info.order = static_cast<uint8_t>(order.value());
    in_use_count += order.frames();
    if (allowed != kUnlimited) --allowed;
    return FrameNumber(first);
}

Result<void> release_any(FrameNumber first, Order order) {
    if (first.value() >= mm::frame_table::frame_count()) return Error::NotAllocated;
    FrameInfo& info = mm::frame_table::info(first);
    if (info.use != FrameUse::Allocated || info.references == 0 || info.order != order.value()) return Error::NotAllocated;
    if (info.references == 1 && order == Order(0) && last_release) last_release(first);
    if (--info.references > 0) return {};
    for (uint32_t i = 0; i < order.frames(); ++i) take_back(first + i);
    in_use_count -= order.frames();
    return {};
}

} // namespace

void start_frames(Runs runs, uint64_t seed) {
    runs_served = runs;
    source = Source(seed);
    place_in_list.assign(mm::frame_table::frame_count(), kNowhere);
    for (const Zone zone : mm::kAllZones) {
        for (const FrameNumber frame : free_at_boot(zone)) {
            put(frame.value());
            forbid(frame);
        }
    }
}

size_t free_frame_count() {
    size_t sum = 0;
    for (const auto& list : free_lists) sum += list.size();
    return sum;
}
bool is_free_now(FrameNumber frame) { return frame.value() < place_in_list.size() && place_in_list[frame.value()] != kNowhere; }
bool has_free_run(Order order) { return find_run(order, Zone::High) != kNowhere; }
void on_last_release(void (*listener)(FrameNumber frame)) { last_release = listener; }
size_t frame_requests() { return requests; }

} // namespace host

namespace mm::frames {

Result<FrameNumber> allocate(Zone zone, Contents contents) { return host::allocate_any(Order(0), zone, contents); }
Result<FrameNumber> allocate_reserve(Zone zone, Contents contents) { return host::allocate_any(Order(0), zone, contents); }
Result<FrameNumber> allocate_run(Order order, Zone zone, Contents contents) { return host::allocate_any(order, zone, contents); }
Result<void> release(FrameNumber frame) { return host::release_any(frame, Order(0)); }
Result<void> release_run(FrameNumber first, Order order) { return host::release_any(first, order); }

void share(FrameNumber first) {
    FrameInfo& info = frame_table::info(first);
    KASSERT("only an allocated frame gets another owner", info.use == FrameUse::Allocated && info.references > 0);
    ++info.references;
}

size_t in_use() { return host::in_use_count; }
void fail_after(size_t count) { host::allowed = count; }
void fail_never() { host::allowed = host::kUnlimited; }

} // namespace mm::frames

namespace mm::pages {

Result<void*> allocate(Order order, Contents contents) {
    return identity_address(TRY(frames::allocate_run(order, Zone::Normal, contents)));
}
Result<void*> get_free_page(Contents contents) { return identity_address(TRY(frames::allocate(Zone::Normal, contents))); }
Result<void> free(void* address, Order order) {
    if (!is_identity_address(address) || address_of(address).page_offset() != 0) return Error::NotAllocated;
    return frames::release_run(identity_frame(address), order);
}

} // namespace mm::pages
