// The checks of a program file. Sums of two of its numbers are made in 64 bits: no number in a file can make them wrap.
#include "proc/program_file.h"

#include "lib/memory.h"
#include "mm/space/user_layout.h"
#include "proc/elf.h"

namespace proc {
namespace {

constexpr uint8_t kMagic[4] = {0x7F, 'E', 'L', 'F'};

/// Reads exactly `bytes` bytes.
Result<void> read_all(fs::Node& node, uint32_t position, void* buffer, size_t bytes, ProgramFault& fault) {
    fault = ProgramFault::TooShort;
    if (uint64_t{position} + bytes > node.size) return Error::BadFormat;
    auto* to = static_cast<uint8_t*>(buffer);
    while (bytes > 0) {
        const size_t got = TRY(node.operations->read(node, position, to, bytes));
        if (got == 0) return Error::BadFormat;
        to += got;
        position += got;
        bytes -= got;
    }
    fault = ProgramFault::None;
    return {};
}

ProgramFault check_header(const elf::Header& header) {
    if (memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.file_class != elf::kClass32 || header.byte_order != elf::kLittleEndian ||
        header.ident_version != elf::kVersion || header.version != elf::kVersion)
        return ProgramFault::NotElf;
    if (header.machine != elf::kMachine386) return ProgramFault::WrongMachine;
    if (header.type != elf::Fixed && header.type != elf::Dynamic) return ProgramFault::WrongType;
    if (header.header_bytes != sizeof(elf::Header) || header.program_header_bytes != sizeof(elf::ProgramHeader) ||
        header.program_header_count == 0 || header.program_header_count > kMaxSegments)
        return ProgramFault::BadHeaders;
    return ProgramFault::None;
}

/// Which side of the line a segment lies on, and whether it may.
ProgramFault check_place(uint64_t begin, uint64_t end, mm::Protection protection) {
    if (begin < mm::kUserBegin || end > mm::kUserEnd) return ProgramFault::KernelAddress;
    const bool in_executable_arena = begin < mm::kExecutableEnd;
    if (protection.execute ? !in_executable_arena : protection.write && in_executable_arena) return ProgramFault::WritableCode;
    const uint32_t arena_end = in_executable_arena ? mm::kExecutableEnd : mm::kStacksArenaBegin;
    return begin < arena_end && end <= arena_end ? ProgramFault::None : ProgramFault::TooLarge;
}

/// Checks one PT_LOAD header with memory, and fills in the segment.
ProgramFault check_segment(const elf::ProgramHeader& header, uint32_t base, uint32_t file_size, Segment& segment) {
    const mm::Protection protection = {(header.flags & elf::Read) != 0, (header.flags & elf::Write) != 0, (header.flags & elf::Execute) != 0};
    const uint64_t begin = uint64_t{header.address} + base, end = begin + header.memory_bytes;
    if (uint64_t{header.offset} + header.file_bytes > file_size) return ProgramFault::TooShort;
    if (header.file_bytes > header.memory_bytes || uint64_t{header.address} + header.memory_bytes > uint64_t{1} << 32)
        return ProgramFault::BadSegment;
    if (!protection.read) return ProgramFault::BadSegment;
    if (header.file_bytes > 0 && !is_aligned(header.offset ^ header.address, kPageSize)) return ProgramFault::BadSegment;
    if (protection.write && protection.execute) return ProgramFault::WritableCode;
    if (!protection.write && header.memory_bytes > header.file_bytes) return ProgramFault::BadSegment;
    const ProgramFault place = check_place(begin, end, protection);
    if (place != ProgramFault::None) return place;
    segment = {static_cast<uint32_t>(begin), header.offset, header.file_bytes, header.memory_bytes, protection};
    return ProgramFault::None;
}

bool shares_page(const ProgramFile& file, const Segment& segment) {
    for (size_t i = 0; i < file.segment_count; ++i) {
        const Segment& other = file.segments[i];
        if (segment.first_page() < other.last_page_end() && other.first_page() < segment.last_page_end()) return true;
    }
    return false;
}

void add_segment(ProgramFile& file, const Segment& segment) {
    file.segments[file.segment_count++] = segment;
    uint32_t& arena_end = segment.begin < mm::kExecutableEnd ? file.text_end : file.data_end;
    if (segment.last_page_end() > arena_end) arena_end = segment.last_page_end();
}

ProgramFault check_segments(const elf::Header& header, const elf::ProgramHeader* headers, uint32_t file_size, ProgramFile& file) {
    const uint32_t base = file.movable ? mm::kExecutableBegin : 0;
    for (size_t i = 0; i < header.program_header_count; ++i) {
        if (headers[i].type == elf::Interpreter) return ProgramFault::NeedsLinker;
        if (headers[i].type != elf::Load || (headers[i].memory_bytes == 0 && headers[i].file_bytes == 0)) continue;
        Segment segment;
        const ProgramFault fault = check_segment(headers[i], base, file_size, segment);
        if (fault != ProgramFault::None) return fault;
        if (shares_page(file, segment)) return ProgramFault::Overlap;
        add_segment(file, segment);
    }
    return file.segment_count == 0 ? ProgramFault::BadHeaders : ProgramFault::None;
}

ProgramFault check_entry(uint32_t entry, ProgramFile& file) {
    file.entry = entry + (file.movable ? mm::kExecutableBegin : 0);
    for (size_t i = 0; i < file.segment_count; ++i) {
        if (file.segments[i].protection.execute && file.segments[i].holds(file.entry)) return ProgramFault::None;
    }
    return ProgramFault::BadEntry;
}

} // namespace

Result<void> read_program_file(fs::Node& node, ProgramFile& file, ProgramFault& fault) {
    fault = ProgramFault::None;
    if (node.kind != fs::NodeKind::File) return Error::WrongKind;
    elf::Header header;
    elf::ProgramHeader headers[kMaxSegments];
    TRY(read_all(node, 0, &header, sizeof header, fault));
    fault = check_header(header);
    if (fault != ProgramFault::None) return Error::BadFormat;
    TRY(read_all(node, header.program_headers, headers, header.program_header_count * sizeof(elf::ProgramHeader), fault));
    file = {};
    file.movable = header.type == elf::Dynamic;
    file.text_end = mm::kExecutableBegin;
    file.data_end = mm::kDataBegin;
    fault = check_segments(header, headers, node.size, file);
    if (fault == ProgramFault::None) fault = check_entry(header.entry, file);
    return fault == ProgramFault::None ? Result<void>() : Error::BadFormat;
}

const char* program_fault_text(ProgramFault fault) {
    switch (fault) {
    case ProgramFault::None: return "none";
    case ProgramFault::TooShort: return "the file is too short";
    case ProgramFault::NotElf: return "not an ELF file of 32 bits, little endian";
    case ProgramFault::WrongMachine: return "for another machine";
    case ProgramFault::WrongType: return "neither a movable nor a fixed program";
    case ProgramFault::NeedsLinker: return "needs a dynamic linker";
    case ProgramFault::BadHeaders: return "bad program headers";
    case ProgramFault::BadSegment: return "a bad segment";
    case ProgramFault::Overlap: return "two segments share a page";
    case ProgramFault::KernelAddress: return "a segment outside the user range";
    case ProgramFault::TooLarge: return "too large";
    case ProgramFault::WritableCode: return "code that may be written, or in the place of variables, or variables in the place of code";
    case ProgramFault::BadEntry: return "the entry is not in its code";
    }
    return "?";
}

} // namespace proc
