// Operations on what the kernel builds around the heap: pools, findings, leaks, and its behaviour when frames run out. Driven by
// grader/tests/test_heap_kernel.py; nothing here judges a submission.

#include <cstddef>
#include <cstdint>

#include "arch/cpu.h"
#include "guest/harness.h"
#include "lib/memory.h"
#include "mm/heap/finding.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/paging/kernel_map.h"
#include "mm/paging/layout.h"
#include "mm/paging/range_records.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace heap_kernel_guest {

using harness::Call;

uint32_t value_of(const void* pointer) { return address_of(pointer).value(); }

/// Marsaglia's xorshift: enough to be irregular.
class Random {
public:
    explicit Random(uint32_t seed) : state_(seed ? seed : 1) {}
    uint32_t below(uint32_t bound) {
        state_ ^= state_ << 13, state_ ^= state_ >> 17, state_ ^= state_ << 5;
        return state_ % bound;
    }

private:
    uint32_t state_;
};

size_t objects_in_use() {
    size_t sum = 0;
    mm::slab::for_each_cache([](void* context, const mm::slab::Statistics& cache) { *static_cast<size_t*>(context) += cache.in_use; }, &sum);
    return sum;
}

size_t frames_of_caches() {
    size_t sum = 0;
    mm::slab::for_each_cache([](void* context, const mm::slab::Statistics& cache) { *static_cast<size_t*>(context) += cache.frames; }, &sum);
    return sum;
}

/// Frames that vmalloc keeps for ever, however much was freed: page tables and records.
size_t frames_of_vmalloc() {
    size_t sum = mm::range_records::frames();
    const auto directory = mm::frame_memory(mm::kernel_directory().frame);
    for (uint32_t i = mm::kVmallocBegin >> kLargePageShift; i < mm::kVmallocEnd >> kLargePageShift; ++i)
        sum += directory.as<uint32_t>()[i] & 1;
    return sum;
}

/// What is in use apart from that.
size_t frames_in_use() { return mm::frames::in_use() - frames_of_vmalloc(); }

/// The same when nothing is kept for later.
size_t settled_frames() {
    mm::slab::shrink();
    mm::vmalloc::purge();
    return frames_in_use();
}

// Many blocks at random

constexpr size_t kSlots = 256;

struct Slot {
    uint8_t* block;
    uint32_t bytes;
};
Slot slots[kSlots];

bool holds_its_mark(const Slot& slot, uint32_t bytes) {
    const uint8_t mark = static_cast<uint8_t>((&slot - slots) * 37 + 11);
    for (uint32_t i = 0; i < bytes; i += bytes > 64 && i > 8 && i + 16 < bytes ? 7 : 1) {
        if (slot.block[i] != mark) return false;
    }
    return bytes == 0 || slot.block[bytes - 1] == mark;
}

void mark(Slot& slot) { memset(slot.block, static_cast<uint8_t>((&slot - slots) * 37 + 11), slot.bytes); }

uint32_t some_size(Random& random, uint32_t largest) {
    switch (random.below(8)) {
    case 0: return 1 + random.below(largest);
    case 1: return 1 + random.below(5000);
    case 2: return 8u << random.below(9);
    default: return 1 + random.below(300);
    }
}

/// One step on one slot. @return whether all was as it should be
bool step(Slot& slot, Random& random, uint32_t largest, uint32_t& refused) {
    const uint32_t bytes = some_size(random, largest);
    if (!slot.block || random.below(3) == 0) {
        if (slot.block) {
            if (!holds_its_mark(slot, slot.bytes)) return false;
            const uint32_t kept = bytes < slot.bytes ? bytes : slot.bytes;
            const auto moved = mm::krealloc(slot.block, bytes);
            if (moved.is_error()) return ++refused, moved.error() == Error::OutOfMemory && holds_its_mark(slot, slot.bytes);
            slot = {static_cast<uint8_t*>(moved.value()), bytes};
            if (!holds_its_mark(slot, kept)) return false;
        } else {
            const uint32_t alignment = random.below(4) ? 8 : 1u << random.below(13);
            const auto made = alignment == 8 ? mm::kmalloc(bytes) : mm::kmalloc_aligned(bytes, alignment);
            if (made.is_error()) return ++refused, made.error() == Error::OutOfMemory;
            slot = {static_cast<uint8_t*>(made.value()), bytes};
            if (value_of(slot.block) % alignment != 0 || value_of(slot.block) % mm::kHeapAlignment != 0) return false;
        }
        mark(slot);
        return true;
    }
    if (!holds_its_mark(slot, slot.bytes) || mm::kfree(slot.block).is_error()) return false;
    slot = {};
    return true;
}

