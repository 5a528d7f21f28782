/// @file
/// Pages on demand: what a page fault in the user range means, and how a missing page is made. **Contract of lab 06-faults** (file
/// demand.cpp).
///
/// An area is a promise: memory appears when somebody looks. The dispatcher (page_fault.h) hands every fault in the user range to
/// resolve(), which answers three questions in this order: is the access right, is the page there already, and where do its contents
/// come from. What the piece needs of the address space is in mm/space/fault_services.h.
///
/// | the page                                    | read, fetch                          | write                                         |
/// |---------------------------------------------|--------------------------------------|-----------------------------------------------|
/// | private, no object, never looked at         | the zero frame, read-only (ZeroFrame)| a zeroed frame (Zeroed), or 4 MiB (LargePage) |
/// | private, of an object                       | its frame, read-only (ObjectPage)    | a copy (ObjectCopy)                           |
/// | shared, of an object                        | its frame (ObjectPage)               | its frame (ObjectPage)                        |
/// | present, read-only, in an area that may be written, private | (no fault)           | copy_on_write::resolve_write() decides        |
#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/fault_info.h"
#include "lib/address.h"
#include "mm/fault/decision.h"

namespace mm {

class AddressSpace;

namespace demand {

/// How far below its stack pointer user code may reach: PUSHA writes 32 bytes before it moves ESP (Intel SDM 2B, PUSHA).
inline constexpr uint32_t kBelowStackPointer = 32;

/// A read of a file's page brings its neighbours along: the pages of the same block of so many, aligned in the address space.
inline constexpr size_t kNeighbourhood = 8;

/// Decides about one fault in the user range, and makes the page present where that is right. Takes the first rule that fits:
///
/// 1. **No area** holds the address. If the next area above is a stack (AreaKind::Stack), and the address lies not more than
///    kBelowStackPointer bytes below `stack_pointer`, the stack grows down to the page of the address, provided that
///    - it has at most limits().stack pages then, counted to the end of its area: else Signal, StackLimit;
///    - the page below the new begin is free, in no area, and not below the user range: else Signal, GuardPage;
///    - the space may have so many pages in areas, and there is memory to remember it: else OutOfMemory.
///    Then the address is in an area, and the rules below decide (`stack_grew` in the answer, whatever it is).
///    Otherwise Signal: GuardPage when the address lies in the page directly below an area, else NotMapped.
/// 2. **The area forbids it**: Signal. NotReadable when it grants nothing at all; NotWritable for a write without Protection::write;
///    NotExecutable for a fetch by user code without Protection::execute. What may be written or executed may be read: the i386 knows
///    no less.
/// 3. **The page is present.** A write, the area is private, and the page is read-only: what copy_on_write::resolve_write() says.
///    Otherwise the access is possible already: Retry.
/// 4. **No object, private**: zeros. A read shows zero_frame(), read-only. A write gets a zeroed frame of its own; or, with
///    CONFIG_LARGE_PAGES, a large page of its own: when the aligned 4 MiB around the address lie in the area, no page of them is
///    present, no page table is there, and a run of 1024 zeroed frames is at hand. When there is no such run, or the limit of resident
///    pages leaves no room for it, it is the one small page.
/// 5. **An object**: page `first_page + (page - range.begin)` of it. A shared area shows its frame with the area's rights; a private
///    one shows it read-only for a read, and a copy for a write.
///    A *read* in a *private* area also shows, read-only, each other page of the same block of kNeighbourhood pages that lies in the
///    area, is absent, and that the object has in memory already (ObjectOperations::page_at_hand), from the lowest up: `neighbours` says
///    how many. Nothing is read from a disk for them, and whatever is short for them ends the search, not the fault.
///
/// What fails: Error::OutOfRange of the object is Signal, PastEnd; Error::DeviceError is Signal, Device; Error::OutOfMemory of anything,
/// and Error::LimitReached (resident pages), are OutOfMemory. The object is asked before all else. Nothing has changed then: no page, no
/// frame, no reference; only a stack that has grown stays so, and what the object has read it may keep.
///
/// The address of a fault by the kernel (`fault.user` false: it copies for user code) is treated alike, except that it never fetches.
///
/// @param space          where the fault happened; its directory need not be active
/// @param fault          an address in the user range; `reserved_bit` is false. `present` is what the CPU saw: by now it may be history
/// @param stack_pointer  user code's ESP when the access was made
fault::Decision resolve(AddressSpace* space, const FaultInfo& fault, VirtAddr stack_pointer);

} // namespace demand
} // namespace mm
