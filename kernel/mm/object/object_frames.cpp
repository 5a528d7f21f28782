#include "mm/object/object_frames.h"

#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/object/swap_store.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace mm {

namespace {

void must_release(FrameNumber frame) {
    KASSERT("an object has a reference of its frames", !frames::release(frame).is_error());
}

/// A pageable frame is forgotten by itself. One that came back from the swap area and was never shown is not pageable yet.
void give_back(FrameNumber frame) {
    const FrameInfo& info = frame_table::info(frame);
    if (info.references == 1 && info.use != FrameUse::Pageable && swap_store::is_set()) swap_store::get().forget(frame);
    must_release(frame);
}

} // namespace

Result<void> ObjectFrames::create(size_t pages) {
    if (pages > kMaxFrames) return Error::OutOfMemory;
    entries_ = static_cast<Pte*>(TRY(kmalloc(pages * sizeof(Pte))));
    memset(static_cast<void*>(entries_), 0, pages * sizeof(Pte));
    pages_ = pages;
    return {};
}

void ObjectFrames::destroy() {
    for (size_t i = 0; i < pages_; ++i) {
        if (has(i)) give_back(entries_[i].frame());
        if (is_swapped(i)) swap_store::get().release(entries_[i].slot());
    }
    KASSERT("a table of frames is a block of the heap", !kfree(entries_).is_error());
}

void ObjectFrames::put(size_t index, FrameNumber frame) {
    entries_[index] = Pte::present(frame, {});
}

FrameNumber ObjectFrames::share(size_t index) {
    frames::share(entries_[index].frame());
    return entries_[index].frame();
}

Result<void> ObjectFrames::swap_in(size_t index) {
    put(index, TRY(swap_store::get().load(entries_[index].slot())));
    return {};
}

void ObjectFrames::swap_out(size_t index, SwapSlot slot) {
    const FrameNumber frame = entries_[index].frame();
    entries_[index] = Pte::swapped(slot);
    must_release(frame);
}

void ObjectFrames::drop(size_t index) {
    must_release(entries_[index].frame());
    entries_[index] = Pte::empty();
}

} // namespace mm
