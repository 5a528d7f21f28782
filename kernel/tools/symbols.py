#!/usr/bin/python3
"""Makes the kernel's own symbol table, with which it names the functions of a backtrace.

    symbols.py kernel.first.elf symbols.o

The kernel is linked twice. This reads the functions of the first link and writes an object file whose section .symbols the
linker script puts behind the data, where no code moves when the second link adds it. All words are little-endian:

    count                     entries that follow
    address, name  (count x)  sorted by address; name counts in bytes from the table's beginning
    names                     each ends with a zero byte
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LONGEST_NAME = 80


class BadElf(Exception):
    """The file is not the kind of ELF file that this reads."""


@dataclass(frozen=True)
class Function:
    """Code at `address`, by the name that the source gives it."""

    address: int
    name: str


# --- reading -----------------------------------------------------------------------------------------------------------

_ELF_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_SHT_SYMTAB, _SHT_STRTAB = 2, 3
_SHF_EXECINSTR = 4
_STT_NOTYPE, _STT_FUNC = 0, 2


@dataclass(frozen=True)
class _Section:
    kind: int
    flags: int
    offset: int
    size: int
    link: int


def _sections(image: bytes) -> list[_Section]:
    if image[:7] != b"\x7fELF\x01\x01\x01":
        raise BadElf("not a 32-bit little-endian ELF file")
    header = _ELF_HEADER.unpack_from(image)
    table, entry_size, count = header[6], header[11], header[12]
    rows = (_SECTION.unpack_from(image, table + i * entry_size) for i in range(count))
    return [_Section(row[1], row[2], row[4], row[5], row[6]) for row in rows]


def _code_symbols(image: bytes) -> dict[int, str]:
    """The linker's names of code addresses. Of several names for one address, a global function's is kept."""
    sections = _sections(image)
    symbols = next((section for section in sections if section.kind == _SHT_SYMTAB), None)
    if symbols is None:
        raise BadElf("it has no symbol table")
    names = image[sections[symbols.link].offset :][: sections[symbols.link].size]
    best: dict[int, tuple[int, str]] = {}
    for name, address, _size, info, _other, section in _SYMBOL.iter_unpack(image[symbols.offset :][: symbols.size]):
        kind, is_global = info & 15, info >> 4 != 0
        in_code = 0 < section < len(sections) and sections[section].flags & _SHF_EXECINSTR
        if kind not in (_STT_NOTYPE, _STT_FUNC) or not in_code:
            continue
        text = names[name : names.index(b"\0", name)].decode("ascii", "replace")
        rank = (kind == _STT_FUNC) * 2 + is_global
        if text and rank > best.get(address, (-1, ""))[0]:
            best[address] = (rank, text)
    return {address: text for address, (_rank, text) in best.items()}


def _demangled(names: list[str]) -> list[str]:
    """The names as C++ writes them. Those that are not mangled stay."""
    if not any(name.startswith("_Z") for name in names):
        return names
    for program in ("c++filt", "i686-linux-gnu-c++filt"):
        try:
            done = subprocess.run([program], input="\n".join(names), capture_output=True, text=True, check=True)
        except FileNotFoundError:
            continue
        return done.stdout.splitlines()
    return names


_CLONE = re.compile(r" \[clone [^\]]*\]")
_ANONYMOUS = re.compile(r"\(anonymous namespace\)::")


def _without_brackets(name: str, left: str, right: str) -> str:
    """`name` without what stands between brackets, nested ones included."""
    depth, kept = 0, []
    for letter in name:
        depth += letter == left
        if depth == 0:
            kept.append(letter)
        depth -= letter == right and depth > 0
    return "".join(kept)


def short_name(name: str) -> str:
    """The name without arguments, template arguments and hidden namespaces.

    >>> short_name("mm::page_table::map(mm::PageDirectory, VirtAddr) [clone .isra.0]")
    'mm::page_table::map'
    >>> short_name("void (anonymous namespace)::visit<Table<Pte> >(Table<Pte>&)")
    'visit'
    >>> short_name("mm::Frame::operator()(int) const")
    'mm::Frame::operator()'
    """
    name = _ANONYMOUS.sub("", _CLONE.sub("", name))
    if "operator" in name:  # its brackets are part of the name
        head, operator, tail = name.partition("operator")
        symbol = re.match(r"\(\)|[^(]*", tail)
        return (_without_brackets(head, "<", ">") + operator + (symbol.group() if symbol else ""))[:LONGEST_NAME]
    name = name.replace("{lambda(", "lambda{(")
    name = _without_brackets(_without_brackets(name, "<", ">"), "(", ")")
    words = name.replace(" const", "").split()
    return (words[-1] if words else "?")[:LONGEST_NAME]


def read_functions(elf: Path) -> list[Function]:
    """The functions of a linked kernel, sorted by address."""
    found = sorted(_code_symbols(elf.read_bytes()).items())
    names = _demangled([name for _address, name in found])
    return [Function(address, short_name(name)) for (address, _), name in zip(found, names, strict=True)]


# --- writing -----------------------------------------------------------------------------------------------------------


def symbol_table(functions: list[Function]) -> bytes:
    """The section's contents."""
    names = bytearray()
    places: dict[str, int] = {}
    begin = 4 + 8 * len(functions)
    entries = []
    for function in functions:
        if function.name not in places:
            places[function.name] = begin + len(names)
            names += function.name.encode() + b"\0"
        entries.append(struct.pack("<II", function.address, places[function.name]))
    return struct.pack("<I", len(functions)) + b"".join(entries) + bytes(names)


def object_file(contents: bytes) -> bytes:
    """A relocatable i386 ELF file with nothing but a section .symbols (System V ABI, chapter 4)."""
    names = b"\0.symbols\0.shstrtab\0.note.GNU-stack\0"
    data_at = _ELF_HEADER.size
    names_at = data_at + len(contents)
    table_at = (names_at + len(names) + 3) & ~3
    sections = [
        (0,) * 10,
        # name, kind (1 PROGBITS), flags (2 ALLOC), address, offset, size, link, info, alignment, entry size
        (1, 1, 2, 0, data_at, len(contents), 0, 0, 4, 0),
        (names.index(b".shstrtab"), _SHT_STRTAB, 0, 0, names_at, len(names), 0, 0, 1, 0),
        (names.index(b".note"), 1, 0, 0, names_at, 0, 0, 0, 1, 0),
    ]
    header = _ELF_HEADER.pack(
        b"\x7fELF\x01\x01\x01".ljust(16, b"\0"), 1, 3, 1, 0, 0, table_at, 0, _ELF_HEADER.size, 0, 0, _SECTION.size, len(sections), 2
    )
    padding = bytes(table_at - names_at - len(names))
    return header + contents + names + padding + b"".join(_SECTION.pack(*section) for section in sections)


def write_symbols(elf: Path, target: Path) -> int:
    """Makes `target`, an object file with the symbol table of `elf`. Returns how many functions it names."""
    functions = read_functions(elf)
    target.write_bytes(object_file(symbol_table(functions)))
    return len(functions)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: symbols.py kernel.elf symbols.o", file=sys.stderr)
        return 3
    try:
        write_symbols(Path(arguments[0]), Path(arguments[1]))
    except (BadElf, OSError) as error:
        print(f"symbols.py: {arguments[0]}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
