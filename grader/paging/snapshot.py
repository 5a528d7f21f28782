"""What one checkpoint looked like: registers, page tables and the use of every frame, as a record that can be kept.

The judge takes a snapshot while the machine is stopped and writes it as JSON beside the test's record; `faultline view`
draws it, then or years later. Two parts are read from the machine's memory: the tables that CR3 leads to, and the
kernel's frame table (kernel/mm/physical/frame_table.h), an array of 16 bytes per frame: a count of references in four bytes, then the frame's use in one.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from paging.tables import LARGE_PAGE, PAGE, ReadPhysical, TableSet, read_tables

FRAME_INFO_SIZE = 16
FRAME_INFO_USE = 4  # offset of FrameInfo::use

# FrameUse in kernel/mm/physical/frame_table.h, and what the host makes of it
USES = ("hole", "reserved", "free", "allocated", "cached", "pageable")
KINDS = (*USES, "kernel", "module", "table", "directory", "conflict")
NOBODYS = tuple(USES.index(use) for use in ("hole", "free", "cached"))  # no page table may lie there
ZONES = (("DMA", 0, 4096), ("Normal", 4096, 65536), ("High", 65536, 1 << 20))

# The user range, as docs/architecture.md has it
USER_BEGIN, USER_END = 0x10000000, 0xC0000000

_READ_AT_ONCE = 1 << 16  # entries of the frame table


@dataclass(frozen=True)
class NamedRange:
    """Physical bytes [begin, end) that the host knows: the kernel's image, a boot module."""

    begin: int
    end: int
    kind: str  # "kernel" or "module"


@dataclass(frozen=True)
class FrameRun:
    """Frames [begin, end) of one kind."""

    begin: int
    end: int
    kind: str

    @property
    def count(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True)
class View:
    """One page directory of a snapshot: its name in the test, and whether CR3 pointed to it."""

    name: str
    tables: TableSet
    active: bool