/// heapk.churn SEED STEPS LARGEST -> steps done, refused for lack of memory, findings, frames that are gone at the end.
/// Fewer steps than asked for: something was wrong in the last one.
void churn(Call& call) {
    Random random(call.number(0));
    const uint32_t steps = call.number(1);
    const size_t findings_before = mm::findings::count();
    const size_t frames_before = settled_frames();
    uint32_t done = 0, refused = 0;
    while (done < steps && step(slots[random.below(kSlots)], random, call.number(2), refused)) ++done;
    if (done == steps) mm::slab::check();
    for (Slot& slot : slots) {
        if (slot.block && (!holds_its_mark(slot, slot.bytes) || mm::kfree(slot.block).is_error())) ++done;
        slot = {};
    }
    mm::slab::check();
    call.reply({done, refused, static_cast<uint32_t>(mm::findings::count() - findings_before),
                static_cast<uint32_t>(settled_frames() - frames_before)});
}
HARNESS_VERB("heapk.churn", churn);

// Without memory

enum class Trouble : uint32_t { None, WrongError, FrameLost, ObjectLost, NotUndone, Never };

constexpr uint32_t kMaxFrames = 4096; ///< More than any operation here needs.

/// Tries an operation with 0, 1, 2 ... allocations of frames that succeed (with larger steps when it needs many), until it succeeds
/// itself; undoes it then. Replies with the number of frames that sufficed, and the trouble.
template <typename Do, typename Undo>
void inject(Call& call, Do operation, Undo undo) {
    const size_t frames = settled_frames(), objects = objects_in_use();
    const auto answer = [&call](uint32_t frames_needed, Trouble trouble) { call.reply({frames_needed, static_cast<uint32_t>(trouble)}); };
    for (uint32_t n = 0; n < kMaxFrames; n += 1 + n / 16) {
        mm::frames::fail_after(n);
        const Error error = operation();
        mm::frames::fail_never();
        if (error == Error::None) {
            if (!undo() || objects_in_use() != objects) return answer(n, Trouble::NotUndone);
            return answer(n, settled_frames() == frames ? Trouble::None : Trouble::FrameLost);
        }
        if (error != Error::OutOfMemory) return answer(n, Trouble::WrongError);
        if (objects_in_use() != objects) return answer(n, Trouble::ObjectLost);
        if (frames_in_use() != frames) return answer(n, Trouble::FrameLost);
        settled_frames();
    }
    answer(kMaxFrames, Trouble::Never);
}

void* block = nullptr; ///< What the operation under test has made.

Error keep(const Result<void*>& made) {
    block = made.value();
    return made.error();
}

bool free_block() { return !mm::kfree(block).is_error(); }

/// heapk.inject_kmalloc BYTES ALIGNMENT
void inject_kmalloc(Call& call) {
    inject(call, [&] { return keep(mm::kmalloc_aligned(call.number(0), call.number(1))); }, free_block);
}
HARNESS_VERB("heapk.inject_kmalloc", inject_kmalloc);

/// heapk.inject_krealloc FROM TO: the old block and its contents must outlive every failure
void inject_krealloc(Call& call) {
    const uint32_t from = call.number(0), to = call.number(1);
    block = mm::kmalloc(from).value();
    if (!block) return call.reply(Error::OutOfMemory);
    memset(block, 0x3C, from);
    const auto holds = [&] {
        for (uint32_t i = 0; i < (from < to ? from : to); ++i) {
            if (static_cast<uint8_t*>(block)[i] != 0x3C) return false;
        }
        return true;
    };
    const auto resize = [&](uint32_t bytes) {
        const auto moved = mm::krealloc(block, bytes);
        if (!moved.is_error()) block = moved.value();
        return holds() ? moved.error() : Error::NotMapped; // no error of krealloc()'s
    };
    inject(call, [&] { return resize(to); }, [&] { return resize(from) == Error::None; });
    if (!free_block()) harness::bad_script("the block cannot be freed", "");
}
HARNESS_VERB("heapk.inject_krealloc", inject_krealloc);

mm::slab::Cache* cache = nullptr;

