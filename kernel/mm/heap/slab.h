/// @file
/// Object caches: many objects of one size, allocated and freed quickly. **Contract of lab 04-heap**, first half (file slab.cpp).
///
/// Bonwick, "The Slab Allocator: An Object-Caching Kernel Memory Allocator", USENIX Summer 1994. The names are his, the data
/// structures are yours: only what stands here is tested.
///
/// Frames come from mm::frames (or mm::pages): Zone::Normal or below, so that an object has one address for ever. Runs of frames
/// may be Unsupported (lab 01's frame allocator) or gone (fragmentation): single frames must do then, and vmalloc for an object that
/// does not fit into one with its guards. While a frame is yours, the words FrameInfo::link and the byte FrameInfo::owner_tag of its
/// entry in the frame table are yours as well. What you leave there when it goes back, its next owner may not touch.
///
/// An object is in use from the moment allocate() returns it until free() is called for it.
///
/// With CONFIG_MEMORY_DEBUGGING every object is guarded:
///
/// | state of an object | its bytes                                     | the kRedZone bytes right before and right behind it |
/// |--------------------|-----------------------------------------------|------------------------------------------------------|
/// | in use             | the owner's                                   | must stay as the heap left them                      |
/// | free               | all kFreedByte (caches without a constructor) | the heap's                                           |
///
/// Red zones are checked when the object is freed and by check(); the bytes of a free object when it is handed out again and by check()
/// (for a cache with a constructor they need not be). What is wrong is reported once, as a Finding (finding.h), and repaired, so that
/// the same damage is not found twice. Without the option there are no guards, no call sites and no checks, and nothing is
/// paid for them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/call_site.h"
#include "lib/result.h"

namespace mm {

/// Every object begins at a multiple of this, whatever smaller alignment its cache asks for.
inline constexpr size_t kHeapAlignment = 8;
/// Guarded bytes on either side of an object, at least.
inline constexpr size_t kRedZone = 8;
/// What every byte of a free object holds (0x6B, as in Solaris and Linux: "kkkk" in a dump).
inline constexpr uint8_t kFreedByte = 0x6B;
/// The largest object of a cache, and the largest alignment.
inline constexpr size_t kMaxObjectSize = 4096;

namespace slab {

/// A cache. What it holds is the piece's own business: complete the type in slab.cpp.
struct Cache;

/// What a new cache is to hold.
struct Description {
    const char* name;                      ///< Lives as long as the cache.
    size_t size;                           ///< Bytes of an object: 1 to kMaxObjectSize.
    size_t alignment = kHeapAlignment;     ///< A power of two up to kMaxObjectSize.
    void (*construct)(void*) = nullptr;    ///< Brings an object into its constructed state; see allocate(). May be null.
};

/// Figures of one cache.
struct Statistics {
    const char* name;
    size_t object_size;  ///< As described.
    size_t in_use;       ///< Objects that are handed out.
    size_t capacity;     ///< Objects that its frames have room for, in use or not.
    size_t frames;       ///< That it holds.
};

/// Prepares the heap. Called once at boot, when frames can be had. Holds no more than a few frames afterwards.
Result<void> initialize();

/// Makes a cache. It holds no frame for objects yet.
/// @return Error::InvalidArgument  size or alignment out of range, or the alignment no power of two
///         Error::OutOfMemory      no memory for the cache itself
Result<Cache*> create(const Description& description);

/// Ends a cache; all its frames go back.
/// @return Error::Busy while objects are in use. Nothing has changed then.
Result<void> destroy(Cache* cache);

/// Hands out an object.
///
/// With a constructor, the object is in its constructed state: `construct` has run on it once or more, never while it was in use,
/// and its owner before (if any) left it as it is. An owner gives objects back in their constructed state.
/// Without one the contents are unspecified.
///
/// @return Error::OutOfMemory when there is no frame for a new object; nothing has changed then
Result<void*> allocate(Cache* cache, CallSite site = CallSite::here());

/// Takes an object back.
///
/// @param object  what allocate() of the same cache returned; null is fine and does nothing
/// @return Error::NotAllocated  `object` is free already, is no object of this cache, or no address of the heap's; nothing has changed
///                              then. Any address may come: unmapped, of the user range, inside an object. With
///                              CONFIG_MEMORY_DEBUGGING also a Finding: DoubleFree for an object of this cache, as long as the
///                              heap holds its memory and has not handed out any byte of it again; else ForeignFree.
/// An object whose red zones are damaged is a Finding, Overflow or Underflow, and taken back all the same.
Result<void> free(Cache* cache, void* object, CallSite site = CallSite::here());

/// Gives every frame back that holds no object in use, of all caches and of kmalloc(); of frames that were taken together, all when none
/// of them does. Also called in the middle of a request of yours for a frame: mm::frames asks the shrinkers (shrinker.h) when
/// frames are short.
/// @return how many
size_t shrink();

/// Looks through all objects of all caches (kmalloc's included) for damage; each is reported as a Finding.
/// @return how many findings; 0 without CONFIG_MEMORY_DEBUGGING
size_t check();

/// One object in use, as for_each_object() shows it.
struct Object {
    void* address;
    size_t size;         ///< Of a cache's object, or as kmalloc() was asked.
    const char* cache;   ///< The cache's name; "kmalloc" (or a name that begins so) for what kmalloc() returned.
    CallSite allocated;
    Cache* owner = nullptr;  ///< The cache that free() takes it back to, so that the leak finder can collect it. Null for what kmalloc()
                             ///< returned, and for caches with a constructor: only an owner leaves an object in its constructed state.
};

/// Shows every object in use, kmalloc's included, each once, in any order. `visit` neither allocates nor frees.
/// Without CONFIG_MEMORY_DEBUGGING it need not show any.
void for_each_object(void (*visit)(void* context, const Object& object), void* context);

/// Shows every cache that was created, and those that the piece keeps for kmalloc(), if any (names that begin with "kmalloc").
void for_each_cache(void (*visit)(void* context, const Statistics& cache), void* context);

} // namespace slab
} // namespace mm
