"""A linked kernel, as the host reads it: symbols, protected bytes, the pages of the harness."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from elftools.elf.elffile import ELFFile

CROSS = "i686-linux-gnu-"


@dataclass(frozen=True)
class Protected:
    """Bytes that must be the same at the end of a run as in the file."""

    name: str  # "code" or "read-only data"
    address: int
    data: bytes


class KernelImage:
    """One kernel.elf."""

    def __init__(self, elf: Path) -> None:
        self.elf = elf

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Address by name, mangled and demangled; the demangled name without arguments too, where it is unique."""
        listing = subprocess.run([f"{CROSS}nm", "--defined-only", str(self.elf)], capture_output=True, text=True, check=True).stdout
        found: dict[str, int] = {}
        rows = [line.split(" ", 2) for line in listing.splitlines()]
        plain = demangle([name for _, _, name in rows])
        for (address, _, name), readable in zip(rows, plain):
            found[name] = int(address, 16)
            found.setdefault(readable, int(address, 16))
            found.setdefault(readable.partition("(")[0], int(address, 16))
        return found

    def symbol(self, name: str) -> int:
        """The address of `name`; KeyError with the name when the kernel has no such symbol."""
        return self.symbols[name]

    @cached_property
    def protected(self) -> list[Protected]:
        """What the kernel maps read-only: its code and constants."""
        parts = []
        with self.elf.open("rb") as file:
            for segment in ELFFile(file).iter_segments("PT_LOAD"):
                if not segment["p_flags"] & 2 and segment["p_filesz"]:
                    name = "code" if segment["p_flags"] & 1 else "read-only data"
                    parts.append(Protected(name, segment["p_paddr"], segment.data()))
        return parts

    @cached_property
    def harness(self) -> tuple[int, int]:
        """Where the grader's own state lies: [begin, end)."""
        return self.symbols.get("harness_begin", 0), self.symbols.get("harness_end", 0)

    @cached_property
    def text(self) -> tuple[int, int]:
        return self.symbols.get("text_begin", 0), self.symbols.get("text_end", 0)

    @cached_property
    def rodata(self) -> tuple[int, int]:
        return self.symbols.get("rodata_begin", 0), self.symbols.get("rodata_end", 0)


def demangle(names: list[str]) -> list[str]:
    """C++ names as people write them."""
    if not names:
        return []
    result = subprocess.run([f"{CROSS}c++filt"], input="\n".join(names) + "\n", capture_output=True, text=True, check=True)
    return result.stdout.splitlines()
