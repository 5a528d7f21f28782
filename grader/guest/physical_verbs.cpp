// Operations on physical memory as the kernel hands it out: mm::frames with its cache, watermarks and shrinkers, and DMA buffers. For
// the project's own tests (with grader/tests/physical_guest.py).

#include <cstddef>
#include <cstdint>

#include "guest/harness.h"
#include "lib/text.h"
#include "mm/physical/boot_memory.h"
#include "mm/physical/dma.h"
#include "mm/physical/frame_cache.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_stacks.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/physical/shrinker.h"
#include "mm/physical/watermarks.h"

namespace {

using harness::Call;
using mm::Contents;
using mm::Zone;
namespace frame_cache = mm::frame_cache;
namespace frames = mm::frames;

Contents contents_of(Call& call, size_t i) {
    if (text_equal(call.word(i), "zeroed")) return Contents::Zeroed;
    if (text_equal(call.word(i), "unspecified")) return Contents::Unspecified;
    harness::bad_script("neither zeroed nor unspecified", call.word(i));
}

void reply(Call& call, Result<FrameNumber> frame) { call.reply(frame.error(), {frame.value().value()}); }

// Frames and runs

/// physical.allocate ZONE CONTENTS -> frame
void allocate(Call& call) { reply(call, frames::allocate(call.zone(0), contents_of(call, 1))); }
/// physical.reserve ZONE CONTENTS -> frame
void reserve(Call& call) { reply(call, frames::allocate_reserve(call.zone(0), contents_of(call, 1))); }
/// physical.run ORDER ZONE CONTENTS -> first frame
void run(Call& call) { reply(call, frames::allocate_run(Order(call.number(0)), call.zone(1), contents_of(call, 2))); }
/// physical.release FRAME
void release(Call& call) { call.reply(frames::release(FrameNumber(call.number(0)))); }
/// physical.release_run FIRST ORDER
void release_run(Call& call) { call.reply(frames::release_run(FrameNumber(call.number(0)), Order(call.number(1)))); }
/// physical.share FIRST
void share(Call& call) { frames::share(FrameNumber(call.number(0))); }

/// physical.free_page ADDRESS ORDER
void free_page(Call& call) { call.reply(mm::pages::free(pointer_to<void>(VirtAddr(call.number(0))), Order(call.number(1)))); }

/// physical.page ORDER CONTENTS -> address
void page(Call& call) {
    const auto address = mm::pages::allocate(Order(call.number(0)), contents_of(call, 1));
    call.reply(address.error(), {address_of(address.value()).value()});
}

// Many frames: a chain through their first words

HARNESS_DATA uint32_t chained;        ///< The frame that was taken last.
HARNESS_DATA uint32_t chain_length;

/// physical.exhaust ZONE DEPTH -> frames taken; DEPTH is "mark" or "last"
void exhaust(Call& call) {
    const Zone zone = call.zone(0);
    const bool to_the_last = text_equal(call.word(1), "last");
    uint32_t taken = 0;
    for (;; ++taken) {
        const auto frame = to_the_last ? frames::allocate_reserve(zone, Contents::Unspecified) : frames::allocate(zone, Contents::Unspecified);
        if (frame.is_error()) break;
        mm::frame_memory(frame.value()).as<uint32_t>()[0] = chained;
        chained = frame.value().value();
    }
    chain_length += taken;
    call.reply({taken});
}

/// physical.give_back COUNT -> frames given back, of those that exhaust took last
void give_back(Call& call) {
    const uint32_t count = call.number(0);
    uint32_t given = 0;
    for (; given < count && chain_length > 0; ++given, --chain_length) {
        const FrameNumber frame(chained);
        chained = mm::frame_memory(frame).as<uint32_t>()[0];
        if (frames::release(frame).is_error()) harness::bad_script("a frame that was taken cannot be given back", "");
    }
    call.reply({given});
}

/// physical.give_back_even ZONE -> frames given back: those of the chain in this zone that have an even number, so that no two frames
/// in a row are free
void give_back_even(Call& call) {
    const Zone zone = call.zone(0);
    uint32_t given = 0, kept = 0;
    uint32_t next = chained;
    for (uint32_t left = chain_length; left > 0; --left) {
        const FrameNumber frame(next);
        next = mm::frame_memory(frame).as<uint32_t>()[0];
        if (mm::zone_of(frame) == zone && frame.value() % 2 == 0) {
            if (frames::release(frame).is_error()) harness::bad_script("a frame that was taken cannot be given back", "");
            ++given;
        } else {
            mm::frame_memory(frame).as<uint32_t>()[0] = kept;
            kept = frame.value();
        }
    }
    chained = kept;
    chain_length -= given;
    call.reply({given});
}

/// physical.free_runs ZONE ORDER -> how many, as the frame allocator says
void free_runs(Call& call) {
    const auto runs = mm::frame_allocator::free_runs(call.zone(0), Order(call.number(1)));
    call.reply(runs.error(), {static_cast<uint32_t>(runs.value())});
}

// Counts

/// Frames of memory that are taken for good.
uint32_t reserved_frames() {
    uint32_t count = 0;
    for (const FrameRange range : mm::boot_memory::usable()) {
        for (FrameNumber frame = range.begin; frame < range.end; ++frame)
            count += mm::frame_table::info(frame).use == mm::FrameUse::Reserved;
    }
    return count;
}

/// physical.counts -> frames of memory, reserved, in use, then for each zone: free in the allocator, hot, zeroed
void counts(Call& call) {
    uint32_t memory = 0;
    for (const FrameRange range : mm::boot_memory::usable()) memory += range.count();
    uint32_t zones[9];
    for (size_t i = 0; i < mm::kZoneCount; ++i) {
        zones[3 * i] = mm::frame_allocator::free_frames(Zone(i));
        zones[3 * i + 1] = frame_cache::hot_count(Zone(i));
        zones[3 * i + 2] = frame_cache::zeroed_count(Zone(i));
    }
    call.reply({memory, reserved_frames(), frames::in_use(), zones[0], zones[1], zones[2], zones[3], zones[4], zones[5], zones[6], zones[7], zones[8]});
}

/// physical.marks ZONE -> min, low, high
void marks(Call& call) {
    const mm::Watermarks marks = mm::watermarks::of(call.zone(0));
    call.reply({marks.min, marks.low, marks.high});
}

/// physical.info FRAME -> references, use, order
void info(Call& call) {
    const mm::FrameInfo& info = mm::frame_table::info(FrameNumber(call.number(0)));
    call.reply({info.references, static_cast<uint32_t>(info.use), info.order});
}

/// physical.words FRAME WORD -> words of the frame that are different
void words(Call& call) {
    const auto memory = mm::frame_memory(FrameNumber(call.number(0)));
    uint32_t different = 0;
    for (size_t i = 0; i < kPageSize / sizeof(uint32_t); ++i) different += memory.as<uint32_t>()[i] != call.number(1);
    call.reply({different});
}

// The frame cache

/// physical.fill_zeroed COUNT -> frames cleared
void fill_zeroed(Call& call) { call.reply({frame_cache::fill_zeroed(call.number(0))}); }
/// physical.drain -> frames given to the allocator
void drain(Call& call) { call.reply({frame_cache::drain()}); }

/// physical.soil_zeroed ZONE OFFSET WORD: writes to the zeroed frame of the zone that is handed out last
void soil_zeroed(Call& call) {
    auto& zeroed = frame_cache::stacks_of(call.zone(0)).zeroed;
    FrameNumber kept[frame_cache::kZeroedFrames];
    size_t count = 0;
    while (!zeroed.is_empty()) kept[count++] = zeroed.pop();
    mm::frame_memory(kept[count - 1]).as<uint32_t>()[call.number(1) / sizeof(uint32_t)] = call.number(2);
    while (count > 0) zeroed.push(kept[--count]);
}

// Shrinkers

HARNESS_DATA uint32_t shrinker_calls;
HARNESS_DATA uint32_t shrinker_frames;     ///< How many frames of the chain each call gives back.
HARNESS_DATA uint32_t nested_result;       ///< What shrink_all() answered from within a shrinker.

size_t shrink() {
    ++shrinker_calls;
    nested_result = mm::shrinkers::shrink_all();
    size_t given = 0;
    for (; given < shrinker_frames && chain_length > 0; ++given, --chain_length) {
        const FrameNumber frame(chained);
        chained = mm::frame_memory(frame).as<uint32_t>()[0];
        if (frames::release(frame).is_error()) harness::bad_script("a shrinker's frame cannot be given back", "");
    }
    return given;
}

/// physical.add_shrinker FRAMES: one that gives back so many frames of the chain when it is asked
void add_shrinker(Call& call) {
    shrinker_frames = call.number(0);
    mm::shrinkers::add({"test", shrink});
}

/// physical.limit_shrinker FRAMES: what it gives back at a time from now on
void limit_shrinker(Call& call) { shrinker_frames = call.number(0); }

/// physical.shrinker -> how often it was called, what shrink_all() answered it
void shrinker(Call& call) { call.reply({shrinker_calls, nested_result}); }
/// physical.shrink_all -> frames
void shrink_all(Call& call) { call.reply({mm::shrinkers::shrink_all()}); }

// DMA buffers

/// physical.dma BYTES -> physical address, virtual address
void dma(Call& call) {
    const auto buffer = mm::dma::allocate(call.number(0));
    call.reply(buffer.error(), {buffer.value().physical.value(), address_of(buffer.value().address).value()});
}

/// physical.dma_free PHYSICAL VIRTUAL BYTES
void dma_free(Call& call) {
    call.reply(mm::dma::free({PhysAddr(call.number(0)), pointer_to<void>(VirtAddr(call.number(1))), call.number(2)}));
}

HARNESS_VERB("physical.allocate", allocate);
HARNESS_VERB("physical.reserve", reserve);
HARNESS_VERB("physical.run", run);
HARNESS_VERB("physical.release", release);
HARNESS_VERB("physical.release_run", release_run);
HARNESS_VERB("physical.share", share);
HARNESS_VERB("physical.page", page);
HARNESS_VERB("physical.free_page", free_page);
HARNESS_VERB("physical.exhaust", exhaust);
HARNESS_VERB("physical.give_back", give_back);
HARNESS_VERB("physical.give_back_even", give_back_even);
HARNESS_VERB("physical.free_runs", free_runs);
HARNESS_VERB("physical.counts", counts);
HARNESS_VERB("physical.marks", marks);
HARNESS_VERB("physical.info", info);
HARNESS_VERB("physical.words", words);
HARNESS_VERB("physical.fill_zeroed", fill_zeroed);
HARNESS_VERB("physical.drain", drain);
HARNESS_VERB("physical.soil_zeroed", soil_zeroed);
HARNESS_VERB("physical.add_shrinker", add_shrinker);
HARNESS_VERB("physical.limit_shrinker", limit_shrinker);
HARNESS_VERB("physical.shrinker", shrinker);
HARNESS_VERB("physical.shrink_all", shrink_all);
HARNESS_VERB("physical.dma", dma);
HARNESS_VERB("physical.dma_free", dma_free);

} // namespace
