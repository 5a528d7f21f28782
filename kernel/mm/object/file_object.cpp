// The pages of a file, read when they are first asked for and kept: the beginning of a page cache.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lib/memory.h"
#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/object/memory_object.h"
#include "mm/object/object_frames.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace mm {

namespace {

struct FileObject {
    MemoryObject object;
    ObjectFrames frames;
    PageSource source;
};

/// Of all file objects.
constinit size_t frames_with_pages = 0;

const FileObject& file(const MemoryObject& object) { return reinterpret_cast<const FileObject&>(object); }
FileObject& file(MemoryObject& object) { return reinterpret_cast<FileObject&>(object); }

void must_free(void* block) { KASSERT("a file object is a block of the heap", !kfree(block).is_error()); }

void name(const MemoryObject& object, char* text, size_t bytes) {
    const PageSource& source = file(object).source;
    source.name(source.context, text, bytes);
}

/// Reads one page into the frame; what the file does not have of it is zero.
Result<void> read_page(const PageSource& source, size_t index, FrameNumber frame) {
    // Through memory that stays mapped while the disk works: temporary mappings are few.
    const uint32_t position = index * kPageSize;
    const size_t wanted = std::min<size_t>(kPageSize, source.bytes - position);
    auto* bytes = static_cast<uint8_t*>(identity_address(frame));
    size_t done = 0;
    while (done < wanted) {
        const size_t got = TRY(source.read(source.context, position + done, bytes + done, wanted - done));
        if (got == 0) break; // shorter than it said
        done += got;
    }
    memset(bytes + done, 0, kPageSize - done);
    return {};
}

Result<FrameNumber> page(MemoryObject& object, size_t index) {
    if (index >= object.pages) return Error::OutOfRange;
    FileObject& self = file(object);
    if (!self.frames.has(index)) {
        const FrameNumber frame = TRY(frames::allocate(Zone::Normal, Contents::Unspecified));
        const Result<void> read = read_page(self.source, index, frame);
        if (read.is_error()) {
            KASSERT("a new frame has an owner", !frames::release(frame).is_error());
            return read.error() == Error::OutOfMemory ? Error::OutOfMemory : Error::DeviceError;
        }
        self.frames.put(index, frame);
        ++frames_with_pages;
    }
    return self.frames.share(index);
}

Result<FrameNumber> page_at_hand(MemoryObject& object, size_t index) {
    if (index >= object.pages) return Error::OutOfRange;
    ObjectFrames& frames = file(object).frames;
    if (!frames.has(index)) return Error::NotFound;
    return frames.share(index);
}

void destroy(MemoryObject& object) {
    FileObject& self = file(object);
    for (size_t i = 0; i < object.pages; ++i) frames_with_pages -= self.frames.has(i);
    self.frames.destroy();
    self.source.release(self.source.context);
    must_free(&self);
}

void evict(MemoryObject& object, size_t index, SwapSlot) {
    file(object).frames.drop(index);
    --frames_with_pages;
}

constexpr ObjectOperations kOperations{name, page, page_at_hand, destroy, evict};

} // namespace

Result<MemoryObject*> create_file_object(const PageSource& source) {
    const size_t pages = (size_t{source.bytes} + kPageSize - 1) / kPageSize;
    auto* self = static_cast<FileObject*>(TRY(kmalloc(sizeof(FileObject))));
    const Result<void> made = self->frames.create(std::max<size_t>(pages, 1));
    if (made.is_error()) {
        must_free(self);
        return made.error();
    }
    self->object = {.operations = &kOperations, .references = 1, .pages = pages};
    self->source = source;
    return &self->object;
}

size_t file_frames() { return frames_with_pages; }

} // namespace mm
