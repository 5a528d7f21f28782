/// @file
/// What becomes of a page fault, in the words that the dispatcher (page_fault.h) and its pieces (demand.h, copy_on_write.h) share.
#pragma once

#include <cstdint>

namespace mm::fault {

enum class Outcome : uint8_t {
    Resolved,     ///< The access is possible now: run the instruction again.
    Retry,        ///< It was possible before: a stale TLB entry, or somebody else was faster. Run it again.
    Signal,       ///< The access is wrong; `reason` says why.
    OutOfMemory,  ///< It is right, and there is no memory for it.
};
inline constexpr unsigned kOutcomes = 4;

/// Why an access is wrong.
enum class Reason : uint8_t {
    None,
    NullPointer,     ///< The first page.
    KernelAddress,   ///< Outside the user range.
    NotMapped,       ///< In no area.
    GuardPage,       ///< In the free page below an area, where a stack or a buffer ran over.
    NotReadable,     ///< The area forbids it.
    NotWritable,
    NotExecutable,
    PastEnd,         ///< Behind the last page of the mapped file: SIGBUS.
    Device,          ///< The file could not be read: SIGBUS.
    StackLimit,      ///< A stack would have to grow past its limit.
};

/// What made the page present, or writable. With Outcome::Resolved only.
enum class How : uint8_t {
    None,
    KernelTable,   ///< The directory took over a page table of the shared kernel range.
    ZeroFrame,     ///< A read of memory that nobody has written to: everybody's frame of zeros, read-only.
    Zeroed,        ///< A frame of zeros of its own.
    LargePage,     ///< 1024 of them at once.
    ObjectPage,    ///< The object's own frame: shared memory, code, a file that is read.
    ObjectCopy,    ///< A private copy of the object's page, at its first write.
    Copied,        ///< Copy-on-write: a copy of a frame that others show as well.
    LastOwner,     ///< Copy-on-write: nobody else shows the frame any more, so it may be written again.
    SwappedIn,     ///< It came back from the swap area, or from the swap cache.
};
inline constexpr unsigned kHows = 10;

struct Decision {
    Outcome outcome = Outcome::Signal;
    Reason reason = Reason::None;
    How how = How::None;
    bool stack_grew = false;   ///< A stack grew for it, too.
    uint32_t neighbours = 0;   ///< Pages that were made present besides (fault-around).
};

constexpr Decision resolved(How how) { return {.outcome = Outcome::Resolved, .how = how}; }
constexpr Decision retry() { return {.outcome = Outcome::Retry}; }
constexpr Decision signal(Reason reason) { return {.outcome = Outcome::Signal, .reason = reason}; }
constexpr Decision out_of_memory() { return {.outcome = Outcome::OutOfMemory}; }

/// "write to read-only memory"; for death messages.
const char* reason_text(Reason reason);
/// "zeroed frame"; for counters.
const char* how_text(How how);

} // namespace mm::fault
