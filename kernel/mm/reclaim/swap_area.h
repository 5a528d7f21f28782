/// @file
/// The swap area: the disk (or partition) that pages go to when memory is short, as numbered slots of a page each.
///
/// The layout is Linux's, so that `mkswap` on any machine makes one (util-linux, mkswap(8); Linux, include/linux/swap.h, union
/// swap_header). Slot 0 is the header:
///
/// | byte | what |
/// |------|------|
/// | 1024 | version, 1 |
/// | 1028 | number of the last slot |
/// | 1032 | how many bad slots are listed |
/// | 1536 | the bad slots' numbers, 637 at most |
/// | 4086 | "SWAPSPACE2" |
///
/// This file moves pages and keeps no books: which slot belongs to whom is for those above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/block_device.h"
#include "lib/result.h"
#include "mm/paging/pte.h"

namespace mm::swap_area {

/// What is wrong with a device that should be a swap area.
enum class Fault : uint8_t {
    None,
    NotSwap,  ///< No header: nobody meant this device to be a swap area.
    Version,  ///< A header of a version that this kernel does not know.
    TooShort, ///< Fewer than kMinSlots slots.
    PastEnd,  ///< The header says more slots than the device has.
    BadPages, ///< The list of bad slots is damaged: too long, the header itself, past the end, or one of them twice.
    Device,   ///< The device could not be read.
};

inline constexpr size_t kMinSlots = 10;             ///< What mkswap makes at least.
inline constexpr size_t kMaxSlots = size_t{1} << 24; ///< What a swap entry can name (mm/paging/pte.h). More are not used.
inline constexpr size_t kMaxBadSlots = 637;         ///< What the header has room for.
inline constexpr size_t kMaxPagesPerCommand = 8;    ///< In one command. Each may need one of the kKmapSlots.

/// The fault in words, for a message about the header: "more pages than the device has".
const char* fault_text(Fault fault);

/// Reads and checks the header; believes nothing of it. From then on the area is in use.
/// @param device  must live until close()
/// @param why     filled in with what is wrong: Fault::None when nothing is, or the error is Busy; may be nullptr
/// @return Error::BadFormat; Error::DeviceError (and Fault::Device); Error::Busy when an area is in use already
Result<void> open(const BlockDevice& device, Fault* why);

/// Takes the area out of use; harmless without one. Nothing is written: the caller needs no page of it any more.
void close();

bool is_open();

/// The device's name; "" when no area is in use.
const char* name();

/// Slots of the area, the header (slot 0) and the bad ones included; 0 when no area is in use.
size_t slots();

/// How many slots the header says are bad.
size_t bad_slots();

/// Whether the header says that this slot's sectors are bad.
bool is_bad(SwapSlot slot);

/// Writes the frames to the slots first, first + 1, ...: one command to the device for every kMaxPagesPerCommand of them.
/// @param frames  of any zone
/// @return Error::OutOfRange when one of the slots is the header or past the end, or no area is in use (nothing is written);
///         Error::DeviceError (some may have been written)
Result<void> write(SwapSlot first, std::span<const FrameNumber> frames);

/// Reads the slots first, first + 1, ... into the frames. Errors as write(); after DeviceError the frames' contents are unspecified.
Result<void> read(SwapSlot first, std::span<const FrameNumber> frames);

/// What has gone to and come from the device since boot.
struct Statistics {
    uint32_t reads = 0, writes = 0;              ///< Commands, failed ones too.
    uint32_t pages_read = 0, pages_written = 0;  ///< By commands that succeeded.
    uint32_t read_errors = 0, write_errors = 0;  ///< Commands.
    uint64_t ticks = 0;                          ///< That the device took for all of them.
};
const Statistics& statistics();

} // namespace mm::swap_area