@dataclass(frozen=True)
class Snapshot:
    """One checkpoint of one test."""

    name: str
    registers: dict[str, int]
    tables: TableSet
    uses: tuple[tuple[int, int], ...] = ()  # (frames, FrameUse) in order of frames; empty if not read
    ranges: tuple[NamedRange, ...] = ()
    ticks: int = 0
    directories: tuple[tuple[str, TableSet], ...] = ()  # all that the test named; may hold the active one again
    references: dict[int, int] = field(default_factory=dict)  # of frames that user pages show, as the kernel counts them
    zero_frame: int | None = None  # the one that untouched pages show

    @cached_property
    def views(self) -> list[View]:
        """The page directories to look at: the active one first."""
        active = next((name for name, tables in self.directories if tables.cr3 == self.tables.cr3), "active")
        return [View(active, self.tables, True),
                *(View(name, tables, False) for name, tables in self.directories if tables.cr3 != self.tables.cr3)]

    def view(self, name: str) -> View | None:
        return next((view for view in self.views if view.name == name), None)

    @cached_property
    def frame_map(self) -> list[FrameRun]:
        """Physical memory as runs by kind.

        What a frame is comes from the kernel's frame table; the host then paints what it knows better: kernel image and
        modules among the reserved frames, page tables among all. A page table in a frame that nobody has is "conflict".
        """
        codes = bytearray().join(bytes([use if use < len(USES) else USES.index("allocated")]) * count for count, use in self.uses)
        for known in self.ranges:
            code = KINDS.index(known.kind)
            for frame in range(known.begin // PAGE, min((known.end + PAGE - 1) // PAGE, len(codes))):
                if codes[frame] == USES.index("reserved"):
                    codes[frame] = code
        kinds = {frame: "table" for view in self.views for frame in view.tables.table_frames()}
        kinds |= {view.tables.directory_frame: "directory" for view in self.views}
        for frame, kind in kinds.items():
            if frame < len(codes):
                codes[frame] = KINDS.index("conflict" if codes[frame] in NOBODYS else kind)
        runs, begin = [], 0
        for code, group in groupby(codes):
            end = begin + sum(1 for _ in group)
            runs.append(FrameRun(begin, end, KINDS[code]))
            begin = end
        return runs

    @property
    def frame_count(self) -> int:
        return sum(count for count, _ in self.uses)

    def zone_counts(self) -> list[tuple[str, dict[str, int]]]:
        """For each zone that the machine reaches: its name, and how many frames of each kind it has."""
        result = []
        for name, begin, end in ZONES:
            counts: dict[str, int] = {}
            for run in self.frame_map:
                frames = min(end, run.end) - max(begin, run.begin)
                if frames > 0:
                    counts[run.kind] = counts.get(run.kind, 0) + frames
            if counts:
                result.append((name, counts))
        return result

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return {"name": self.name, "ticks": self.ticks, "registers": dict(self.registers), "tables": self.tables.to_json(),
                "uses": [list(run) for run in self.uses],
                "ranges": [[known.begin, known.end, known.kind] for known in self.ranges],
                "directories": [[name, tables.to_json()] for name, tables in self.directories],
                "references": [list(pair) for pair in sorted(self.references.items())], "zero_frame": self.zero_frame}

    @staticmethod
    def from_json(record: dict) -> Snapshot:
        """The inverse of to_json(). Raises ValueError for what is no snapshot."""
        try:
            uses = tuple((int(count), int(use)) for count, use in record["uses"])
            ranges = tuple(NamedRange(int(begin), int(end), str(kind)) for begin, end, kind in record["ranges"])
            if sum(count for count, _ in uses) > 1 << 20 or any(count < 0 or use < 0 for count, use in uses):
                raise ValueError("more frames than 4 GiB hold")
            if any(known.kind not in KINDS for known in ranges):
                raise ValueError("a range of unknown kind")
            return Snapshot(str(record["name"]), {str(k): int(v) for k, v in record["registers"].items()},
                            TableSet.from_json(record["tables"]), uses, ranges, int(record["ticks"]),
                            tuple((str(name), TableSet.from_json(tables)) for name, tables in record["directories"]),
                            {int(frame): int(count) for frame, count in record["references"]},
                            None if record["zero_frame"] is None else int(record["zero_frame"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a snapshot: {error}") from error


def take_snapshot(name: str, *, registers: Mapping[str, int], physical: ReadPhysical, memory_end: int | None = None,
                  frame_table: int = 0, frame_count: int = 0, held: int = 0, memory: Iterable[tuple[int, int]] | None = None, ranges: Iterable[NamedRange] = (), ticks: int = 0,
                  tables: TableSet | None = None, directories: Mapping[str, TableSet] | None = None, zero_frame: int | None = None) -> Snapshot:
    """Reads a snapshot of a stopped machine.

    `frame_table` is the physical address of the kernel's frame table and `frame_count` its length; without them, there is
    no frame map. `held` is the physical address of a bitmap of frames that the guest got from the allocator directly, which the
    kernel's frame table does not know of. With `memory`, pairs of (first byte, one past the last), only the frames of these ranges
    are looked up; all others count as holes. `tables` spares a second reading of the page tables; `directories` are others, by
    the names that the test gives them. `zero_frame` is the frame that untouched pages show.
    """
    if tables is None:
        tables = read_tables(physical, registers["cr3"], registers["cr4"], memory_end=memory_end)
    frame_count = min(frame_count, 1 << 20)
    uses = bytearray(frame_count)
    references: dict[int, int] = {}
    shown = sorted(_user_frames([tables, *(directories or {}).values()]))
    for begin, end in _frame_ranges(memory, frame_count):
        for first in range(begin, end, _READ_AT_ONCE):
            last = min(first + _READ_AT_ONCE, end)
            data = physical(frame_table + first * FRAME_INFO_SIZE, (last - first) * FRAME_INFO_SIZE)
            uses[first:last] = data[FRAME_INFO_USE::FRAME_INFO_SIZE]
            for frame in shown[bisect_left(shown, first):bisect_left(shown, last)]:
                references[frame], = struct.unpack_from("<I", data, (frame - first) * FRAME_INFO_SIZE)
    if held and frame_count:
        _mark_held(uses, physical(held, (frame_count + 7) // 8))
    runs = tuple((sum(1 for _ in group), use) for use, group in groupby(uses))
    return Snapshot(name, dict(registers), tables, runs, tuple(ranges), ticks, tuple((directories or {}).items()),
                    references, zero_frame)


def _user_frames(directories: Iterable[TableSet]) -> set[int]:
    """The frames that pages of the user range show; of a large page its first."""
    return {frame for tables in directories for run in tables.pages(USER_BEGIN, USER_END)
            for frame in range(run.frame, run.frame + run.pages, LARGE_PAGE // PAGE if run.large else 1)}


def _frame_ranges(memory: Iterable[tuple[int, int]] | None, frame_count: int) -> list[tuple[int, int]]:
    """Byte ranges as sorted, disjoint ranges of frames below `frame_count`; frames that are covered in part count."""
    if memory is None:
        return [(0, frame_count)]
    result: list[tuple[int, int]] = []
    for begin, end in sorted((begin // PAGE, min((end + PAGE - 1) // PAGE, frame_count)) for begin, end in memory):
        if result and begin <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif begin < end:
            result.append((begin, end))
    return result


def _mark_held(uses: bytearray, bitmap: bytes) -> None:
    """Frames whose bit is set are allocated, whatever the frame table says of them as free ones."""
    for frame, use in enumerate(uses):
        if use == USES.index("free") and bitmap[frame // 8] >> frame % 8 & 1:
            uses[frame] = USES.index("allocated")
