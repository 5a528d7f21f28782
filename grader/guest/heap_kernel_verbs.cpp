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
#include "mm/paging/vmalloc.h"
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
    mm::slab::shrink();
    mm::vmalloc::purge();
    const size_t frames_before = mm::frames::in_use();
    uint32_t done = 0, refused = 0;
    while (done < steps && step(slots[random.below(kSlots)], random, call.number(2), refused)) ++done;
    if (done == steps) mm::slab::check();
    for (Slot& slot : slots) {
        if (slot.block && (!holds_its_mark(slot, slot.bytes) || mm::kfree(slot.block).is_error())) ++done;
        slot = {};
    }
    mm::slab::check();
    mm::slab::shrink();
    mm::vmalloc::purge();
    call.reply({done, refused, static_cast<uint32_t>(mm::findings::count() - findings_before),
                static_cast<uint32_t>(mm::frames::in_use() - frames_before)});
}
HARNESS_VERB("heapk.churn", churn);

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

} // namespace heap_kernel_guest
