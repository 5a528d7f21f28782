#include "mm/object/object_frames.h"

#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/physical/frames.h"

namespace mm {

Result<void> ObjectFrames::create(size_t pages) {
    if (pages > kMaxFrames) return Error::OutOfMemory;
    frames_ = static_cast<FrameNumber*>(TRY(kmalloc(pages * sizeof(FrameNumber))));
    memset(static_cast<void*>(frames_), 0, pages * sizeof(FrameNumber));
    pages_ = pages;
    return {};
}

void ObjectFrames::destroy() {
    for (size_t i = 0; i < pages_; ++i) {
        if (has(i)) KASSERT("an object has a reference of its frames", !frames::release(frames_[i]).is_error());
    }
    KASSERT("a table of frames is a block of the heap", !kfree(frames_).is_error());
}

void ObjectFrames::put(size_t index, FrameNumber frame) {
    frames_[index] = frame;
}

FrameNumber ObjectFrames::share(size_t index) {
    frames::share(frames_[index]);
    return frames_[index];
}

} // namespace mm
