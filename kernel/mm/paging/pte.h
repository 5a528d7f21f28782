/// @file
/// Page directory entries and page table entries as the i386 reads them: one 32-bit word each (Intel SDM 3A, 4.3, tables 4-4
/// to 4-6). Words are values: build one, then store it whole.
#pragma once

#include <compare>
#include <cstdint>

#include "lib/address.h"
#include "mm/paging/page_table.h"

namespace mm {

/// The bits of both kinds of entry, and the fields with the address.
namespace entry_bits {
inline constexpr uint32_t kPresent = 1u << 0;        ///< Without it the CPU ignores the other 31 bits.
inline constexpr uint32_t kWritable = 1u << 1;       ///< Counts only if both levels have it.
inline constexpr uint32_t kUser = 1u << 2;           ///< Counts only if both levels have it.
inline constexpr uint32_t kWriteThrough = 1u << 3;   ///< PWT, how the page is cached.
inline constexpr uint32_t kCacheDisable = 1u << 4;   ///< PCD, for device registers.
inline constexpr uint32_t kAccessed = 1u << 5;       ///< Set by the CPU when it uses the entry.
inline constexpr uint32_t kDirty = 1u << 6;          ///< In a PTE, and in a PDE that maps a large page.
inline constexpr uint32_t kPageSize = 1u << 7;       ///< PDE only: this entry maps 4 MiB. In a PTE this bit is PAT.
inline constexpr uint32_t kGlobal = 1u << 8;         ///< In a PTE, and in a PDE that maps a large page; needs CR4.PGE.
inline constexpr uint32_t kAvailable = 7u << 9;      ///< Free for software; a splitting piece may keep marks here.
inline constexpr uint32_t kFrame = 0xFFFF'F000;      ///< Address of a page or page table.
inline constexpr uint32_t kSwapped = 1u << 1;        ///< Of a PTE that is not present: its page lies in the swap area.
inline constexpr uint32_t kSlotShift = 8;            ///< Where the slot's number begins in such an entry: 24 bits, 64 GiB.
inline constexpr uint32_t kLargeFrame = 0xFFC0'0000; ///< Address of a large page; bits 21:13 must be 0.

/// The bits that say `rights`.
constexpr uint32_t of(Rights rights) {
    return (rights.access == Access::ReadWrite ? kWritable : 0) | (rights.privilege == Privilege::User ? kUser : 0) |
           (rights.scope == Scope::Global ? kGlobal : 0);
}
/// The rights that an entry says, by itself: the other level may take some away.
constexpr Rights rights(uint32_t word) {
    return {.access = word & kWritable ? Access::ReadWrite : Access::ReadOnly,
            .privilege = word & kUser ? Privilege::User : Privilege::Supervisor,
            .scope = word & kGlobal ? Scope::Global : Scope::Local};
}
} // namespace entry_bits

/// Number of a page in the swap area. 0 is the area's header: no page ever lies there.
class SwapSlot {
public:
    constexpr SwapSlot() = default;
    constexpr explicit SwapSlot(uint32_t value) : value_(value) {}
    constexpr uint32_t value() const { return value_; }
    constexpr auto operator<=>(const SwapSlot&) const = default;

private:
    uint32_t value_ = 0;
};

/// A page table entry: 4 KiB, a swap entry, or nothing.
class Pte {
public:
    constexpr Pte() = default;
    static constexpr Pte empty() { return Pte(0); }
    static constexpr Pte from_word(uint32_t word) { return Pte(word); }
    static constexpr Pte present(FrameNumber frame, Rights rights) {
        return Pte(frame.address().value() | entry_bits::of(rights) | entry_bits::kPresent);
    }

    /// A page that is in the swap area (mm/reclaim/swap.h): the CPU sees "not present", and the other 31 bits are the kernel's.
    static constexpr Pte swapped(SwapSlot slot) { return Pte(slot.value() << entry_bits::kSlotShift | entry_bits::kSwapped); }

    constexpr uint32_t word() const { return word_; }
    constexpr bool is_empty() const { return word_ == 0; }
    constexpr bool is_present() const { return word_ & entry_bits::kPresent; }
    /// A swap entry: neither empty nor present.
    constexpr bool is_swapped() const { return word_ != 0 && !is_present(); }
    constexpr bool is_accessed() const { return word_ & entry_bits::kAccessed; }
    constexpr bool is_dirty() const { return word_ & entry_bits::kDirty; }
    constexpr FrameNumber frame() const { return FrameNumber::containing(PhysAddr(word_)); }
    /// Of a swap entry.
    constexpr SwapSlot slot() const { return SwapSlot(word_ >> entry_bits::kSlotShift); }
    constexpr Rights rights() const { return entry_bits::rights(word_); }

private:
    constexpr explicit Pte(uint32_t word) : word_(word) {}
    uint32_t word_ = 0;
};

/// A page directory entry: a page table, a large page, or nothing.
class Pde {
public:
    constexpr Pde() = default;
    static constexpr Pde empty() { return Pde(0); }
    static constexpr Pde from_word(uint32_t word) { return Pde(word); }
    /// Points to a page table. `access` and `privilege` limit all 1024 pages below it: both levels must allow.
    static constexpr Pde table(FrameNumber frame, Access access, Privilege privilege) {
        return Pde(frame.address().value() | entry_bits::of({access, privilege, Scope::Local}) | entry_bits::kPresent);
    }
    /// Maps 4 MiB. `first` is a multiple of 1024.
    static constexpr Pde large_page(FrameNumber first, Rights rights) {
        return Pde(first.address().value() | entry_bits::of(rights) | entry_bits::kPageSize | entry_bits::kPresent);
    }

    constexpr uint32_t word() const { return word_; }
    constexpr bool is_present() const { return word_ & entry_bits::kPresent; }
    constexpr bool is_large_page() const { return is_present() && (word_ & entry_bits::kPageSize); }
    constexpr bool is_table() const { return is_present() && !(word_ & entry_bits::kPageSize); }
    constexpr bool is_accessed() const { return word_ & entry_bits::kAccessed; }
    constexpr bool is_dirty() const { return word_ & entry_bits::kDirty; }
    /// The page table's frame, or the large page's first.
    constexpr FrameNumber frame() const {
        return FrameNumber::containing(PhysAddr(word_ & (is_large_page() ? entry_bits::kLargeFrame : entry_bits::kFrame)));
    }
    constexpr Rights rights() const { return entry_bits::rights(word_); }

private:
    constexpr explicit Pde(uint32_t word) : word_(word) {}
    uint32_t word_ = 0;
};

static_assert(sizeof(Pte) == 4 && sizeof(Pde) == 4);
static_assert(Pte::present(FrameNumber(0x12345), {Access::ReadWrite, Privilege::User, Scope::Local}).word() == 0x1234'5007);
static_assert(Pte::present(FrameNumber(1), {Access::ReadOnly, Privilege::Supervisor, Scope::Global}).word() == 0x0000'1101);
static_assert(Pte::swapped(SwapSlot(0x12345)).word() == 0x0123'4502 && Pte::swapped(SwapSlot(7)).slot() == SwapSlot(7));
static_assert(Pde::table(FrameNumber(0x200), Access::ReadWrite, Privilege::User).word() == 0x0020'0007);
static_assert(Pde::large_page(FrameNumber(0x400), {Access::ReadWrite, Privilege::Supervisor, Scope::Global}).word() == 0x0040'0183);

} // namespace mm
