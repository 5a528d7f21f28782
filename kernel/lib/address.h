/// @file
/// Addresses, frames and pages as types of their own, so that the compiler refuses a physical address where a virtual one
/// is meant. All are one 32-bit word; ranges are half-open.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

inline constexpr size_t kPageSize = 4096;                 ///< Bytes in a page and in a frame (Intel SDM 3A, 4.3).
inline constexpr size_t kLargePageSize = 4 * 1024 * 1024; ///< Bytes in a large page (CR4.PSE = 1).
inline constexpr unsigned kPageShift = 12;                ///< log2(kPageSize).
inline constexpr unsigned kLargePageShift = 22;           ///< log2(kLargePageSize).
inline constexpr size_t kPagesPerLargePage = kLargePageSize / kPageSize;  ///< 1024.
inline constexpr size_t kMaxFrames = size_t{1} << 20;     ///< Frames in the 4 GiB that 32-bit physical addresses reach.

/// The multiple of `alignment` (a power of two) at or below `value`: align_down(0x1234, 0x1000) == 0x1000.
constexpr uint32_t align_down(uint32_t value, uint32_t alignment) { return value & ~(alignment - 1); }
/// The multiple of `alignment` at or above `value`. Wraps to 0 when there is none below 2^32.
constexpr uint32_t align_up(uint32_t value, uint32_t alignment) { return align_down(value + alignment - 1, alignment); }
/// Whether `value` is a multiple of `alignment`, a power of two.
constexpr bool is_aligned(uint32_t value, uint32_t alignment) { return (value & (alignment - 1)) == 0; }

/// A physical address: what the memory bus sees.
class PhysAddr {
public:
    constexpr PhysAddr() = default;
    constexpr explicit PhysAddr(uint32_t value) : value_(value) {}
    constexpr uint32_t value() const { return value_; }
    constexpr auto operator<=>(const PhysAddr&) const = default;
    constexpr PhysAddr operator+(uint32_t bytes) const { return PhysAddr(value_ + bytes); }

private:
    uint32_t value_ = 0;
};

/// A virtual (on i386: linear) address: what an instruction uses.
class VirtAddr {
public:
    constexpr VirtAddr() = default;
    constexpr explicit VirtAddr(uint32_t value) : value_(value) {}
    constexpr uint32_t value() const { return value_; }
    constexpr auto operator<=>(const VirtAddr&) const = default;
    constexpr VirtAddr operator+(uint32_t bytes) const { return VirtAddr(value_ + bytes); }

    constexpr uint32_t directory_index() const { return value_ >> kLargePageShift; }       ///< Bits 31:22, the PDE.
    constexpr uint32_t table_index() const { return (value_ >> kPageShift) & 0x3FF; }      ///< Bits 21:12, the PTE.
    constexpr uint32_t page_offset() const { return value_ & (kPageSize - 1); }            ///< Bits 11:0.

private:
    uint32_t value_ = 0;
};

/// The address of what `pointer` points to. The tests on the host keep all memory that is managed below 4 GiB, so it fits there, too.
inline VirtAddr address_of(const void* pointer) { return VirtAddr(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer))); }
/// The address as a pointer: `pointer_to<uint32_t>(address)`.
template <typename T>
T* pointer_to(VirtAddr address) { return reinterpret_cast<T*>(static_cast<uintptr_t>(address.value())); }

/// The number of a 4 KiB frame of physical memory: physical address / 4096.
class FrameNumber {
public:
    constexpr FrameNumber() = default;
    constexpr explicit FrameNumber(uint32_t value) : value_(value) {}
    /// The frame that holds the byte at `address`.
    static constexpr FrameNumber containing(PhysAddr address) { return FrameNumber(address.value() >> kPageShift); }
    constexpr uint32_t value() const { return value_; }
    /// Physical address of the frame's first byte.
    constexpr PhysAddr address() const { return PhysAddr(value_ << kPageShift); }
    constexpr auto operator<=>(const FrameNumber&) const = default;
    constexpr FrameNumber operator+(uint32_t frames) const { return FrameNumber(value_ + frames); }
    constexpr FrameNumber& operator++() { ++value_; return *this; }

private:
    uint32_t value_ = 0;
};

/// Frames [begin, end): `end` is the first frame that is not part of it. Empty when begin == end.
struct FrameRange {
    FrameNumber begin;  ///< First frame.
    FrameNumber end;    ///< One past the last frame.

    constexpr uint32_t count() const { return end.value() - begin.value(); }
    constexpr bool contains(FrameNumber frame) const { return begin <= frame && frame < end; }
    constexpr bool overlaps(FrameRange other) const { return begin < other.end && other.begin < end; }
    constexpr bool operator==(const FrameRange&) const = default;
};

/// The frames that are in both ranges; an empty range when there are none.
constexpr FrameRange intersect(FrameRange left, FrameRange right) {
    const FrameNumber begin = left.begin < right.begin ? right.begin : left.begin;
    const FrameNumber end = left.end < right.end ? left.end : right.end;
    return begin < end ? FrameRange{begin, end} : FrameRange{begin, begin};
}

/// A power of two of frames: order 0 is one frame, order 3 a run of eight.
class Order {
public:
    constexpr Order() = default;
    constexpr explicit Order(uint32_t value) : value_(value) {}
    constexpr uint32_t value() const { return value_; }
    /// How many frames a run of this order has: 2^order.
    constexpr uint32_t frames() const { return uint32_t{1} << value_; }
    constexpr auto operator<=>(const Order&) const = default;

private:
    uint32_t value_ = 0;
};