Error make_cache(uint32_t size, uint32_t alignment) {
    const auto made = mm::slab::create({"injected", size, alignment, nullptr});
    cache = made.value();
    return made.error();
}

/// heapk.inject_object SIZE ALIGNMENT: a cache's first object
void inject_object(Call& call) {
    if (make_cache(call.number(0), call.number(1)) != Error::None) return call.reply(Error::OutOfMemory);
    inject(call, [] { return keep(mm::slab::allocate(cache)); }, [] { return !mm::slab::free(cache, block).is_error(); });
    if (mm::slab::destroy(cache).is_error()) harness::bad_script("the cache cannot be destroyed", "");
}
HARNESS_VERB("heapk.inject_object", inject_object);

constexpr size_t kCaches = 200; // more than fit into the frames that the heap has at first
mm::slab::Cache* many[kCaches];

/// heapk.inject_caches: so many caches that their own memory must grow
void inject_caches(Call& call) {
    const auto destroy_all = [] {
        for (mm::slab::Cache*& each : many) {
            if (each && mm::slab::destroy(each).is_error()) return false;
            each = nullptr;
        }
        return true;
    };
    inject(call, [&] {
        for (mm::slab::Cache*& each : many) {
            const Error error = make_cache(24, 8);
            if (error != Error::None) return destroy_all() && settled_frames() ? error : Error::NotMapped;
            each = cache;
        }
        return Error::None;
    }, destroy_all);
}
HARNESS_VERB("heapk.inject_caches", inject_caches);

/// heapk.pressure -> frames that caches hold without an object in use, before and after all memory is taken
void pressure(Call& call) {
    for (uint32_t bytes = 8; bytes <= 4096; bytes *= 2) {
        if (mm::kfree(mm::kmalloc(bytes).value()).is_error()) return call.reply(Error::OutOfMemory);
    }
    const uint32_t before = frames_of_caches();
    FrameNumber last(0);
    for (;;) {
        const auto frame = mm::frames::allocate_reserve(mm::Zone::Normal, mm::Contents::Unspecified);
        if (frame.is_error()) break;
        mm::frame_table::info(frame.value()).link[0] = last.value();
        last = frame.value();
    }
    const uint32_t after = frames_of_caches();
    while (last != FrameNumber(0)) {
        const FrameNumber frame = last;
        last = FrameNumber(mm::frame_table::info(frame).link[0]);
        if (mm::frames::release(frame).is_error()) break;
    }
    call.reply({before, after});
}
HARNESS_VERB("heapk.pressure", pressure);

/// heapk.frames -> frames in use, nothing kept for later
void count_frames(Call& call) { call.reply({static_cast<uint32_t>(settled_frames())}); }
HARNESS_VERB("heapk.frames", count_frames);

/// heapk.fail_after COUNT
void fail_after(Call& call) { mm::frames::fail_after(call.number(0)); }
HARNESS_VERB("heapk.fail_after", fail_after);

/// heapk.fail_never
void fail_never(Call&) { mm::frames::fail_never(); }
HARNESS_VERB("heapk.fail_never", fail_never);

// One call each

/// heapk.kmalloc BYTES -> address
void allocate(Call& call) {
    const uint32_t bytes = call.number(0);
    call.enter_piece();
    const auto block = mm::kmalloc(bytes);
    call.leave_piece();
    if (block.is_error()) return call.reply(block.error());
    call.reply({value_of(block.value())});
}
HARNESS_VERB("heapk.kmalloc", allocate);

/// heapk.kfree ADDRESS
void free(Call& call) {
    void* const block = pointer_to<void>(VirtAddr(call.number(0)));
    call.enter_piece();
    const auto freed = mm::kfree(block);
    call.leave_piece();
    call.reply(freed);
}
HARNESS_VERB("heapk.kfree", free);

/// heapk.findings -> how many since the boot
void findings(Call& call) { call.reply({static_cast<uint32_t>(mm::findings::count())}); }
HARNESS_VERB("heapk.findings", findings);

/// heapk.check -> findings of slab::check()
void check(Call& call) { call.reply({static_cast<uint32_t>(mm::slab::check())}); }
HARNESS_VERB("heapk.check", check);

/// heapk.write ADDRESS BYTE
void write(Call& call) { *pointer_to<volatile uint8_t>(VirtAddr(call.number(0))) = static_cast<uint8_t>(call.number(1)); }
HARNESS_VERB("heapk.write", write);

} // namespace heap_kernel_guest
