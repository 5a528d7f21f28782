// Operations on the swap area: its header, its slots, and its disk that fails when it is told to. For the project's own tests
// (grader/tests/test_swap_area.py). Pages are patterns that numbers decide, and come back as checksums.

#include <cstddef>
#include <cstdint>

#include "drivers/ata.h"
#include "guest/harness.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"
#include "mm/reclaim/swap_area.h"
#include "swap_device.h"

namespace {

using harness::Call;
using mm::FrameMemory;
using mm::SwapSlot;
using mm::frame_memory;
namespace frames = mm::frames;
namespace swap_area = mm::swap_area;

constexpr size_t kMaxPages = 64;

/// The byte at `position` of what is written with `seed`; grader/tests/volume_model.py has the same.
uint8_t pattern(uint32_t seed, uint32_t position) { return static_cast<uint8_t>(seed + position * 167 + (position >> 8) * 13); }

/// FNV-1a (Fowler, Noll, Vo), 32 bits, of a page.
uint32_t checksum(FrameNumber frame) {
    const FrameMemory memory = frame_memory(frame);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < kPageSize; ++i) hash = (hash ^ memory.as<uint8_t>()[i]) * 16777619u;
    return hash;
}

/// Frames for one operation, in descending order: nobody may take them for one piece of memory.
class Pages {
public:
    Pages(Call& call, size_t count, mm::Zone zone) : count_(count) {
        if (count > kMaxPages) harness::bad_script("too many pages", call.word(1));
        for (size_t i = 0; i < count; ++i) {
            const Result<FrameNumber> frame = frames::allocate(zone, mm::Contents::Unspecified);
            if (frame.is_error()) harness::bad_script("no frame for a page", "");
            size_t at = i;
            for (; at > 0 && frames_[at - 1] < frame.value(); --at) frames_[at] = frames_[at - 1];
            frames_[at] = frame.value();
        }
    }
    ~Pages() { frames::release_all(frames_, count_); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    void fill(uint32_t seed) {
        for (size_t page = 0; page < count_; ++page) {
            const FrameMemory memory = frame_memory(frames_[page]);
            for (size_t i = 0; i < kPageSize; ++i) memory.as<uint8_t>()[i] = pattern(seed, page * kPageSize + i);
        }
    }
    std::span<const FrameNumber> list() const { return {frames_, count_}; }

private:
    size_t count_;
    FrameNumber frames_[kMaxPages];
};

/// swaparea.open DISK: what is wrong (swap_area::Fault). The area is that of the whole disk, without a faulty disk in front.
void open(Call& call) {
    swap_area::Fault why;
    const Result<void> opened = swap_area::open(ata_disk(call.number(0)), &why);
    call.reply({static_cast<uint32_t>(why), static_cast<uint32_t>(opened.error())});
}

void close(Call&) { swap_area::close(); }

/// Slots, bad slots, whether an area is in use, the name's first four characters.
void about(Call& call) {
    uint32_t name = 0;
    for (size_t i = 0; i < 4 && swap_area::name()[i]; ++i) name |= uint32_t{static_cast<uint8_t>(swap_area::name()[i])} << i * 8;
    call.reply({swap_area::slots(), swap_area::bad_slots(), swap_area::is_open(), name});
}

void is_bad(Call& call) { call.reply({swap_area::is_bad(SwapSlot(call.number(0)))}); }

/// swaparea.write FIRST COUNT SEED ZONE: a pattern that goes on from page to page; the highest frame that it came from
void write(Call& call) {
    Pages pages(call, call.number(1), call.zone(3));
    pages.fill(call.number(2));
    const SwapSlot first(call.number(0));
    call.enter_piece();
    const Result<void> written = swap_area::write(first, pages.list());
    call.leave_piece();
    call.reply(written.error(), {pages.list().empty() ? 0 : pages.list()[0].value()});
}

/// swaparea.read FIRST COUNT ZONE: the highest frame that it went to, and a checksum for each page
void read(Call& call) {
    Pages pages(call, call.number(1), call.zone(2));
    pages.fill(0xA7);
    const SwapSlot first(call.number(0));
    call.enter_piece();
    const Result<void> done = swap_area::read(first, pages.list());
    call.leave_piece();
    if (done.is_error()) return call.reply(done);
    uint32_t values[1 + kMaxPages] = {pages.list().empty() ? 0 : pages.list()[0].value()};
    for (size_t i = 0; i < pages.list().size(); ++i) values[1 + i] = checksum(pages.list()[i]);
    call.reply({values, 1 + pages.list().size()});
}

/// Commands that read and wrote, pages of both, errors of both, the device's ticks
void statistics(Call& call) {
    const swap_area::Statistics& s = swap_area::statistics();
    call.reply({s.reads, s.writes, s.pages_read, s.pages_written, s.read_errors, s.write_errors, static_cast<uint32_t>(s.ticks)});
}

/// swaparea.faults RULES, or - for none
void set_rules(Call& call) { call.reply(set_swap_faults(call.word(0)[0] == '-' ? "" : call.word(0))); }

HARNESS_VERB("swaparea.open", open);
HARNESS_VERB("swaparea.close", close);
HARNESS_VERB("swaparea.about", about);
HARNESS_VERB("swaparea.is_bad", is_bad);
HARNESS_VERB("swaparea.write", write);
HARNESS_VERB("swaparea.read", read);
HARNESS_VERB("swaparea.statistics", statistics);
HARNESS_VERB("swaparea.faults", set_rules);

} // namespace
