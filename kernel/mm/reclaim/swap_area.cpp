#include "mm/reclaim/swap_area.h"

#include "arch/cpu.h"
#include "lib/memory.h"
#include "mm/physical/frame_memory.h"

namespace mm::swap_area {

namespace {

constexpr uint32_t kVersion = 1;
constexpr char kMagic[] = "SWAPSPACE2";
constexpr char kOldMagic[] = "SWAP-SPACE"; // version 0, which had a bitmap of good pages
constexpr size_t kMagicLength = sizeof(kMagic) - 1;

struct Header {
    uint8_t boot_bits[1024]; ///< Not looked at: room for a disk label.
    uint32_t version;
    uint32_t last_page;
    uint32_t bad_page_count;
    uint8_t names[1536 - 1036]; ///< UUID and label, and room for more: not looked at.
    uint32_t bad_pages[kMaxBadSlots];
    uint8_t padding[2];
    char magic[kMagicLength];
};
static_assert(sizeof(Header) == kPageSize && offsetof(Header, bad_pages) == 1536 && offsetof(Header, magic) == 4086);

const BlockDevice* area = nullptr; ///< Null: no area is in use.
size_t slot_count = 0;
uint32_t bad_list[kMaxBadSlots]; ///< In ascending order.
size_t bad_slot_count = 0;
Statistics counts;

alignas(Header) uint8_t header_page[kPageSize]; ///< As read by open().

/// Where in the sorted list `slot` is, or belongs.
size_t bad_slot_index(uint32_t slot) {
    size_t begin = 0, end = bad_slot_count;
    while (begin < end) {
        const size_t middle = (begin + end) / 2;
        if (bad_list[middle] < slot) begin = middle + 1;
        else end = middle;
    }
    return begin;
}

bool is_listed(size_t index, uint32_t slot) { return index < bad_slot_count && bad_list[index] == slot; }

/// Takes over the header's list of bad slots.
/// @return whether it says what can be
bool take_bad_slots(const Header& header) {
    bad_slot_count = 0;
    // With every slot bad there would be nothing to use.
    if (header.bad_page_count > kMaxBadSlots || header.bad_page_count >= header.last_page) return false;
    for (size_t i = 0; i < header.bad_page_count; ++i) {
        const uint32_t slot = header.bad_pages[i];
        const size_t index = bad_slot_index(slot);
        if (slot == 0 || slot > header.last_page || is_listed(index, slot)) return false;
        memmove(bad_list + index + 1, bad_list + index, (bad_slot_count - index) * sizeof(bad_list[0]));
        bad_list[index] = slot;
        ++bad_slot_count;
    }
    return true;
}

Fault check(const Header& header, size_t pages) {
    if (memcmp(header.magic, kOldMagic, kMagicLength) == 0) return Fault::Version;
    if (memcmp(header.magic, kMagic, kMagicLength) != 0) return Fault::NotSwap;
    if (header.version != kVersion) return Fault::Version;
    if (header.last_page < kMinSlots - 1) return Fault::TooShort;
    if (header.last_page >= pages) return Fault::PastEnd;
    return take_bad_slots(header) ? Fault::None : Fault::BadPages;
}

/// Whether the slots are there, and none of them is the header.
bool is_in_area(SwapSlot first, size_t count) {
    return first.value() != 0 && first.value() < slot_count && count <= slot_count - first.value();
}

uint32_t sector_of(SwapSlot slot) { return slot.value() * kSectorsPerPage; }

using Mover = Result<void> (*)(const BlockDevice& device, uint32_t first, std::span<void* const> pages);

/// Makes the frames from number pages_there on reachable, one in each call of itself, and has the device move them all at once: frames
/// of the High zone have addresses for a while only.
Result<void> move(SwapSlot first, std::span<const FrameNumber> frames, Mover mover, void** pages, size_t pages_there) {
    if (pages_there < frames.size()) {
        const FrameMemory memory = frame_memory(frames[pages_there]);
        pages[pages_there] = memory.as<void>();
        return move(first, frames, mover, pages, pages_there + 1);
    }
    const uint64_t begin = Cpu::ticks();
    const Result<void> moved = mover(*area, sector_of(first), {pages, pages_there});
    counts.ticks += Cpu::ticks() - begin;
    return moved;
}

Result<void> write_some(SwapSlot first, std::span<const FrameNumber> frames) {
    void* pages[kMaxPagesPerCommand];
    const Result<void> written = move(first, frames, write_pages, pages, 0);
    ++counts.writes;
    if (written.is_error()) ++counts.write_errors;
    else counts.pages_written += frames.size();
    return written;
}

Result<void> read_some(SwapSlot first, std::span<const FrameNumber> frames) {
    void* pages[kMaxPagesPerCommand];
    const Result<void> done = move(first, frames, read_pages, pages, 0);
    ++counts.reads;
    if (done.is_error()) ++counts.read_errors;
    else counts.pages_read += frames.size();
    return done;
}

/// Does a long request in pieces of what one command can move.
Result<void> in_commands(SwapSlot first, std::span<const FrameNumber> frames,
                         Result<void> (*some)(SwapSlot, std::span<const FrameNumber>)) {
    if (frames.empty()) return {};
    if (!is_in_area(first, frames.size())) return Error::OutOfRange;
    for (size_t done = 0; done < frames.size(); done += kMaxPagesPerCommand) {
        const size_t left = frames.size() - done;
        TRY(some(SwapSlot(first.value() + done), frames.subspan(done, left < kMaxPagesPerCommand ? left : kMaxPagesPerCommand)));
    }
    return {};
}

} // namespace

const char* fault_text(Fault fault) {
    switch (fault) {
    case Fault::None: return "nothing is wrong";
    case Fault::NotSwap: return "no swap header";
    case Fault::Version: return "its version is not 1";
    case Fault::TooShort: return "fewer than 10 pages";
    case Fault::PastEnd: return "more pages than the device has";
    case Fault::BadPages: return "its list of bad pages is damaged";
    case Fault::Device: return "the device cannot be read";
    }
    return "(not a Fault)";
}

Result<void> open(const BlockDevice& device, Fault* why) {
    Fault unwanted;
    Fault& fault = why ? *why : unwanted;
    fault = Fault::None;
    if (area) return Error::Busy;
    const size_t pages = device.sectors / kSectorsPerPage;
    if (pages == 0) { // no room for a header
        fault = Fault::NotSwap;
        return Error::BadFormat;
    }
    const Result<void> header_read = device.read(device, 0, kSectorsPerPage, header_page);
    const Header& header = *reinterpret_cast<const Header*>(header_page);
    fault = header_read.is_error() ? Fault::Device : check(header, pages);
    if (fault != Fault::None) {
        close();
        return fault == Fault::Device ? header_read.error() : Error::BadFormat;
    }
    area = &device;
    slot_count = header.last_page < kMaxSlots ? header.last_page + 1 : kMaxSlots;
    return {};
}

void close() {
    area = nullptr;
    slot_count = bad_slot_count = 0;
}

bool is_open() { return area; }

const char* name() { return area ? area->name : ""; }

size_t slots() { return slot_count; }

size_t bad_slots() { return bad_slot_count; }

bool is_bad(SwapSlot slot) { return is_listed(bad_slot_index(slot.value()), slot.value()); }

Result<void> write(SwapSlot first, std::span<const FrameNumber> frames) { return in_commands(first, frames, write_some); }

Result<void> read(SwapSlot first, std::span<const FrameNumber> frames) { return in_commands(first, frames, read_some); }

const Statistics& statistics() { return counts; }

} // namespace mm::swap_area
