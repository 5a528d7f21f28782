/// @file
/// Programs: ELF files for the i386 (System V ABI, chapter 4 and 5; its Intel386 supplement), loaded from the volume.
///
/// Accepted: ELFCLASS32, little endian, EM_386, position independent (ET_DYN; it relocates itself) or fixed (ET_EXEC), with PT_LOAD
/// segments whose pages do not overlap, whose text lies in the executable arena and is not writable, and whose variables lie in the data arena.
/// Every field is checked before it is used; anything else is refused by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fs/node.h"
#include "lib/address.h"
#include "lib/result.h"
#include "mm/space/address_space.h"

namespace proc {

/// Why a file is no program.
enum class ProgramFault : uint8_t {
    None,
    TooShort,          ///< Ends inside the header, the program headers, or a segment.
    NotElf,            ///< The magic number, class, byte order or version is another.
    WrongMachine,
    WrongType,         ///< Neither ET_DYN nor ET_EXEC.
    NeedsLinker,       ///< Names an interpreter, which would have to link it with libraries.
    BadHeaders,        ///< Program headers of another size, or too many (more than 16), or none to load.
    BadSegment,        ///< Wraps; more bytes in the file than in memory, or fewer when it is not writable; offset and address do not agree in
                       ///< their page; may not be read.
    Overlap,           ///< Two segments share a page.
    KernelAddress,     ///< A segment outside the user range.
    TooLarge,          ///< More than the arena holds.
    WritableCode,      ///< Write and execute together, or on the wrong side of the line between them.
    BadEntry,          ///< The entry is in no executable segment.
};
const char* program_fault_text(ProgramFault fault);

/// A program in an address space that has never run.
struct LoadedProgram {
    mm::AddressSpace* space;
    VirtAddr entry;
    VirtAddr stack;      ///< ESP at the entry: argc, argv[0] to argv[argc - 1], 0, then the texts.
};

/// Reads a program into a new address space.
/// @param random  for address space layout randomisation
/// @param fault   why, after Error::BadFormat
/// @return Error::BadFormat, NotFound, WrongKind, DeviceError, OutOfMemory, LimitReached; nothing is left behind then
Result<LoadedProgram> load_program(fs::Node& file, std::span<const char* const> arguments, uint32_t random, const mm::SpaceLimits& limits,
                                   ProgramFault* fault);

} // namespace proc
