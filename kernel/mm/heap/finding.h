/// @file
/// What the heap finds wrong with its callers: overflows, uses after free, double and foreign frees. A *finding* names the object, its
/// cache, and where it was allocated and freed. The heap's piece (lab 04) notices; this prints and keeps.
#pragma once

#include <cstddef>
#include <cstdint>

#include "config.h"
#include "lib/call_site.h"

namespace mm {

/// What is wrong.
enum class FindingKind : uint32_t {
    Overflow = 1,   ///< Bytes behind an object in use were written.
    Underflow,      ///< Bytes before an object in use were written.
    UseAfterFree,   ///< Bytes of an object were written after it was freed.
    DoubleFree,     ///< An object that is free already was freed.
    ForeignFree,    ///< What was freed is no object: inside one, of another cache, or nothing of the heap's at all.
};

/// The enumerator in words: "overflow", "use after free". "unknown finding" for what is no enumerator.
const char* finding_name(FindingKind kind);

/// One finding. What is not known is null or 0.
struct Finding {
    FindingKind kind = {};
    const void* object = nullptr;   ///< Its first byte; for ForeignFree what was passed to free.
    size_t size = 0;                ///< Of the object: of a cache's object, or as kmalloc() was asked.
    const char* cache = nullptr;    ///< The cache's name; "kmalloc" (or a name that begins so) for what kmalloc() returned.
    const void* damage = nullptr;   ///< The first byte that is wrong, for the first three kinds.
    CallSite allocated;             ///< Where the object was allocated.
    CallSite freed;                 ///< Where it was freed, for UseAfterFree and DoubleFree.
    CallSite found;                 ///< Whose call brought it to light; empty when a sweep did.
};

namespace findings {

inline constexpr size_t kMaxKept = 32;

/// Prints the finding on the console as one paragraph, counts it, and keeps it among the last kMaxKept. The caller goes on: the
/// kernel decides what a finding costs (with `panic_on_finding` on the command line it stops). Call it before the damage is
/// repaired, and the paragraph shows the damaged bytes.
void report(const Finding& finding);

/// What a finding costs.
enum class Reaction { GoOn, Panic };

/// GoOn at first.
void set_reaction(Reaction reaction);

/// How many there were since the boot.
size_t count();

/// The i-th of the last kMaxKept, 0 the oldest that is kept.
const Finding& kept(size_t i);

} // namespace findings
} // namespace mm
