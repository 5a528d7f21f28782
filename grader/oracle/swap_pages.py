"""Pages that may leave memory: what is in them, the frames and slots that hold them, and the spaces that show them.

A frame and a slot here are what the contract (kernel/mm/reclaim/swap.h) says of them: who has them, and which is the copy of which.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

PAGE = 4096


@dataclass(frozen=True)
class Contents:
    """Of a page: word i is `first` + i, or zero when there is no `first`; and what was written since, by byte offset."""

    first: int | None = None
    words: dict[int, int] = field(default_factory=dict)

    def word(self, offset: int) -> int:
        first = 0 if self.first is None else self.first + offset // 4
        return self.words.get(offset, first & 0xFFFF_FFFF)

    def with_word(self, offset: int, word: int) -> Contents:
        return replace(self, words={**self.words, offset: word})

    def __bytes__(self) -> bytes:
        data = bytearray(PAGE) if self.first is None else bytearray(struct.pack("<1024I", *((self.first + i) & 0xFFFF_FFFF for i in range(1024))))
        for offset, word in self.words.items():
            struct.pack_into("<I", data, offset, word)
        return bytes(data)


@dataclass(eq=False)
class Frame:
    contents: Contents = field(default_factory=Contents)
    shown: int = 0            # pages of spaces
    others: int = 0           # numbered pages; for the frame of zeros the kernel
    slot: Slot | None = None  # whose copy it is
    changed: bool = True      # since it was equal to its slot
    place: int = 0            # frame number in the machine, once it was seen

    @property
    def is_held(self) -> bool:
        return self.slot is not None and self.slot.entries > 0

    @property
    def owners(self) -> int:
        return self.shown + self.others + self.is_held


@dataclass(eq=False)
class Slot:
    """One that is in use: it has entries, or a copy, or both."""

    number: int
    contents: Contents  # on the disk
    entries: int = 0
    copy: Frame | None = None

    @property
    def is_kept(self) -> bool:
        return self.entries == 0


@dataclass
class Shown:
    """A page that is present."""

    frame: Frame
    writable: bool


@dataclass
class Space:
    rights: dict[int, str] = field(default_factory=dict)           # of each page of an area: "rw-"
    pages: dict[int, Shown | Slot] = field(default_factory=dict)   # present, or in the swap area; by page number
