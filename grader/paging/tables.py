"""Page directories and page tables, decoded out of physical memory.

The i386 walks two levels (Intel SDM 3A, 4.3). CR3 names the frame of the page directory; bits 31:22 of a linear address
choose one of its 1024 entries (PDEs); a PDE is empty, maps 4 MiB by itself (bit PS, if CR4.PSE is set), or names the frame
of a page table, in which bits 21:12 choose one of 1024 entries (PTEs).

Here the same walk is done by the host, over bytes that the emulator's debugger read: `read_tables()` fetches every table
that CR3 leads to, `TableSet.pages()` says what they mean (which linear range lies where, and who may do what there), and
`compare()` (runs.py) puts that beside what should be there, in words. Nothing in this file asks the machine under test for its opinion.

A PTE that is not present and not 0 means nothing to the CPU; to the kernel it is a swap entry: the page lies in a slot of the
swap area (kernel/mm/paging/pte.h). `pages()` is what the CPU sees, `swapped()` what the kernel put aside, `contents()` both.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from paging.runs import ADDRESS_SPACE, PAGE, PageRun, coalesce

LARGE_PAGE = 4 << 20

PRESENT = 1 << 0
WRITABLE = 1 << 1
USER = 1 << 2
ACCESSED = 1 << 5
DIRTY = 1 << 6
PAGE_SIZE = 1 << 7
GLOBAL = 1 << 8
FRAME_MASK = 0xFFFFF000
LARGE_FRAME_MASK = 0xFFC00000
LARGE_RESERVED = 0x003FE000  # bits 21:13 of a PDE that maps 4 MiB must be 0 (bit 12 is PAT)
SWAPPED = 1 << 1             # of a PTE that is not present: all that a swap entry has beside its slot
SLOT_SHIFT = 8

CR4_PSE = 1 << 4
CR4_PGE = 1 << 7

Words = tuple[int, ...]
ReadPhysical = Callable[[int, int], bytes]

_WORDS = struct.Struct("<1024I")
_READ_AT_ONCE = 64  # frames in one read, where tables lie side by side


@dataclass(frozen=True)
class Walk:
    """One address, taken through the tables as the CPU would."""

    virtual: int
    physical: int
    writable: bool
    user: bool
    global_: bool
    large: bool
    pde: int
    pte: int | None  # None for a large page


@dataclass(frozen=True)
class Finding:
    """Something that no correct set of tables contains, or that deserves a second look."""

    kind: str  # "outside-memory", "reserved-bits", "shared-table", "user-recursion", "exposed-table"
    text: str


@dataclass(frozen=True)
class TableSet:
    """All tables that one CR3 leads to, as raw words, and what they mean."""

    cr3: int
    cr4: int
    directory: Words
    frames: dict[int, Words] = field(repr=False)  # words of each page table, by the number of its frame
    unread: frozenset[int] = frozenset()          # frames that PDEs name, but that lie outside memory

    # -- the shape of the tables -----------------------------------------------------------------------------------

    @property
    def directory_frame(self) -> int:
        """The number of the frame that holds the directory."""
        return self.cr3 // PAGE

    @property
    def large_pages(self) -> bool:
        """Whether PS in a PDE has a meaning: without CR4.PSE the CPU ignores it."""
        return bool(self.cr4 & CR4_PSE)

    def is_large(self, pde: int) -> bool:
        """Whether this PDE maps 4 MiB."""
        return bool(pde & PRESENT and pde & PAGE_SIZE and self.large_pages)

    def is_table(self, pde: int) -> bool:
        """Whether this PDE names a page table."""
        return bool(pde & PRESENT) and not self.is_large(pde)

    @cached_property
    def tables(self) -> dict[int, Words]:
        """The words of each page table by the index of the PDE that names it; recursive slots are not page tables."""
        return {index: self.frames[frame] for index, frame in self.table_slots.items() if frame in self.frames}

    @cached_property
    def table_slots(self) -> dict[int, int]:
        """PDE index -> frame number, for each PDE that names a page table other than the directory itself."""
        return {index: pde >> 12 for index, pde in enumerate(self.directory)
                if self.is_table(pde) and pde >> 12 != self.directory_frame}

    @cached_property
    def recursive_slots(self) -> tuple[int, ...]:
        """Indices of PDEs that point back at the directory: through them the tables themselves appear as pages."""
        return tuple(index for index, pde in enumerate(self.directory)
                     if self.is_table(pde) and pde >> 12 == self.directory_frame)

    def table_frames(self, begin: int = 0, end: int = ADDRESS_SPACE) -> list[int]:
        """Sorted numbers of the frames that hold page tables for addresses in [begin, end), the directory not among them."""
        first, last = begin >> 22, (end + LARGE_PAGE - 1) >> 22
        return sorted({frame for index, frame in self.table_slots.items() if first <= index < last})

    # -- what the tables mean --------------------------------------------------------------------------------------

    def pages(self, begin: int = 0, end: int = ADDRESS_SPACE) -> list[PageRun]:
        """What is mapped in [begin, end): sorted runs, as long as possible, with the rights of both levels together.

        Write and user need the bit on both levels; global is the bit of the entry that maps the page, where CR4.PGE is
        set. Pages seen through a recursive slot are tables, not contents, and are left out.
        """
        if (begin, end) == (0, ADDRESS_SPACE):
            return list(self._all_pages)
        return [run.part(begin, end) for run in self._all_pages if run.end > begin and run.virtual < end]

    def swapped(self, begin: int = 0, end: int = ADDRESS_SPACE) -> list[PageRun]:
        """The swap entries in [begin, end): sorted runs of pages whose slots lie in a row. A recursive slot shows none."""
        return [run.part(begin, end) for run in self._all_swapped if run.end > begin and run.virtual < end]

    def contents(self, begin: int = 0, end: int = ADDRESS_SPACE) -> list[PageRun]:
        """Mapped and swapped pages of [begin, end), sorted."""
        return sorted(self.pages(begin, end) + self.swapped(begin, end), key=lambda run: run.virtual)

    @cached_property
    def _all_swapped(self) -> tuple[PageRun, ...]:
        return tuple(coalesce(PageRun(index << 22 | number << 12, slot * PAGE, PAGE, swapped=True) for index, words in self.tables.items()
                              for number, word in enumerate(words) if (slot := swap_slot(word)) is not None))

    @cached_property
    def _all_pages(self) -> tuple[PageRun, ...]:
        return tuple(coalesce(self._leaves(), sizes=True))

    def _leaves(self) -> Iterator[PageRun]:
        for index, pde in enumerate(self.directory):
            if self.is_large(pde):
                yield self._run(index << 22, pde & LARGE_FRAME_MASK, LARGE_PAGE, pde & (WRITABLE | USER | GLOBAL), True)
            elif index in self.tables:
                yield from self._leaves_of_table(index << 22, pde, self.tables[index])

    def _leaves_of_table(self, base: int, pde: int, words: Words) -> Iterator[PageRun]:
        """Runs inside one table. Neighbours that continue each other differ by exactly one frame in the masked word."""
        keep = FRAME_MASK | GLOBAL | PRESENT | (pde & (WRITABLE | USER))
        start, first, expected = 0, 0, -1
        for number, word in enumerate(words):
            meaning = word & keep if word & PRESENT else 0
            if meaning == expected and meaning:
                expected += PAGE
                continue
            if first:
                yield self._run(base + start * PAGE, first & FRAME_MASK, (number - start) * PAGE, first, False)
            start, first, expected = number, meaning, meaning + PAGE if meaning else 0
        if first:
            yield self._run(base + start * PAGE, first & FRAME_MASK, (1024 - start) * PAGE, first, False)

    def _run(self, virtual: int, physical: int, length: int, bits: int, large: bool) -> PageRun:
        return PageRun(virtual, physical, length, bool(bits & WRITABLE), bool(bits & USER),
                       bool(bits & GLOBAL and self.cr4 & CR4_PGE), large)

    def entries(self, virtual: int) -> tuple[int, int | None]:
        """The words that a walk for `virtual` reads: the PDE, and the PTE if the PDE names a table (None if not)."""
        pde = self.directory[virtual >> 22]
        if not self.is_table(pde):
            return pde, None
        words = self.directory if pde >> 12 == self.directory_frame else self.frames.get(pde >> 12)
        return pde, words[virtual >> 12 & 0x3FF] if words else None

    def translate(self, virtual: int) -> Walk | None:
        """What the CPU would find for `virtual`, or None if a level is not present. Recursive slots included."""
        pde, pte = self.entries(virtual)
        leaf = pte if self.is_table(pde) else pde
        if not leaf or not leaf & PRESENT:
            return None
        large = pte is None
        mask = LARGE_FRAME_MASK if large else FRAME_MASK
        physical = leaf & mask | virtual & (LARGE_PAGE - 1 if large else PAGE - 1)
        both = pde & leaf
        return Walk(virtual, physical, bool(both & WRITABLE), bool(both & USER),
                    bool(leaf & GLOBAL and self.cr4 & CR4_PGE), large, pde, pte)

    def describe_walk(self, virtual: int) -> str:
        """The walk for one address in words, entry by entry, for the report of a failure."""
        pde, pte = self.entries(virtual)
        text = f"{virtual:#010x}: PDE {virtual >> 22} = {describe_entry(pde, large=self.is_large(pde))}"
        if not self.is_table(pde):
            return text
        if pte is None:
            return f"{text}; its table lies outside memory"
        return f"{text}; PTE {virtual >> 12 & 0x3FF} = {describe_pte(pte)}"

    # -- what should not be there ----------------------------------------------------------------------------------

    def findings(self, memory_end: int | None = None) -> list[Finding]:
        """What is wrong with these tables, whatever they were meant to map. `memory_end`: bytes of physical memory."""
        return [*self._outside(memory_end), *self._reserved(), *self._shared(), *self._exposed()]

    def _outside(self, memory_end: int | None) -> Iterator[Finding]:
        for index, frame in self.table_slots.items():
            if frame in self.unread or (memory_end is not None and frame * PAGE >= memory_end):
                yield Finding("outside-memory", f"PDE {index} ({self.directory[index]:#010x}) names a page table at "
                                                f"{frame * PAGE:#010x}, where the machine has no memory")

    def _reserved(self) -> Iterator[Finding]:
        for index, pde in enumerate(self.directory):
            if self.is_large(pde) and pde & LARGE_RESERVED:
                yield Finding("reserved-bits", f"PDE {index} ({pde:#010x}) maps a 4 MiB page with reserved bits set "
                                               f"({pde & LARGE_RESERVED:#x}): its frame is not a multiple of 1024")

    def _shared(self) -> Iterator[Finding]:
        seen: dict[int, int] = {}
        for index, frame in self.table_slots.items():
            first = seen.setdefault(frame, index)
            if first != index:
                yield Finding("shared-table", f"PDE {first} and PDE {index} name the same page table, frame {frame:#x}: "
                                              f"a change of one changes the other")

    def _exposed(self) -> Iterator[Finding]:
        for index in self.recursive_slots:
            if self.directory[index] & USER:
                yield Finding("user-recursion", f"the recursive slot, PDE {index}, has the user bit: user code sees page tables")
        own = sorted({*self.table_slots.values(), self.directory_frame})
        for run in self._all_pages:
            if run.user and run.writable:
                for frame in own[bisect_left(own, run.frame):bisect_left(own, run.frame + run.pages)]:
                    where = run.virtual + (frame - run.frame) * PAGE
                    yield Finding("exposed-table", f"user code can write a page table: {where:#010x} maps frame {frame:#x}")

    # -- records ---------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, object]:
        """Everything as plain JSON values: words are packed little-endian, deflated, and written in base64."""
        return {"cr3": self.cr3, "cr4": self.cr4, "directory": _pack(self.directory),
                "tables": {str(frame): _pack(words) for frame, words in sorted(self.frames.items())},
                "unread": sorted(self.unread)}

    @staticmethod
    def from_json(record: dict) -> TableSet:
        """The inverse of to_json(). Raises ValueError for anything that to_json() would not write."""
        try:
            return TableSet(int(record["cr3"]), int(record["cr4"]), _unpack(record["directory"]),
                            {int(frame): _unpack(text) for frame, text in record["tables"].items()},
                            frozenset(int(frame) for frame in record.get("unread", [])))
        except (KeyError, TypeError, AttributeError, zlib.error, binascii.Error, struct.error) as error:
            raise ValueError(f"not a record of page tables: {error}") from error


def read_tables(physical: ReadPhysical, cr3: int, cr4: int, *, memory_end: int | None = None) -> TableSet:
    """Reads the directory that CR3 names and every page table that it leads to.

    `physical(address, length)` returns bytes of physical memory. With `memory_end` (bytes of memory), frames outside are
    not read but noted: an emulator answers 0xff for them, which would look like a table full of pages.
    """
    base = cr3 & FRAME_MASK
    directory = _WORDS.unpack(physical(base, PAGE))
    shape = TableSet(base, cr4, directory, {})
    wanted = set(shape.table_slots.values())
    outside = {frame for frame in wanted if memory_end is not None and frame * PAGE >= memory_end}
    return replace(shape, frames=_read_frames(physical, sorted(wanted - outside)), unread=frozenset(outside))


def _read_frames(physical: ReadPhysical, frames: Sequence[int]) -> dict[int, Words]:
    """The words of each frame; neighbours are fetched together, as each read is a question to a debugger."""
    result: dict[int, Words] = {}
    position = 0
    while position < len(frames):
        count = 1
        while (count < _READ_AT_ONCE and position + count < len(frames)
               and frames[position + count] == frames[position] + count):
            count += 1
        data = physical(frames[position] * PAGE, count * PAGE)
        for number in range(count):
            result[frames[position] + number] = _WORDS.unpack_from(data, number * PAGE)
        position += count
    return result


def describe_entry(word: int, *, large: bool = False) -> str:
    """One entry in words: "0x00200067 (present, writable, user, accessed -> frame 0x200)"."""
    if not word & PRESENT:
        return f"{word:#010x} (not present)"
    names = ["present", "writable" if word & WRITABLE else "read-only", "user" if word & USER else "supervisor"]
    names += [name for bit, name in ((ACCESSED, "accessed"), (DIRTY, "dirty"), (GLOBAL, "global")) if word & bit]
    if large:
        names.append("4 MiB")
    return f"{word:#010x} ({', '.join(names)} -> frame {(word & (LARGE_FRAME_MASK if large else FRAME_MASK)) >> 12:#x})"


def swap_slot(pte: int) -> int | None:
    """The slot that a PTE names if it is a swap entry, as the kernel reads it: not present, and not 0."""
    return None if pte & PRESENT or not pte else pte >> SLOT_SHIFT


def describe_pte(word: int) -> str:
    """As describe_entry(), of a PTE: a swap entry is told as such. "0x00000c02 (swapped, slot 12)"."""
    slot = swap_slot(word)
    if slot is None:
        return describe_entry(word)
    if word & (1 << SLOT_SHIFT) - 1 == SWAPPED:
        return f"{word:#010x} (swapped, slot {slot})"
    return f"{word:#010x} (not present and not 0, yet no swap entry that the kernel writes)"


def _pack(words: Words) -> str:
    return base64.b64encode(zlib.compress(_WORDS.pack(*words))).decode()


def _unpack(text: str) -> Words:
    return _WORDS.unpack(zlib.decompressobj().decompress(base64.b64decode(text, validate=True), PAGE))
