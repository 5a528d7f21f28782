/// @file
/// The only way to a frame's bytes.
///
/// Low memory is identity mapped, so a cast would work there, and fail in the High zone, in host tests, and in the reader's
/// mind. `frame_memory()` works everywhere: below 256 MiB it is the identity mapping, above it a temporary page (kmap).
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "mm/physical/zone.h"

namespace mm {

/// How frames outside the identity mapping are reached. For FrameMemory only.
namespace temporary_memory {
void* map(FrameNumber frame);
void unmap(void* address);
} // namespace temporary_memory

/// A frame's 4096 bytes, reachable while this object lives. Moves, does not copy; the destructor gives the temporary
/// mapping back, if there was one.
class FrameMemory {
public:
    FrameMemory(FrameMemory&& other) : data_(other.data_) { other.data_ = nullptr; }
    FrameMemory(const FrameMemory&) = delete;
    FrameMemory& operator=(const FrameMemory&) = delete;
    FrameMemory& operator=(FrameMemory&&) = delete;
    // In every function that looks at a page table: a call for memory that is mapped anyway would cost more than the access.
    [[gnu::always_inline]] ~FrameMemory() {
        if (address_of(data_).value() >= kIdentityEnd) [[unlikely]] temporary_memory::unmap(data_);
    }

    /// The frame as an array of T: `frame_memory(frame).as<uint32_t>()[3]`. Valid only while this object lives.
    template <typename T>
    T* as() const { return static_cast<T*>(data_); }

private:
    friend FrameMemory frame_memory(FrameNumber frame);
    explicit FrameMemory(void* data) : data_(data) {}
    void* data_;
};

/// Makes the frame's bytes reachable. Temporary mappings are few (kKmapSlots in mm/paging/layout.h), so keep the object short-lived:
/// no more than four at a time in one function (the swap area has a command's worth, and calls nobody but the disk meanwhile).
/// @param frame  any frame of memory; reserved ones too
[[gnu::always_inline]] inline FrameMemory frame_memory(FrameNumber frame) {
    const VirtAddr address(frame.address().value());
    return FrameMemory(address.value() < kIdentityEnd ? pointer_to<void>(address) : temporary_memory::map(frame));
}

/// The permanent address of a frame of the DMA or Normal zone, which are identity mapped: `identity_address(frame)` stays valid for
/// ever, where FrameMemory is for a moment. nullptr for a frame of the High zone.
void* identity_address(FrameNumber frame);

/// The frame behind an address in identity-mapped memory. Meaningless for any other address: ask is_identity_address() first.
FrameNumber identity_frame(const void* address);

/// Whether the address lies in identity-mapped memory of this machine (its frame is in the frame table).
bool is_identity_address(const void* address);

/// How frames outside the identity mapping are reached: kmap, a floor above, registers itself here.
struct TemporaryMapper {
    void* (*map)(FrameNumber frame);
    void (*unmap)(void* address); ///< Gets every address that a FrameMemory held; passes over those that map() did not make.
};
void set_temporary_mapper(TemporaryMapper mapper);

/// Writes `word` to all 1024 words of the frame, from byte offset `from` (a multiple of 4) on.
void fill_frame(FrameNumber frame, uint32_t word, size_t from = 0);

/// Fills the frame with zeros.
inline void zero_frame(FrameNumber frame) { fill_frame(frame, 0); }

/// Copies 4096 bytes.
void copy_frame(FrameNumber to, FrameNumber from);

} // namespace mm
