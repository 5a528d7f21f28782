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
from functools import lru_cache
from pathlib import Path
from typing import IO

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

CROSS = "i686-linux-gnu-"
LONGEST_NAME = 80


class BadElf(Exception):
    """The file is not the kind of ELF file that this reads."""


@dataclass(frozen=True)
class Function:
    """Code at `address`, by the name that the source gives it."""

    address: int
    name: str


# --- reading -----------------------------------------------------------------------------------------------------------

_SYMBOL = struct.Struct("<IIIBBH")  # name, value, size, kind and binding, visibility, section
_NOTYPE, _FUNC = 0, 2  # kinds: assembly has the first, C++ the second
_LOCAL = 0


def _open(file: IO[bytes]) -> ELFFile:
    try:
        elf = ELFFile(file)
    except ELFError:
        elf = None
    if elf is None or elf.elfclass != 32 or not elf.little_endian:
        raise BadElf("not a 32-bit little-endian ELF file")
    return elf


def _code_symbols(file: IO[bytes]) -> dict[int, str]:
    """The linker's names of code addresses. Of several names for one address, a global function's is kept."""
    elf = _open(file)
    table = elf.get_section_by_name(".symtab")
    if table is None:
        raise BadElf("it has no symbol table")
    code = {index for index, section in enumerate(elf.iter_sections()) if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR}
    names = elf.get_section(table["sh_link"]).data()
    best: dict[int, tuple[int, int]] = {}
    for name, value, _size, info, _visibility, section in _SYMBOL.iter_unpack(table.data()):
        kind, binding = info & 15, info >> 4
        if not name or kind not in (_NOTYPE, _FUNC) or section not in code:
            continue
        rank = (kind == _FUNC) * 2 + (binding != _LOCAL)
        if rank > best.get(value, (-1, 0))[0]:
            best[value] = (rank, name)
    return {address: names[name:names.index(b"\0", name)].decode("utf-8", "replace") for address, (_rank, name) in best.items()}


def _demangled(names: list[str]) -> list[str]:
    """The names as C++ writes them. Those that are not mangled stay."""
    if not any(name.startswith("_Z") for name in names):
        return names
    done = subprocess.run([f"{CROSS}c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


_CLONE = re.compile(r" \[clone [^\]]*\]")
_ANONYMOUS = re.compile(r"\(anonymous namespace\)::")
_CALL_OF_LAMBDA = re.compile(r"(#\d+\})::operator\(\).*")


def _without_brackets(name: str, left: str, right: str) -> str:
    """`name` without what stands between brackets, nested ones included."""
    depth, kept = 0, []
    for letter in name:
        depth += letter == left
        if depth == 0:
            kept.append(letter)
        depth -= letter == right and depth > 0
    return "".join(kept)


@lru_cache(maxsize=None)  # a process that links many kernels meets the same names again and again
def short_name(name: str) -> str:
    """The name without arguments, template arguments and hidden namespaces.

    >>> short_name("mm::page_table::map(mm::PageDirectory, VirtAddr) [clone .isra.0]")
    'mm::page_table::map'
    >>> short_name("void (anonymous namespace)::visit<Table<Pte> >(Table<Pte>&)")
    'visit'
    >>> short_name("mm::Frame::operator()(int) const")
    'mm::Frame::operator()'
    >>> short_name("mm::change(mm::Area const&)::{lambda()#1}::operator()() const")
    'mm::change::lambda{#1}'
    """
    name = _CALL_OF_LAMBDA.sub(r"\1", _ANONYMOUS.sub("", _CLONE.sub("", name)))
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
    with elf.open("rb") as file:
        found = sorted(_code_symbols(file).items())
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


def write_symbols(elf: Path, target: Path) -> int:
    """Makes `target`, an object file with the symbol table of `elf` in its section .symbols. Returns how many functions it names."""
    functions = read_functions(elf)
    contents = target.with_suffix(".bin")
    contents.write_bytes(symbol_table(functions))
    subprocess.run([f"{CROSS}objcopy", "-I", "binary", "-O", "elf32-i386", "--strip-all",
                    "--rename-section", ".data=.symbols,alloc,load,readonly,data,contents",
                    "--add-section", ".note.GNU-stack=/dev/null", str(contents), str(target)], check=True)
    contents.unlink()
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
