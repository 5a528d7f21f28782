#include "mm/paging/kernel_stacks.h"

#include <algorithm>
#include <cstdint>

#include "config.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/paging/kernel_window.h"
#include "mm/paging/layout.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frames.h"

namespace mm::kernel_stacks {

namespace {

constexpr uint32_t kSlotBytes = (1 + kPages) * kPageSize; ///< Guard page and stack.
constexpr size_t kSlots = (kStacksEnd - kBootStackEnd) / kSlotBytes;
constexpr Rights kRights{Access::ReadWrite, Privilege::Supervisor, Scope::Global};

enum class SlotState : uint8_t { Empty, Ready, InUse };

SlotState states[kSlots];
size_t lowest_empty = 0;      ///< No slot below is empty.
VirtAddr ready[kReady];       ///< Mapped stacks of nobody; the last one is the one given back last, and still in the CPU's caches.
size_t ready_count = 0;
size_t used_count = 0;

VirtAddr top_of(size_t slot) { return VirtAddr(kBootStackEnd + (slot + 1) * kSlotBytes); }
VirtAddr begin_of(size_t slot) { return VirtAddr(kBootStackEnd + slot * kSlotBytes + kPageSize); }

/// The slot that holds `address`; kSlots when it lies elsewhere.
size_t slot_at(VirtAddr address) {
    if (address.value() < kBootStackEnd) return kSlots;
    const size_t slot = (address.value() - kBootStackEnd) / kSlotBytes;
    return slot < kSlots ? slot : kSlots;
}

size_t slot_below(VirtAddr top) {
    const size_t slot = slot_at(VirtAddr(top.value() - 1));
    KASSERT("a kernel stack is given back by its own address", slot < kSlots && top_of(slot) == top && states[slot] == SlotState::InUse);
    return slot;
}

void release(FrameNumber frame) {
    const Result<void> done = frames::release(frame);
    KASSERT("the frame of a kernel stack can be given back", !done.is_error());
}

/// Frames for one stack: all or none.
Result<void> take_frames(FrameNumber (&taken)[kPages]) {
    for (size_t i = 0; i < kPages; ++i) {
        const Result<FrameNumber> frame = frames::allocate(Zone::High, Contents::Unspecified);
        if (frame.is_error()) {
            while (i > 0) release(taken[--i]);
            return frame.error();
        }
        taken[i] = frame.value();
    }
    return {};
}

/// What a new stack is full of, in kernels that want to know how deep stacks are used. No address, and no number that anybody pushes.
constexpr uint32_t kUntouched = 0x5AFE57AC;

size_t deepest = 0; ///< Of the stacks that have been taken apart.

void fill_untouched(VirtAddr begin) {
    if constexpr (CONFIG_MEMORY_DEBUGGING) fill_words(pointer_to<uint32_t>(begin), kUntouched, kPages * kPageSize / sizeof(uint32_t));
}

/// Bytes from the top of the stack down to the lowest word that was ever written.
size_t used_bytes(size_t slot) {
    const uint32_t* word = pointer_to<uint32_t>(begin_of(slot));
    size_t bytes = kPages * kPageSize;
    for (; bytes > 0 && *word == kUntouched; ++word) bytes -= sizeof(uint32_t);
    return bytes;
}

/// Maps a new stack. @return one past its last byte
Result<VirtAddr> make() {
    size_t slot = lowest_empty;
    while (slot < kSlots && states[slot] != SlotState::Empty) ++slot;
    if (slot == kSlots) return Error::OutOfMemory;
    FrameNumber taken[kPages];
    TRY(take_frames(taken));
    lowest_empty = slot + 1;
    size_t page = 0;
    kernel_window::for_each_entry(begin_of(slot), kPages, [&](Pte& entry) { entry = Pte::present(taken[page++], kRights); });
    states[slot] = SlotState::Ready;
    fill_untouched(begin_of(slot));
    return top_of(slot);
}

void take_apart(size_t slot) {
    if constexpr (CONFIG_MEMORY_DEBUGGING) deepest = std::max(deepest, used_bytes(slot));
    FrameNumber held[kPages];
    size_t page = 0;
    kernel_window::for_each_entry(begin_of(slot), kPages, [&](Pte& entry) {
        held[page++] = entry.frame();
        entry = Pte::empty();
    });
    kernel_window::forget(begin_of(slot), kPages);
    for (const FrameNumber frame : held) release(frame);
    states[slot] = SlotState::Empty;
    if (slot < lowest_empty) lowest_empty = slot;
}

} // namespace

void initialize() {
    while (ready_count < kReady) {
        const Result<VirtAddr> top = make();
        if (top.is_error()) PANIC("no memory for the first kernel stacks");
        ready[ready_count++] = top.value();
    }
}

Result<VirtAddr> allocate() {
    const VirtAddr top = ready_count > 0 ? ready[--ready_count] : TRY(make());
    states[slot_at(VirtAddr(top.value() - 1))] = SlotState::InUse;
    ++used_count;
    return top;
}

void free(VirtAddr top) {
    const size_t slot = slot_below(top);
    --used_count;
    if (ready_count == kReady) return take_apart(slot);
    states[slot] = SlotState::Ready;
    ready[ready_count++] = top;
}

const char* explain_fault(VirtAddr address) {
    const size_t slot = slot_at(address);
    if (slot == kSlots || states[slot] != SlotState::InUse || !(address < begin_of(slot))) return nullptr;
    return "kernel stack overflow";
}

size_t in_use() { return used_count; }

size_t deepest_use() {
    if constexpr (!CONFIG_MEMORY_DEBUGGING) return 0;
    size_t most = deepest;
    for (size_t slot = 0; slot < kSlots; ++slot) {
        if (states[slot] != SlotState::Empty) most = std::max(most, used_bytes(slot));
    }
    return most;
}

size_t frames_kept() { return ready_count * kPages; }

} // namespace mm::kernel_stacks
