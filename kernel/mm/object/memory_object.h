/// @file
/// What backs an area, when it is not just private zeros: shared memory, or a file. Counted: an object lives as long as an area, or
/// whoever made it, has a reference.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/paging/pte.h"

namespace mm {

struct MemoryObject;

/// What a kind of object can do.
struct ObjectOperations {
    /// "shared memory", "/bin/shell": for maps.
    void (*name)(const MemoryObject& object, char* text, size_t bytes);
    /// The frame that shows page `index`, with one more reference for the caller (frames::share). It stays the object's page: who wants
    /// to write privately copies it.
    /// @return Error::OutOfRange past the object's end; Error::OutOfMemory; Error::DeviceError when a file cannot be read
    Result<FrameNumber> (*page)(MemoryObject& object, size_t index);
    /// As page(), and takes only what is in memory already: nothing is read or made.
    /// @return Error::NotFound when it is not; Error::OutOfRange
    Result<FrameNumber> (*page_at_hand)(MemoryObject& object, size_t index);
    /// The last reference is gone: frames and object go back.
    void (*destroy)(MemoryObject& object);
    /// What becomes of page `index`, which has a frame that no page shows any more, when memory is short: a file's is dropped, and read
    /// again when somebody asks; shared memory goes to the swap area, whose entry for `slot` the object takes over.
    void (*evict)(MemoryObject& object, size_t index, SwapSlot slot);
};

struct MemoryObject {
    const ObjectOperations* operations;
    uint32_t references;  ///< 1 when it is handed out; one more for every page of every area that shows it.
    size_t pages;         ///< Its length. The last page of a file is filled up with zeros.
    bool is_shared_memory = false;  ///< From create_shared_memory(): user code may write to it in a shared area; its pages are swapped.
};

inline void retain(MemoryObject& object) { ++object.references; }
inline void release(MemoryObject& object) {
    if (--object.references == 0) object.operations->destroy(object);
}

/// Memory that several address spaces share, zero at first. Frames are taken as pages are asked for.
/// @return Error::InvalidArgument for 0 pages, Error::OutOfMemory
/// Its pages are promised (commit.h) until it goes.
Result<MemoryObject*> create_shared_memory(size_t pages);

/// Where in the swap area page `index` of a shared memory lies; SwapSlot(0) when it lies in a frame, or nowhere yet. For reports and tests.
SwapSlot slot_of_shared_page(const MemoryObject& object, size_t index);

/// Shows the slots of all pages of shared memory that are in the swap area.
void for_each_swapped_page(void (*visit)(void* context, SwapSlot slot), void* context);

/// The sizes of all shared memory there is, in pages.
size_t shared_memory_pages();

/// Where a file object's bytes come from. The file systems are a floor above; they hand this down.
struct PageSource {
    void* context;                                                                        ///< The functions' own: a node.
    Result<size_t> (*read)(void* context, uint32_t position, void* buffer, size_t bytes); ///< As NodeOperations::read.
    void (*release)(void* context);                                                       ///< The object is gone.
    void (*name)(void* context, char* text, size_t bytes);
    uint32_t bytes;                                                                       ///< The file's length.
};

/// The pages of a file, each read once when it is first asked for and kept while the object lives: the beginning of a page cache.
/// @return Error::OutOfMemory; the source is not released then
Result<MemoryObject*> create_file_object(const PageSource& source);

/// Frames that hold pages of files, now.
size_t file_frames();

} // namespace mm
