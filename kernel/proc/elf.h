/// @file
/// The parts of an ELF file that a program loader reads (System V ABI, 4.1, chapters 4 and 5), for 32 bits, little endian. Everything in
/// them is what somebody wrote into a file: nothing is true before it has been checked.
#pragma once

#include <cstdint>

namespace proc::elf {

/// At the beginning of the file.
struct Header {
    uint8_t magic[4];            ///< 0x7F, "ELF".
    uint8_t file_class;          ///< 1: 32 bits.
    uint8_t byte_order;          ///< 1: little endian.
    uint8_t ident_version;       ///< 1.
    uint8_t ident_rest[9];
    uint16_t type;
    uint16_t machine;
    uint32_t version;            ///< 1.
    uint32_t entry;              ///< Address of the first instruction.
    uint32_t program_headers;    ///< Offset in the file.
    uint32_t section_headers;
    uint32_t flags;
    uint16_t header_bytes;
    uint16_t program_header_bytes;  ///< Of each one.
    uint16_t program_header_count;
    uint16_t section_header_bytes, section_header_count, section_names;
};
static_assert(sizeof(Header) == 52);

/// One segment: a piece of the file, or what is said about it.
struct ProgramHeader {
    uint32_t type;
    uint32_t offset;          ///< In the file.
    uint32_t address;         ///< In memory; of a program of type Dynamic, counted from where it is put.
    uint32_t physical_address;
    uint32_t file_bytes;
    uint32_t memory_bytes;    ///< What goes beyond file_bytes is zero.
    uint32_t flags;
    uint32_t alignment;
};
static_assert(sizeof(ProgramHeader) == 32);

enum FileType : uint16_t { Fixed = 2, Dynamic = 3 };  ///< ET_EXEC, ET_DYN.
enum SegmentType : uint32_t { Load = 1, Interpreter = 3 };
enum SegmentFlags : uint32_t { Execute = 1, Write = 2, Read = 4 };

inline constexpr uint16_t kMachine386 = 3;
inline constexpr uint8_t kClass32 = 1, kLittleEndian = 1, kVersion = 1;

} // namespace proc::elf
