/// @file
/// What the guests of labs 01-frames and 03-buddy share: which frames the guest holds, what it wrote into them, and how an
/// operation over many frames reports what came of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/harness.h"
#include "mm/physical/frame_allocator.h"

namespace frames_guest {

/// Bit N % 32 of word N / 32: the guest was given frame N and has not given it back. On pages that are read-only while the piece
/// runs; the host reads it from physical memory.
extern uint32_t owned[kMaxFrames / 32];

inline bool is_owned(FrameNumber frame) { return owned[frame.value() / 32] >> (frame.value() % 32) & 1; }
inline void set_owned(FrameNumber frame) { owned[frame.value() / 32] |= 1u << (frame.value() % 32); }
inline void clear_owned(FrameNumber frame) { owned[frame.value() / 32] &= ~(1u << (frame.value() % 32)); }

/// What cannot be right. The host says it in words.
enum class Trouble : uint32_t {
    None = 0,
    HandedOutTwice,   ///< allocate() returned a frame that the guest holds already.
    NoSuchFrame,      ///< allocate() returned a frame past the end of memory.
    ZoneTooHigh,      ///< allocate() returned a frame of a higher zone than was asked for.
    ReleaseRefused,   ///< free() refused a frame that the guest holds.
    Overwritten,      ///< A frame does not hold any more what the guest wrote into it.
    Misaligned,       ///< allocate() returned a run that does not begin at a multiple of its size.
};

/// What a verb over many frames or runs reports.
struct Outcome {
    uint32_t done = 0;
    Trouble trouble = Trouble::None;
    uint32_t frame = 0;
    Error error = Error::None;  ///< What ended the work, or None when it was all done.

    bool failed() const { return trouble != Trouble::None; }
    void fail(Trouble what, FrameNumber where) { trouble = what, frame = where.value(); }
    void reply(harness::Call& call) const {
        call.reply({done, static_cast<uint32_t>(trouble), frame, static_cast<uint32_t>(error)});
    }
};

/// Argument i: "zeroed" or "unspecified".
mm::Contents contents_of(harness::Call& call, size_t i);

/// Visits every frame number below a power of two once: "ascending", "descending", "scattered", or "odd", the odd numbers
/// only. Stops at those whose bit is set in a bitmap like `owned`.
class Visit {
public:
    Visit(const uint32_t* bitmap, const char* order);

    /// Whether there was one more.
    bool next(FrameNumber& frame);

private:
    bool is_set(uint32_t frame) const { return bitmap_[frame / 32] >> (frame % 32) & 1; }

    const uint32_t* bitmap_;
    uint32_t size_ = 1;
    uint32_t visits_ = 0; ///< How many are to come.
    uint32_t step_ = 1;
    uint32_t at_ = 0;
};

/// A word that is the frame's own, so that frames which are mixed up are noticed.
inline uint32_t mark_of(FrameNumber frame, uint32_t seed) { return (frame.value() + 1) * 0x9E3779B1u ^ seed; }

struct Damage {
    uint32_t words = 0;
    uint32_t offset = 0;  ///< Of the first word that differs, in bytes.
    uint32_t seen = 0;    ///< What it holds.
};

/// Compares the frame's words from byte `from` on with `word`.
Damage compare(FrameNumber frame, uint32_t word, size_t from);

/// Marsaglia's xorshift: enough to be irregular.
class Random {
public:
    explicit Random(uint32_t seed) : state_(seed ? seed : 1) {}
    uint32_t below(uint32_t bound) {
        state_ ^= state_ << 13, state_ ^= state_ >> 17, state_ ^= state_ << 5;
        return state_ % bound;
    }

private:
    uint32_t state_;
};

} // namespace frames_guest
