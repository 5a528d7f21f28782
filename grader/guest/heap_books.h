/// @file
/// What the guest remembers about lab 04's piece: call sites, caches, and every block that it was handed and has not given
/// back. Shared by heap_verbs.cpp (one call each) and heap_bulk_verbs.cpp (many). All of it lies on pages that are read-only while
/// the piece runs; the host reads `blocks` and `seen` from physical memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/harness.h"
#include "guest/random.h"
#include "lib/call_site.h"
#include "mm/heap/slab.h"

namespace heap_guest {

inline constexpr size_t kMaxSites = 64;
inline constexpr size_t kMaxCaches = 8;
inline constexpr size_t kMaxBlocks = 1024;

/// In place of a cache's slot: what kmalloc() returned.
inline constexpr uint32_t kKmalloc = 0x100;
/// Text, site or cache that is none of the script's.
inline constexpr uint32_t kStranger = 0xFFFF'FFFF;

/// A place in a source that does not exist: the script invents its names, so that no piece can know them.
struct Site {
    char function[32];
    char file[48];
    uint32_t line;
};

/// A cache that the script made.
struct CacheSlot {
    mm::slab::Cache* cache;  ///< null: the slot is empty
    char name[24];
    uint32_t size;
    uint32_t alignment;
    uint32_t mark;           ///< What its constructor writes; 0 without one.
};

/// A block that the guest holds, or that for_each_object() showed.
struct Block {
    uint32_t address;
    uint32_t size;
    uint32_t cache;  ///< Slot, or kKmalloc.
    uint32_t site;   ///< Index of the call site that handed it out.
    uint32_t mark;   ///< Of the pattern in it, where a verb over many blocks has written one; in `seen` Object::owner.
};

extern CacheSlot caches[kMaxCaches];
extern Block blocks[kMaxBlocks];
extern size_t block_count;

/// What is wrong with something that the piece returned or left behind.
enum class Trouble : uint32_t {
    None = 0,
    Null,             ///< Success, and a null pointer.
    Unaligned,        ///< Not at a multiple of what was asked for.
    Overlap,          ///< Overlaps a block that the guest holds.
    Overwritten,      ///< A block no longer holds what its owner wrote.
    FreeRefused,      ///< free() of a block that the guest holds was refused.
    WrongError,       ///< An error that the contract does not name for this.
    LostContents,     ///< krealloc() did not keep the contents.
    NotConstructed,   ///< An object with a constructor is not in its constructed state.
};

/// What a verb over many blocks reports.
struct Outcome {
    uint32_t done = 0;
    Trouble trouble = Trouble::None;
    uint32_t address = 0;
    uint32_t detail = 0;        ///< Size, offset or operation, as it fits the trouble.
    Error error = Error::None;  ///< What ended the work.
    uint32_t failures = 0;      ///< Calls that failed with OutOfMemory.

    bool failed() const { return trouble != Trouble::None; }
    void fail(Trouble what, uint32_t where, uint32_t more = 0) { trouble = what, address = where, detail = more; }
    void reply(harness::Call& call) const {
        call.reply({done, static_cast<uint32_t>(trouble), address, detail, static_cast<uint32_t>(error), failures});
    }
};

/// The call that the piece works for now: callbacks stop its clock and open the guest's memory while they write.
extern harness::Call* active;

/// Calls the piece.
template <typename Work>
auto inside(harness::Call& call, Work work) {
    active = &call;
    call.enter_piece();
    auto result = work();
    call.leave_piece();
    active = nullptr;
    return result;
}

/// While it lives, a callback of the guest's runs in the middle of the piece.
class Outside {
public:
    Outside() { if (active) active->leave_piece(); }
    ~Outside() { if (active) active->enter_piece(); }
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;
};

/// The call site with this index, for the piece.
CallSite call_site(uint32_t index);
/// Which of the script's call sites this is: 0 not known, else the index plus 1, or kStranger.
uint32_t site_number(const CallSite& site);
/// Which cache has this name: its slot, kKmalloc, or kStranger.
uint32_t cache_number(const char* name);
/// The slot that argument i names: a number, or the word kmalloc for kKmalloc.
uint32_t cache_argument(const harness::Call& call, size_t i);

/// Writes and compares what only the owner of `length` bytes with this `mark` would write there. All addresses may be given that
/// the guest has been handed.
void fill(uint32_t address, uint32_t length, uint32_t mark);
/// @return the offset of the first byte that differs, or `length`
uint32_t compare(uint32_t address, uint32_t length, uint32_t mark);

/// Looks at what the piece returned, and books it. Whatever is wrong is the outcome's trouble.
void book(const Block& block, uint32_t alignment, Outcome& outcome);
/// Index among `blocks`, or kMaxBlocks.
size_t find_block(uint32_t address);
void forget(size_t index);

/// One call of the piece, whichever it is for this cache. A block is out of the books while it is being freed, so that a constructor may
/// run on it then; it is back in them when free() refuses it.
Result<void*> allocate_from(harness::Call& call, uint32_t cache, uint32_t size, uint32_t site);
Result<void> free_to(harness::Call& call, uint32_t cache, uint32_t address, uint32_t site);

using harness::Random;

} // namespace heap_guest
