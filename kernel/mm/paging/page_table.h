/// @file
/// Page tables: map, unmap, protect, translate. **Contract of lab 02-paging** (file page_table.cpp).
///
/// Two levels, as the i386 walks them (Intel SDM 3A, 4.3): a page directory of 1024 entries (PDEs), each of which is empty,
/// names a page table of 1024 entries (PTEs), or maps 4 MiB by itself. pte.h has the entries as types.
///
/// | addresses               | who maps there                                                                        |
/// |-------------------------|---------------------------------------------------------------------------------------|
/// | kIdentityBegin (0) to kUserBegin | the kernel map, made at boot; no function here changes it (translate reads it) |
/// | kUserBegin to kUserEnd  | each page directory its own pages; its page tables belong to it alone                 |
/// | kSharedBegin to 2^32    | the kernel, through kernel_directory() only; every directory shares these page tables |
///
/// A page table that map() adds to the shared range goes into kernel_directory(); other directories learn of it at their
/// first access, by a page fault (mm/paging/shared_range.h), or at once if the piece likes. The 4 MiB from kPieceSlot on are
/// the piece's own: it may keep a recursive slot there; nobody else maps anything there.
///
/// The frames that a piece takes hold page directories and page tables, nothing else; what it must remember besides lies in
/// its own variables. The tables are the truth: functions read them as they are, with what the CPU noted in them, and with the
/// entries that others wrote into a page table (fork() shares pages so, mm/fault/copy_on_write.h). Who counts entries counts in the tables.
///
/// A PTE of the user range that is not present and not 0 is a **swap entry**: the kernel's note of the slot in the swap area where the
/// contents of the page are (Pte::swapped). Others write it into a page table and read it there; no function here makes one, or knows what
/// becomes of the slot. To the functions here such a page is not mapped, so that translate() and protect() answer NotMapped for it. But it
/// is not nothing either:
///
/// | what is done                     | what becomes of a swap entry in the range                                          |
/// |----------------------------------|------------------------------------------------------------------------------------|
/// | map()                            | replaced; PageSize::Large replaces the page table with all entries in it           |
/// | unmap()                          | 0 again, like a mapped page; a page table that is empty then is given back         |
/// | anything, next to it             | stays as it is: a page table that holds a swap entry is not empty                  |
/// | any call that answers an error   | stays as it is                                                                     |
/// | destroy()                        | goes with its page table                                                           |
///
/// All functions work on any directory, whether or not CR3 points to it. After a call returns, no TLB entry of the CPU
/// contradicts the page tables; see tlb.h. A call that changes up to kFullFlushPages pages forgets just those
/// (tlb::invalidate_page); only a larger one may flush everything.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/address.h"
#include "lib/result.h"

