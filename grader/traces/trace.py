"""Traces of the kernel heap's callers: what is allocated, resized and freed, in which order.

A trace is a text of one operation per line; lines that begin with # are for people.

    a 7 120     block 7 is allocated, 120 bytes
    r 7 200     block 7 is resized to 200 bytes
    f 7         block 7 is freed

The number of a freed block may be given to another. At the end of a trace every block is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

# The limits of the guest (grader/guest/trace_verbs.cpp), which keeps an operation in one word.
MAX_OPERATIONS = 3072
MAX_BLOCKS = 1024
MAX_SIZE = (1 << 19) - 1
KINDS = "afr"  # a word's two highest bits


@dataclass(frozen=True)
class Operation:
    """One line of a trace."""

    kind: str
    block: int
    size: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.block} {self.size}" if self.kind != "f" else f"f {self.block}"

    @property
    def word(self) -> int:
        """As the guest keeps it."""
        return KINDS.index(self.kind) << 30 | self.block << 19 | self.size


class BadTrace(ValueError):
    """A trace that no caller could follow; the message names its line."""


@dataclass(frozen=True)
class Trace:
    """A trace by its name."""

    name: str
    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        """Every trace is checked: blocks are allocated before they are freed, and nothing is left at the end."""
        live: set[int] = set()
        for line, operation in enumerate(self.operations, 1):
            if (operation.block in live) == (operation.kind == "a"):
                raise BadTrace(f"{self.name}, operation {line} ({operation}): block {operation.block} is {'' if operation.kind == 'a' else 'not '}in use")
            if not 0 <= operation.block < MAX_BLOCKS or (operation.kind != "f" and not 0 < operation.size <= MAX_SIZE):
                raise BadTrace(f"{self.name}, operation {line} ({operation}): block or size out of range")
            if operation.kind != "r":
                live ^= {operation.block}
        if live:
            raise BadTrace(f"{self.name}: {len(live)} blocks are not freed in the end")
        if not 0 < len(self.operations) <= MAX_OPERATIONS:
            raise BadTrace(f"{self.name}: {len(self.operations)} operations; 1 to {MAX_OPERATIONS} are possible")

    @cached_property
    def payload(self) -> list[int]:
        """Bytes in use after each operation."""
        sizes: dict[int, int] = {}
        total, found = 0, []
        for operation in self.operations:
            total -= sizes.pop(operation.block, 0)
            if operation.kind != "f":
                sizes[operation.block] = operation.size
                total += operation.size
            found.append(total)
        return found

    @property
    def peak(self) -> int:
        """The most bytes that are in use at a time."""
        return max(self.payload)

    @property
    def digest(self) -> int:
        """The guest computes the same (FNV-1a, word by word): what it runs is what was given."""
        value = 0x811C9DC5
        for operation in self.operations:
            value = (value ^ operation.word) * 0x01000193 & 0xFFFFFFFF
        return value

    @property
    def text(self) -> str:
        return "".join(f"{operation}\n" for operation in self.operations)

    @staticmethod
    def parse(name: str, text: str) -> Trace:
        return Trace(name, tuple(_operations(name, text)))


def _operations(name: str, text: str) -> Iterable[Operation]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        kind, *words = line.split(" ")
        if kind not in tuple(KINDS) or len(words) != (1 if kind == "f" else 2) or not all(word.isdecimal() for word in words):
            raise BadTrace(f"{name}:{number}: {line!r} is neither `a BLOCK SIZE`, `r BLOCK SIZE` nor `f BLOCK`")
        yield Operation(kind, *map(int, words))


def checked_in() -> list[Trace]:
    """The traces beside this file, in the order of their names."""
    return [Trace.parse(file.stem, file.read_text("ascii")) for file in sorted(FOLDER.glob("*.trace"))]


def module_of(traces: Sequence[Trace]) -> bytes:
    """Several traces as one file for the guest: a line `t NAME` before each."""
    return "".join(f"t {trace.name}\n{trace.text}" for trace in traces).encode("ascii")
