/// @file
/// What a program file says, after everything in it has been checked. The loader (program.cpp) works with this alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fs/node.h"
#include "lib/result.h"
#include "mm/space/areas.h"
#include "proc/program.h"

namespace proc {

inline constexpr size_t kMaxSegments = 16;

/// One segment to load. Addresses are those that it has when chance moves nothing: of a Dynamic program, counted from kExecutableBegin.
struct Segment {
    uint32_t begin;         ///< Address of its first byte.
    uint32_t offset;        ///< In the file; in its page where `begin` is in its own.
    uint32_t file_bytes;
    uint32_t memory_bytes;  ///< At least file_bytes, and not 0.
    mm::Protection protection;

    uint32_t end() const { return begin + memory_bytes; }
    uint32_t file_end() const { return begin + file_bytes; }
    uint32_t first_page() const { return align_down(begin, kPageSize); }
    uint32_t last_page_end() const { return align_up(end(), kPageSize); }
    bool holds(uint32_t address) const { return address >= begin && address - begin < memory_bytes; }
};

/// A program that can be loaded, unless memory or a limit says otherwise.
struct ProgramFile {
    bool movable;            ///< Position independent.
    uint32_t entry;          ///< In an executable segment.
    size_t segment_count;
    Segment segments[kMaxSegments];
    uint32_t text_end;       ///< One past the last page in the executable arena.
    uint32_t data_end;       ///< One past the last page in the data arena; kDataBegin without any.
};

/// Reads the headers of `node` and checks them.
/// @param fault  why, after Error::BadFormat; else ProgramFault::None
/// @return Error::BadFormat, WrongKind (a folder, the console), DeviceError
Result<void> read_program_file(fs::Node& node, ProgramFile& file, ProgramFault& fault);

} // namespace proc