namespace mm {

inline constexpr uint32_t kUserBegin = 0x1000'0000;    ///< First address of the user range.
inline constexpr uint32_t kUserEnd = 0xC000'0000;      ///< One past its last address.
inline constexpr uint32_t kSharedBegin = 0xC000'0000;  ///< First address of the shared kernel range, which ends at 2^32.
inline constexpr uint32_t kPieceSlot = 0xFF80'0000; ///< One directory entry that the piece may use as it likes.

/// The two page sizes of the i386 with CR4.PSE.
enum class PageSize : uint32_t { Small = kPageSize, Large = kLargePageSize };

/// Whether a page may be written. With CR0.WP, ReadOnly binds the kernel as well.
enum class Access : uint8_t { ReadOnly = 0, ReadWrite = 1 };
/// Who may use a page: User includes the kernel.
enum class Privilege : uint8_t { Supervisor = 0, User = 1 };
/// Global translations survive a reload of CR3: for kernel pages, which are the same in every directory.
enum class Scope : uint8_t { Local = 0, Global = 1 };

/// What may be done with a page, and by whom.
struct Rights {
    Access access = Access::ReadOnly;
    Privilege privilege = Privilege::Supervisor;
    Scope scope = Scope::Local;
    constexpr bool operator==(const Rights&) const = default;
};

/// A page directory, named by the frame that holds it (the value of CR3).
struct PageDirectory {
    FrameNumber frame;
    constexpr bool operator==(const PageDirectory&) const = default;
};

/// The answer of translate().
struct Translation {
    PhysAddr address;  ///< The byte that the virtual address names, offset included.
    PageSize size;     ///< Of the page that maps it.
    Rights rights;     ///< Effective: the AND of both levels for access and privilege.
};

/// The directory that every other one shares its kernel entries with. Made at boot; never destroyed.
PageDirectory kernel_directory();
/// The directory that CR3 points to.
PageDirectory active_directory();

namespace page_table {

/// A range of more pages than this may be answered with a full flush instead of one INVLPG per page. Where the two cost the same depends on
/// how much of the TLB is still of use: `make bench` measures it for a working set of 256 pages (about 12 pages in Bochs, whose INVLPG looks
/// through its whole TLB when there are large pages). Linux draws the line at 33.
inline constexpr size_t kFullFlushPages = 32;

/// Makes a page directory: empty from kUserBegin to kUserEnd, and sharing all of the kernel's entries elsewhere.
/// @return Error::OutOfMemory when there is no frame for it
Result<PageDirectory> create();

/// Takes a directory apart: its own page tables and its own frame go back to the frame allocator. The frames that are
/// mapped stay: they belong to whoever mapped them. The kernel's shared page tables stay as well.
/// @return Error::Busy for the active directory, Error::InvalidArgument for kernel_directory(); nothing has changed then
Result<void> destroy(PageDirectory directory);

/// Maps `count` pages of `size` bytes from `start` on to the frames from `first` on, in order. What was mapped there before
/// is replaced. A large page that is only partly replaced is split: its other pages keep frame, rights and contents, and
/// have the accessed and dirty bits of the large page. PageSize::Large is one directory entry each, without a page table; a
/// page table of the user range that it replaces is given back.
///
/// @param start  a multiple of `size`
/// @param first  for PageSize::Large a multiple of 1024 frames
/// @param rights User goes with the user range only, Global with the shared range only; every other combination is
///               allowed, such as Supervisor pages in the user range and Local ones in the shared range
/// @return Error::InvalidArgument  count is 0; User rights in the shared range; Global in the user range
///         Error::Misaligned      start or first is not a multiple of the page size
///         Error::OutOfRange      the range wraps, or leaves the user range (any directory) or the shared range (the
///                                kernel's directory); or the frames end past 4 GiB
///         Error::Unsupported     PageSize::Large in a kernel without CONFIG_LARGE_PAGES, and in the shared range: other
///                                directories hold copies of its PDEs, which therefore never change once they are present
///         Error::OutOfMemory     no frame for a page table
/// On any error nothing has changed: no page, no page table, no frame.
Result<void> map(PageDirectory directory, VirtAddr start, FrameNumber first, size_t count, PageSize size, Rights rights);

/// Unmaps `count` pages of 4 KiB from `start` on: their entries are 0 afterwards, swap entries as well. Pages that are not mapped
/// are passed over. A large page that is only partly covered is split. A page table of the user range that becomes empty (1024
/// entries that are 0) is given back; those of the shared range stay, as other directories point to them.
/// @return as map(): InvalidArgument, Misaligned, OutOfRange; OutOfMemory when a split finds no frame. Nothing has changed then.
Result<void> unmap(PageDirectory directory, VirtAddr start, size_t count);

/// Changes the rights of `count` pages of 4 KiB from `start` on; their frames and their accessed and dirty bits stay. A large
/// page that is only partly covered is split.
/// @return as map() and unmap(), and Error::NotMapped when any page of the range is not mapped, or has a swap entry. Nothing has
///         changed then.
Result<void> protect(PageDirectory directory, VirtAddr start, size_t count, Rights rights);

/// What the CPU would find for `address` if CR3 pointed to `directory`: any address, of any range.
/// @return Error::NotMapped when a level is not present; a swap entry is not
Result<Translation> translate(PageDirectory directory, VirtAddr address);

} // namespace page_table
} // namespace mm
