"""ELF files for tests of the program loader: good ones, made by hand, and every way to spoil them.

`model()` says what kernel/proc/program.h makes of a file, written down a second time from that contract alone.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

PAGE = 4096
USER_BEGIN, USER_END = 0x1000_0000, 0xC000_0000
EXECUTABLE_END, STACKS_BEGIN = 0x2000_0000, 0xBF00_0000
DATA_OFFSET = 0x1000_0000  # of a movable program's variables, from its text
LOAD, NOTE, INTERPRETER, STACK = 1, 4, 3, 0x6474E551
R, W, X = 4, 2, 1
FIXED, DYNAMIC = 2, 3
EXIT_STATUS = 0x2A

_HEADER = struct.Struct("<4s5B7xHHIIIIIHHHHHH")
_SEGMENT = struct.Struct("<8I")
HEADER_BYTES, SEGMENT_BYTES = _HEADER.size, _SEGMENT.size
assert (HEADER_BYTES, SEGMENT_BYTES) == (52, 32)


@dataclass(frozen=True)
class Segment:
    """One program header."""

    offset: int
    address: int
    file_bytes: int
    memory_bytes: int
    flags: int
    type: int = LOAD
    alignment: int = PAGE

    def packed(self) -> bytes:
        return _SEGMENT.pack(self.type, self.offset, self.address, self.address, self.file_bytes, self.memory_bytes, self.flags, self.alignment)


@dataclass(frozen=True)
class Elf:
    """A whole file: headers, then `body` from the offset on where the headers of a good file end."""

    segments: tuple[Segment, ...]
    body: bytes
    entry: int
    type: int = DYNAMIC
    machine: int = 3
    magic: bytes = b"\x7fELF"
    ident: tuple[int, int, int] = (1, 1, 1)  # class, byte order, version
    version: int = 1
    headers_at: int = HEADER_BYTES
    header_bytes: int = HEADER_BYTES
    segment_bytes: int = SEGMENT_BYTES
    count: int | None = None  # None: as many as there are
    length: int | None = None  # the file is cut off, or filled up with zeros

    def packed(self) -> bytes:
        count = len(self.segments) if self.count is None else self.count
        header = _HEADER.pack(self.magic, *self.ident, 0, 0, self.type, self.machine, self.version, self.entry, self.headers_at, 0, 0,
                              self.header_bytes, self.segment_bytes, count, 40, 0, 0)
        data = (header + b"".join(segment.packed() for segment in self.segments)).ljust(TEXT_AT, b"\0") + self.body
        return data if self.length is None else data[:self.length].ljust(self.length, b"\0")


TEXT_AT = 0x100  # where the body begins, in the file and in the text segment
TEXT_BYTES = PAGE
DATA_BYTES, DATA_MEMORY = 0x40, 0x2345


def exit_code(text_address: int, data_address: int, *, absolute: bool) -> bytes:
    """Machine code: exit(word at data_address), if the byte at the end of the bss is zero; else exit(1)."""
    last = data_address + DATA_MEMORY - 1
    if absolute:
        load = b"\xA1" + struct.pack("<I", data_address) + b"\x0F\xB6\x15" + struct.pack("<I", last)  # mov eax,[data]; movzx edx,[last]
    else:
        after = text_address + 5
        load = (b"\xE8\0\0\0\0\x59" + b"\x8B\x81" + struct.pack("<i", data_address - after)     # call $+5; pop ecx; mov eax,[ecx+x]
                + b"\x0F\xB6\x91" + struct.pack("<i", last - after))                             # movzx edx,[ecx+y]
    return load + b"\x85\xD2\x74\x05\xB8\1\0\0\0" + b"\x89\xC3\x31\xC0\xCD\x80\x0F\x0B"         # test edx; jz; mov eax,1; mov ebx,eax; eax=0; int 80


def good(kind: int = DYNAMIC) -> Elf:
    """A program that ends with EXIT_STATUS: text with the headers in it, variables with zeros behind them."""
    text, data = (0, DATA_OFFSET) if kind == DYNAMIC else (USER_BEGIN + 0x40_0000, 0x3000_0000)
    code = exit_code(text + TEXT_AT, data + 8, absolute=kind == FIXED).ljust(TEXT_BYTES - TEXT_AT, b"\x90")
    variables = bytes(8) + struct.pack("<I", EXIT_STATUS) + bytes(DATA_BYTES - 12) + b"\xEE" * 0x80  # what follows in the file is not zero
    return Elf((Segment(0, text, TEXT_BYTES, TEXT_BYTES, R | X), Segment(TEXT_BYTES, data, DATA_BYTES, DATA_MEMORY + 8, R | W)),
               code + variables, text + TEXT_AT, kind)


# -- spoiling ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hostile:
    """A file and why it is refused: a ProgramFault, or an Error for what a limit or the memory forbids."""

    name: str
    data: bytes
    fault: str


@dataclass
class _Cases:
    base: Elf
    found: list[Hostile] = field(default_factory=list)

    def add(self, name: str, fault: str, elf: Elf | bytes) -> None:
        self.found.append(Hostile(name, elf if isinstance(elf, bytes) else elf.packed(), fault))

    def header(self, name: str, fault: str, **changes: object) -> None:
        self.add(name, fault, replace(self.base, **changes))

    def segment(self, name: str, fault: str, index: int, **changes: int) -> None:
        segments = list(self.base.segments)
        segments[index] = replace(segments[index], **changes)
        self.header(name, fault, segments=tuple(segments))

    def more(self, name: str, fault: str, *segments: Segment) -> None:
        self.header(name, fault, segments=self.base.segments + segments)


def hostile(kind: int) -> list[Hostile]:
    """Files that are refused, one fault each where that is possible."""
    cases = _Cases(good(kind))
    _lengths(cases)
    _headers(cases)
    _segments(cases)
    _places(cases)
    return cases.found


def _lengths(cases: _Cases) -> None:
    whole = len(cases.base.packed())
    needed = TEXT_BYTES + DATA_BYTES
    for length in (0, 1, 3, 4, 15, 16, 51, 52, 53, 83, 84, 115, 116, TEXT_AT, TEXT_BYTES - 1, TEXT_BYTES, needed - 1):
        cases.header(f"{length} bytes of {whole}", "TooShort", length=length)
    cases.add("no ELF file at all", "NotElf", b"#!/bin/sh\n" * 100)
    cases.add("zeros", "NotElf", bytes(8192))
    cases.add("ones", "NotElf", b"\xff" * 8192)


def _headers(cases: _Cases) -> None:
    for magic in (b"\x7eELF", b"\x7fElF", b"\x7fEL\0", b"MZ\x90\0"):
        cases.header(f"magic {magic!r}", "NotElf", magic=magic)
    for ident in ((2, 1, 1), (0, 1, 1), (1, 2, 1), (1, 0, 1), (1, 1, 0), (1, 1, 2)):
        cases.header(f"ident {ident}", "NotElf", ident=ident)
    for version in (0, 2, 1 << 31):
        cases.header(f"version {version}", "NotElf", version=version)
    for machine in (0, 2, 4, 40, 62, 0xFFFF):
        cases.header(f"machine {machine}", "WrongMachine", machine=machine)
    for type_ in (0, 1, 4, 0xFE00, 0xFFFF):
        cases.header(f"type {type_}", "WrongType", type=type_)
    for size in (0, 31, 33, 56, 64, 0xFFFF):
        cases.header(f"{size} bytes a program header", "BadHeaders", segment_bytes=size)
    for size in (0, 51, 53, 64, 0xFFFF):
        cases.header(f"{size} bytes of header", "BadHeaders", header_bytes=size)
    for count in (0, 17, 255, 1000, 65535):
        cases.header(f"{count} program headers", "BadHeaders", count=count)
    for at in (0x7FFF_FFFF, 0xFFFF_FFE0, 0xFFFF_FFFF, 0x10A0, 1 << 31):
        cases.header(f"headers at {at:#x}", "TooShort", headers_at=at)
    cases.header("no segment to load", "BadHeaders", segments=tuple(replace(segment, type=NOTE) for segment in cases.base.segments))
    cases.header("only empty segments", "BadHeaders", segments=tuple(replace(segment, file_bytes=0, memory_bytes=0) for segment in cases.base.segments))
    cases.more("an interpreter", "NeedsLinker", Segment(TEXT_AT, TEXT_AT, 16, 16, R, INTERPRETER, 1))
    text = cases.base.segments[0]
    for entry in (0, text.address - 1, text.address + TEXT_BYTES, cases.base.segments[1].address, 0xC000_0000, 0x0010_0000, 0xFFFF_FFFF):
        if not text.address <= entry < text.address + TEXT_BYTES:
            cases.header(f"entry {entry:#x}", "BadEntry", entry=entry & 0xFFFF_FFFF)


def _segments(cases: _Cases) -> None:
    text, data = cases.base.segments
    cases.segment("file bytes past the end", "TooShort", 1, file_bytes=0x2000, memory_bytes=0x3000)
    cases.segment("offset past the end", "TooShort", 1, offset=0x10_0000)
    cases.segment("offset at the end of 32 bits", "TooShort", 1, offset=0xFFFF_F000)
    cases.segment("offset and bytes wrap", "TooShort", 1, offset=0xFFFF_F000, file_bytes=0x1_0000, memory_bytes=0x2_0000)
    cases.segment("file bytes of 4 GiB", "TooShort", 1, file_bytes=0xFFFF_FFFF, memory_bytes=0xFFFF_FFFF)
    cases.segment("more in the file than in memory", "BadSegment", 1, memory_bytes=DATA_BYTES - 1)
    cases.segment("nothing in memory, something in the file", "BadSegment", 1, memory_bytes=0)
    cases.segment("memory wraps", "BadSegment", 1, memory_bytes=0xFFFF_FFFF)
    cases.segment("memory wraps by a byte", "BadSegment", 1, memory_bytes=(1 << 32) - data.address + 1)
    cases.segment("offset and address disagree", "BadSegment", 1, offset=data.offset - 1)
    cases.segment("address and offset disagree", "BadSegment", 1, address=data.address + 0x10)
    cases.segment("text with more in memory than in the file", "BadSegment", 0, memory_bytes=TEXT_BYTES + 1)
    for flags in (0, W, X, W | X):
        cases.segment(f"flags {flags} without the right to read", "BadSegment", 0, flags=flags)
    cases.segment("text that may be written", "WritableCode", 0, flags=R | W | X)
    cases.segment("variables that may be executed", "WritableCode", 1, flags=R | W | X)
    cases.more("the text twice", "Overlap", text)
    cases.more("the variables twice", "Overlap", data)
    cases.more("constants in the last page of the text", "Overlap", Segment(0x800, text.address + 0x800, 16, 16, R))
    cases.more("variables in the last page of the zeros", "Overlap", Segment(0, data.address + PAGE * 2, 16, 32, R | W))
    cases.more("a byte between", "Overlap", Segment(0, data.address + PAGE, 0, 1, R | W))
    cases.more("constants around everything", "Overlap", Segment(0, data.address - PAGE, 0x1000, 0x1000, R), Segment(0, data.address - PAGE, 0x1000, 0x1000, R))


def _places(cases: _Cases) -> None:
    """Segments where none may be, by the address that they have in memory."""
    base = USER_BEGIN if cases.base.type == DYNAMIC else 0
    text, data = cases.base.segments

    def at(address: int) -> int:
        return address - base & 0xFFFF_FFFF

    kernel = [0xC000_0000, 0xC000_0000 - PAGE * 2, 0xF040_0000, 0xFFFF_0000 - base] + ([0, 0x0010_0000, 0x0FFF_F000] if not base else [])
    for address in kernel:
        cases.segment(f"variables at {address:#x}", "KernelAddress", 1, address=at(address))
    for address in [0xC000_0000, 0xFFFF_0000 - base] + ([0, 0x0010_0000, 0x0FFF_F000] if not base else []):
        cases.segment(f"text at {address:#x}", "KernelAddress", 0, address=at(address))
    for address in (0x2000_0000, 0x3000_0000 + PAGE * 16, 0xBE00_0000):
        cases.segment(f"text at {address:#x}", "WritableCode", 0, address=at(address))
    for address in (0x1080_0000, 0x1FFF_F000):
        cases.segment(f"variables at {address:#x}", "WritableCode", 1, address=at(address))
    cases.segment("variables in the place of stacks", "TooLarge", 1, address=at(0xBF00_0000))
    cases.segment("variables up to the stacks", "TooLarge", 1, address=at(0xBF00_0000 - PAGE), memory_bytes=PAGE * 2)
    cases.more("constants on both sides of the line", "TooLarge", Segment(0, at(0x1FFF_F000), PAGE + 64, PAGE + 64, R))
    if cases.base.type == DYNAMIC:  # as far as text and variables may lie apart; fixed ones are huge(), and fine
        cases.segment("more variables than fit between text and heap", "OutOfMemory", 1, memory_bytes=0x8000_0000)
        cases.segment("more variables than user addresses", "OutOfMemory", 1, memory_bytes=0x8C00_0000)


def huge(memory_bytes: int) -> Elf:
    """A program with more variables than there is memory: zeros are promised, and most are never looked at."""
    base = good(FIXED)
    text, data = base.segments
    return replace(base, segments=(text, replace(data, memory_bytes=memory_bytes)))


def flipped(seed: int, count: int) -> Iterator[Hostile]:
    """Good files with one to four changed bits or words in their headers; model() says what is to become of them."""
    rng = random.Random(seed)
    for number in range(count):
        data = bytearray(good(rng.choice((FIXED, DYNAMIC))).packed())
        for _ in range(rng.randrange(1, 5)):
            if rng.random() < 0.5:
                at = rng.randrange(HEADER_BYTES + 2 * SEGMENT_BYTES)
                data[at] ^= 1 << rng.randrange(8)
            else:
                at = rng.randrange(0, HEADER_BYTES + 2 * SEGMENT_BYTES - 4, 4)
                struct.pack_into("<I", data, at, rng.choice((0, 1, PAGE - 1, PAGE, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, rng.getrandbits(32))))
        yield Hostile(f"flipped {number} of seed {seed}", bytes(data), "" if model(bytes(data)) else "any")


# -- the contract, once more -------------------------------------------------------------------------------------------------


def model(data: bytes) -> bool:
    """Whether a file is a program by program.h. How large it is plays no part: memory may still be too small for it."""
    if len(data) < HEADER_BYTES:
        return False
    (magic, class_, order, ident_version, _, _, type_, machine, version, entry, at, _, _, header_bytes, segment_bytes, count, *_) = _HEADER.unpack_from(data)
    if (magic, class_, order, ident_version, version, machine) != (b"\x7fELF", 1, 1, 1, 1, 3) or type_ not in (FIXED, DYNAMIC):
        return False
    if (header_bytes, segment_bytes) != (HEADER_BYTES, SEGMENT_BYTES) or not 1 <= count <= 16 or at + count * SEGMENT_BYTES > len(data):
        return False
    headers = [_SEGMENT.unpack_from(data, at + i * SEGMENT_BYTES) for i in range(count)]
    if any(header[0] == INTERPRETER for header in headers):
        return False
    base = USER_BEGIN if type_ == DYNAMIC else 0
    loaded = [header for header in headers if header[0] == LOAD and (header[4] or header[5])]
    taken: list[range] = []
    for _, offset, address, _, file_bytes, memory_bytes, flags, _ in loaded:
        if not _segment_is_good(len(data), base, offset, address, file_bytes, memory_bytes, flags):
            return False
        pages = range((address + base) // PAGE, (address + base + memory_bytes + PAGE - 1) // PAGE)
        if any(pages.start < other.stop and other.start < pages.stop for other in taken):
            return False
        taken.append(pages)
    return any(header[6] & X and header[2] <= entry < header[2] + header[5] for header in loaded)


def _segment_is_good(size: int, base: int, offset: int, address: int, file_bytes: int, memory_bytes: int, flags: int) -> bool:
    begin, end = address + base, address + base + memory_bytes
    executable, writable = bool(flags & X), bool(flags & W)
    arena = (USER_BEGIN, EXECUTABLE_END) if begin < EXECUTABLE_END else (EXECUTABLE_END, STACKS_BEGIN)
    return (offset + file_bytes <= size and file_bytes <= memory_bytes and address + memory_bytes <= 1 << 32
            and (writable or file_bytes == memory_bytes) and bool(flags & R) and not (writable and executable)
            and (file_bytes == 0 or (offset - address) % PAGE == 0)
            and arena[0] <= begin and end <= arena[1]
            and not (executable and arena[0] != USER_BEGIN) and not (writable and arena[0] == USER_BEGIN))
