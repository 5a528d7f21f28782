"""A kernel's ELF file as a boot loader reads it: Multiboot header, entry point, and the segments to load."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from emulator.machine import HIGH_MEMORY_START, Machine

MULTIBOOT_HEADER_MAGIC = 0x1BADB002
MULTIBOOT_SEARCH_BYTES = 8192  # the header lies in the first 8 KiB of the file (Multiboot 1, section 3.1)
MULTIBOOT_KNOWN_FLAGS = 0x00000003  # 0: page-aligned modules, 1: wants the memory map; both are always given

_ELF_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIIIIIII")
_ELF_CLASS_32_LITTLE_ENDIAN = b"\x7fELF\x01\x01"
_ET_EXEC = 2
_EM_386 = 3
_PT_LOAD = 1


class BootImageError(Exception):
    """The kernel, its modules or the machine cannot be made into something that boots; the message says why."""


@dataclass(frozen=True)
class Segment:
    """`data` goes to `address`, and `size - len(data)` zero bytes follow."""

    address: int
    data: bytes
    size: int

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True)
class KernelImage:
    """What a loader needs of a kernel, with physical addresses only."""

    entry: int
    segments: tuple[Segment, ...]

    @property
    def start(self) -> int:
        return min(segment.address for segment in self.segments)

    @property
    def end(self) -> int:
        return max(segment.end for segment in self.segments)

    def check_fits(self, machine: Machine) -> None:
        """Raises BootImageError unless the kernel lies in the machine's memory above 1 MiB."""
        if self.start < HIGH_MEMORY_START:
            raise BootImageError(f"the kernel would lie at {self.start:#x}, below 1 MiB")
        if self.end > machine.memory_bytes:
            raise BootImageError(f"the kernel would end at {self.end:#x}, past the machine's {machine.megabytes} MiB of memory")


def read_kernel(path: Path) -> KernelImage:
    """Reads a 32-bit Multiboot 1 ELF file, or raises BootImageError."""
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise BootImageError(f"cannot read the kernel {path}: {error.strerror}") from error
    if len(contents) < _ELF_HEADER.size or not contents.startswith(_ELF_CLASS_32_LITTLE_ENDIAN):
        raise BootImageError(f"{path} is not a 32-bit little-endian ELF file")
    header = _ELF_HEADER.unpack_from(contents)
    kind, machine, entry, table_offset, entry_size, entry_count = (header[i] for i in (1, 2, 4, 5, 9, 10))
    if kind != _ET_EXEC or machine != _EM_386:
        raise BootImageError(f"{path} is not a linked i386 program (ELF type {kind}, machine {machine}; expected 2 and 3)")
    _check_multiboot_header(path, contents)

    segments = []
    physical_entry = None
    for index in range(entry_count):
        offset = table_offset + index * entry_size
        if offset + _PROGRAM_HEADER.size > len(contents):
            raise BootImageError(f"{path} is cut off: its program headers end at byte {offset + _PROGRAM_HEADER.size}")
        kind, begin, virtual, physical, file_size, memory_size, _, _ = _PROGRAM_HEADER.unpack_from(contents, offset)
        if kind != _PT_LOAD or memory_size == 0:
            continue
        if begin + file_size > len(contents) or file_size > memory_size:
            raise BootImageError(f"{path} is cut off: segment {index} has {file_size} bytes at byte {begin} of the file")
        segments.append(Segment(physical, contents[begin : begin + file_size], memory_size))
        if virtual <= entry < virtual + memory_size:
            physical_entry = entry - virtual + physical
    if not segments:
        raise BootImageError(f"{path} has nothing to load (no PT_LOAD segment)")
    if physical_entry is None:
        raise BootImageError(f"{path} starts at {entry:#x}, which lies in none of its segments")
    return KernelImage(physical_entry, tuple(segments))


def _check_multiboot_header(path: Path, contents: bytes) -> None:
    """Looks for the three words that a Multiboot loader looks for."""
    search = contents[:MULTIBOOT_SEARCH_BYTES]
    for offset in range(0, len(search) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<III", search, offset)
        if magic == MULTIBOOT_HEADER_MAGIC and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            break
    else:
        raise BootImageError(f"{path} has no valid Multiboot header in its first {MULTIBOOT_SEARCH_BYTES} bytes")
    if unknown := flags & 0xFFFF & ~MULTIBOOT_KNOWN_FLAGS:
        raise BootImageError(f"{path}: its Multiboot header demands what this loader does not give (flags {unknown:#x})")
