// Memory that several address spaces map: frames that appear as they are asked for.
#include <cstddef>
#include <cstdint>

#include "lib/format.h"
#include "lib/panic.h"
#include "mm/heap/kmalloc.h"
#include "mm/object/commit.h"
#include "mm/object/memory_object.h"
#include "mm/object/object_frames.h"
#include "mm/physical/frames.h"

namespace mm {

namespace {

struct SharedMemory {
    MemoryObject object;
    ObjectFrames frames;
    SharedMemory* next;  ///< Of all there are.
};

constinit SharedMemory* all = nullptr;

SharedMemory& shared(MemoryObject& object) { return reinterpret_cast<SharedMemory&>(object); }

void name(const MemoryObject&, char* text, size_t bytes) { format_into({text, bytes}, "shared memory"); }

Result<FrameNumber> page(MemoryObject& object, size_t index) {
    if (index >= object.pages) return Error::OutOfRange;
    SharedMemory& memory = shared(object);
    if (memory.frames.is_swapped(index)) TRY(memory.frames.swap_in(index));
    if (!memory.frames.has(index)) memory.frames.put(index, TRY(frames::allocate(Zone::High, Contents::Zeroed)));
    return memory.frames.share(index);
}

Result<FrameNumber> page_at_hand(MemoryObject& object, size_t index) {
    if (index >= object.pages) return Error::OutOfRange;
    ObjectFrames& frames = shared(object).frames;
    if (!frames.has(index)) return Error::NotFound;
    return frames.share(index);
}

void destroy(MemoryObject& object) {
    SharedMemory** link = &all;
    while (*link != &shared(object)) link = &(*link)->next;
    *link = shared(object).next;
    commit::take_back(object.pages);
    shared(object).frames.destroy();
    KASSERT("a shared memory is a block of the heap", !kfree(&object).is_error());
}

void evict(MemoryObject& object, size_t index, SwapSlot slot) { shared(object).frames.swap_out(index, slot); }

constexpr ObjectOperations kOperations{name, page, page_at_hand, destroy, evict};

} // namespace

namespace {

Result<SharedMemory*> make(size_t pages) {
    auto* memory = static_cast<SharedMemory*>(TRY(kmalloc(sizeof(SharedMemory))));
    const Result<void> made = memory->frames.create(pages);
    if (made.is_error()) {
        KASSERT("a shared memory is a block of the heap", !kfree(memory).is_error());
        return made.error();
    }
    return memory;
}

} // namespace

Result<MemoryObject*> create_shared_memory(size_t pages) {
    if (pages == 0) return Error::InvalidArgument;
    TRY(commit::promise(pages));
    const Result<SharedMemory*> made = make(pages);
    if (made.is_error()) {
        commit::take_back(pages);
        return made.error();
    }
    SharedMemory* const memory = made.value();
    memory->object = {.operations = &kOperations, .references = 1, .pages = pages, .is_shared_memory = true};
    memory->next = all;
    all = memory;
    return &memory->object;
}

SwapSlot slot_of_shared_page(const MemoryObject& object, size_t index) {
    return reinterpret_cast<const SharedMemory&>(object).frames.slot(index);
}

void for_each_swapped_page(void (*visit)(void* context, SwapSlot slot), void* context) {
    for (SharedMemory* memory = all; memory; memory = memory->next) {
        for (size_t i = 0; i < memory->object.pages; ++i) {
            if (memory->frames.is_swapped(i)) visit(context, memory->frames.slot(i));
        }
    }
}

size_t shared_memory_pages() {
    size_t pages = 0;
    for (const SharedMemory* memory = all; memory; memory = memory->next) pages += memory->object.pages;
    return pages;
}

} // namespace mm
