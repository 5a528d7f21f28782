"""One process at one moment, seen three ways: the areas that the kernel keeps, the page tables that lie in memory, and the text of
its maps. All three must tell the same story; `disagreements()` says where they do not.

The guest writes areas and text into one block (grader/guest/program_view.h) before it stops the machine; the page tables are read out
of physical memory. Nothing here imports an emulator.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from paging.tables import PAGE, PageRun, ReadPhysical, TableSet, read_tables

USER_BEGIN, USER_END = 0x1000_0000, 0xC000_0000
EXECUTABLE_END = 0x2000_0000
KINDS = ("image", "heap", "mapping", "stack")
READ, WRITE, EXECUTE = 1, 2, 4
OUTCOMES = ("Resolved", "Retry", "Signal", "OutOfMemory")  # mm/fault/decision.h
HOWS = ("None", "KernelTable", "ZeroFrame", "Zeroed", "LargePage", "ObjectPage", "ObjectCopy", "Copied", "LastOwner", "SwappedIn")

# programs_guest::View
_HEAD = struct.Struct(f"<{13 + len(OUTCOMES) + len(HOWS) + 2}I")
_AREA = struct.Struct("<7I")
MAX_AREAS = 512
MAX_MAPS = 48 << 10
_MAPS_OFFSET = _HEAD.size + MAX_AREAS * _AREA.size

_MAPS_LINE = re.compile(r"0x([0-9a-f]{8})-0x([0-9a-f]{8}) ([r-][w-][x-][ps]) +(\w+) +(\d+) KiB, +(\d+) resident, +(\d+) shared: "
                        r"(zeros|(.+) from page (\d+?))(?:, (\d+) of 4 MiB)?(?:, (\d+) KiB in the frame of zeros)?(?:, (\d+) KiB in the swap area)?")
_MAPS_SUM = re.compile(r"(\d+) areas, (\d+) KiB, (\d+) resident, (\d+) shared, (\d+) of page tables")


@dataclass(frozen=True)
class Area:
    """An area with all its attributes."""

    begin: int
    end: int
    protection: int  # READ | WRITE | EXECUTE
    kind: int
    shared: int
    object: int  # its address, or 0: equal numbers mean the same object
    first_page: int

    @property
    def pages(self) -> int:
        return (self.end - self.begin) // PAGE

    @property
    def rights(self) -> str:
        """As the maps have it: "r-xp"."""
        letters = "".join(letter if self.protection & bit else "-" for letter, bit in (("r", READ), ("w", WRITE), ("x", EXECUTE)))
        return letters + ("s" if self.shared else "p")

    @property
    def kind_name(self) -> str:
        return KINDS[self.kind] if self.kind < len(KINDS) else f"kind {self.kind}"

    def continued_by(self, other: Area) -> bool:
        """continues() of areas.h: the two should be one area."""
        same = replace(other, begin=self.begin, end=self.end, first_page=self.first_page)
        follows = not self.object or other.first_page == self.first_page + self.pages
        return self.end == other.begin and same == self and follows

    def __str__(self) -> str:
        backing = f", object {self.object:#x} from page {self.first_page}" if self.object else ""
        return f"{self.begin:#010x}-{self.end:#010x} {self.rights} {self.kind_name}{backing}"


@dataclass(frozen=True)
class FaultCounts:
    """How many of a process's page faults went which way (mm::fault::Counters)."""

    outcomes: dict[str, int]
    hows: dict[str, int]
    stack_growths: int
    neighbours: int

    @staticmethod
    def of(words: Sequence[int]) -> FaultCounts:
        outcomes, hows = words[:len(OUTCOMES)], words[len(OUTCOMES):-2]
        return FaultCounts(dict(zip(OUTCOMES, outcomes)), dict(zip(HOWS, hows)), *words[-2:])

    def since(self, before: FaultCounts) -> FaultCounts:
        """Those that came after another look at the same process."""
        return FaultCounts({name: count - before.outcomes[name] for name, count in self.outcomes.items()},
                           {name: count - before.hows[name] for name, count in self.hows.items()},
                           self.stack_growths - before.stack_growths, self.neighbours - before.neighbours)

    def __str__(self) -> str:
        shown = [f"{count} {name}" for name, count in (self.outcomes | self.hows).items() if count and name != "None"]
        return ", ".join([*shown, f"{self.neighbours} neighbours"])


@dataclass(frozen=True)
class MapsLine:
    """One line of the maps, as numbers."""

    begin: int
    end: int
    rights: str
    kind: str
    kib: int
    resident_kib: int
    shared_kib: int
    backing: str  # "zeros", or the object's name
    first_page: int
    zeros_kib: int  # in the frame of zeros
    swapped_kib: int = 0  # in the swap area, where a page has none of memory

    @staticmethod
    def of(line: str) -> MapsLine | None:
        found = _MAPS_LINE.fullmatch(line)
        if not found:
            return None
        begin, end, rights, kind, kib, resident, shared, _, name, first, _, zeros, swapped = found.groups()
        return MapsLine(int(begin, 16), int(end, 16), rights, kind, int(kib), int(resident), int(shared), name or "zeros", int(first or 0),
                        int(zeros or 0), int(swapped or 0))


class Stopped(Protocol):
    """What is needed of the stopped machine."""

    def physical(self, address: int, length: int) -> bytes: ...
    def physical_ranges(self, ranges: list[tuple[int, int]]) -> list[bytes]: ...
    def registers(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class ProcessView:
    """A process while the machine stood still. Counts are in pages."""

    pid: int
    directory: int  # frame number
    execute_line: int
    heap_begin: int
    heap_end: int
    mapped: int
    resident: int
    shared: int
    page_tables: int
    frames_in_use: int
    zero_frame: int  # what private memory that nobody has written to shows, read-only
    areas: tuple[Area, ...]
    maps: str
    faults: FaultCounts
    table_set: TableSet
    active: bool  # CR3 points to its directory

    @property
    def tables(self) -> dict[str, TableSet]:
        """For `faultline view`, which draws what a probe has read."""
        return {f"process {self.pid}": self.table_set}

    def area_at(self, address: int) -> Area | None:
        return next((area for area in self.areas if area.begin <= address < area.end), None)

    @property
    def pages(self) -> list[PageRun]:
        """The present pages of the user range."""
        return list(self.table_set.pages(USER_BEGIN, USER_END))

    def pages_of(self, area: Area) -> Iterator[PageRun]:
        """The present pages of one area, each by itself."""
        for run in self.table_set.pages(area.begin, area.end):
            for offset in range(0, run.length, PAGE):
                yield run.part(run.virtual + offset, run.virtual + offset + PAGE)

    def frames_of(self, area: Area) -> list[int]:
        """The frames that an area's present pages lie in, lowest address first."""
        return [page.frame for page in self.pages_of(area)]

    def read(self, physical: ReadPhysical, address: int, length: int) -> bytes:
        """Bytes of the process's memory; only at the stop where the view was made."""
        result = b""
        while length:
            walk = self.table_set.translate(address)
            if walk is None:
                raise ValueError(f"{address:#x} is not mapped")
            count = min(length, PAGE - address % PAGE)
            result += physical(walk.physical, count)
            address, length = address + count, length - count
        return result

    @property
    def maps_lines(self) -> list[str]:
        return self.maps.splitlines()


def read_view(target: Stopped, address: int, memory_end: int) -> ProcessView:
    """Reads programs_guest::view, which lies at `address`, and the page tables of the process that it shows."""
    head = _HEAD.unpack(target.physical(address, _HEAD.size))
    area_count, maps_bytes = head[11], head[12]
    if area_count > MAX_AREAS or maps_bytes > MAX_MAPS:
        raise ValueError(f"a process with {area_count} areas and {maps_bytes} bytes of maps: more than the guest can show")
    words, text = target.physical_ranges([(address + _HEAD.size, area_count * _AREA.size or 1), (address + _MAPS_OFFSET, maps_bytes or 1)])
    areas = tuple(Area(*fields) for fields in _AREA.iter_unpack(words[:area_count * _AREA.size]))
    registers = target.registers()
    tables = read_tables(target.physical, head[1] * PAGE, registers["cr4"], memory_end=memory_end)
    return ProcessView(*head[:11], areas, text[:maps_bytes].decode("ascii", "backslashreplace"), FaultCounts.of(head[13:]), tables, registers["cr3"] // PAGE == head[1])


# -- the three views ---------------------------------------------------------------------------------------------------------


def disagreements(view: ProcessView, *, eager: bool = False) -> list[str]:
    """Where areas, page tables and maps tell different stories, in sentences; nothing when all is well.

    `eager`: an area's pages are all present and have exactly its rights, as in a kernel without CONFIG_DEMAND_PAGING. Otherwise they
    may be absent until somebody looks, and read-only until somebody writes. Which pages must be there, who knows the process's story
    can say (labs/space_calls.py).
    """
    return [*_areas(view), *_tables(view, eager), *_frames(view), *_line(view), *_counts(view), *_maps(view)]


def _areas(view: ProcessView) -> Iterator[str]:
    """What the contract says about any list of areas."""
    for area in view.areas:
        if area.begin >= area.end or area.begin % PAGE or area.end % PAGE or area.begin < USER_BEGIN or area.end > USER_END:
            yield f"the area {area} is no range of whole pages in the user range"
    for left, right in zip(view.areas, view.areas[1:]):
        if right.begin < left.end:
            yield f"the areas {left} and {right} overlap, or are not in order"
        elif left.continued_by(right):
            yield f"the area {right} continues {left}: the two should be one"


def _tables(view: ProcessView, eager: bool) -> Iterator[str]:
    """Every present page lies in an area, and has its rights."""
    inside = {area: list(view.pages_of(area)) for area in view.areas if area.begin < area.end}
    present = sum(run.pages for run in view.pages)
    if sum(map(len, inside.values())) < present:
        homeless = [run for run in view.pages for address in range(run.virtual, run.end, PAGE) if not view.area_at(address)]
        yield f"the page tables map {homeless[0].virtual:#010x} to {homeless[0].end - 1:#010x} ({homeless[0].rights}), in part outside all areas"
    for area, pages in inside.items():
        out_of_reach = area.protection == 0
        for page in pages:
            if page.user == out_of_reach or (not out_of_reach and page.writable and not area.protection & WRITE):
                yield f"the page {page.virtual:#010x} of the area {area} is {page.rights} in the page tables"
                break
            if eager and not out_of_reach and page.writable != bool(area.protection & WRITE):
                yield f"the page {page.virtual:#010x} of the area {area} is {page.rights} in the page tables: fewer rights than the area has"
                break
        if eager and not out_of_reach and not area.object and len(pages) < area.pages:
            yield f"of the area {area} only {len(pages)} of {area.pages} pages are present"


def _frames(view: ProcessView) -> Iterator[str]:
    """A private page that may be written, or that no object stands behind, lies in a frame of its own; but for the frame of zeros, which
    lies under many and may be written by nobody."""
    owners = Counter(frame for area in view.areas for frame in view.frames_of(area))
    for area in view.areas:
        for page in view.pages_of(area):
            where = f"under {page.virtual:#010x}, in the {'shared' if area.shared else 'private'} area {area}"
            if page.frame == view.zero_frame:
                if page.writable or area.shared:
                    yield f"the frame of zeros lies {where}, and is {page.rights} there"
                    return
            elif not area.shared and (page.writable or not area.object) and owners[page.frame] > 1:
                yield f"frame {page.frame:#x} {where}, lies under another page as well"
                return


def _line(view: ProcessView) -> Iterator[str]:
    """Nothing that may be executed lies above the code segment's limit, nothing that may be written below."""
    last = max((area.end for area in view.areas if area.protection & EXECUTE), default=None)
    if last is not None and view.execute_line != last:
        yield f"the code segment ends at {view.execute_line:#010x}, the last area that may be executed at {last:#010x}"
    for area in view.areas:
        if area.protection & WRITE and area.begin < view.execute_line:
            yield f"the area {area} may be written and lies below {view.execute_line:#010x}, where code may be executed"


def _counts(view: ProcessView) -> Iterator[str]:
    mapped, present = sum(area.pages for area in view.areas), sum(run.pages for run in view.pages)
    if view.mapped != mapped:
        yield f"{view.mapped} pages are counted as mapped, the areas have {mapped}"
    if view.resident != present:
        yield f"{view.resident} pages are counted as resident, the page tables have {present} present"
    user_slots = range(USER_BEGIN >> 22, USER_END >> 22)
    tables = 1 + len({frame for slot, frame in view.table_set.table_slots.items() if slot in user_slots})
    if view.page_tables != tables:
        yield f"{view.page_tables} frames are counted for page tables, the directory and its tables are {tables}"


def _maps(view: ProcessView) -> Iterator[str]:
    """One line for each area, and a sum."""
    *lines, total = view.maps_lines or [""]
    if len(lines) != len(view.areas):
        yield f"the maps have {len(lines)} lines for {len(view.areas)} areas"
    for line, area in zip(lines, view.areas):
        present = len(view.frames_of(area))
        seen = MapsLine.of(line)
        told = seen and (seen.begin, seen.end, seen.rights, seen.kind, seen.kib, seen.resident_kib, seen.first_page)
        if told != (area.begin, area.end, area.rights, area.kind_name, area.pages * 4, present * 4, area.first_page):
            yield f"the maps say {line!r} of the area {area} with {present} pages present"
        elif seen and (seen.backing == "zeros") != (area.object == 0):
            yield f"the maps say {line!r} of the area {area}: another backing"
        elif seen and seen.zeros_kib != 4 * view.frames_of(area).count(view.zero_frame):
            yield f"the maps say {line!r} of the area {area}, and {view.frames_of(area).count(view.zero_frame)} of its pages show the frame of zeros"
    found = _MAPS_SUM.fullmatch(total)
    if not found or tuple(map(int, found.groups())) != (len(view.areas), *(4 * n for n in (view.mapped, view.resident, view.shared, view.page_tables))):
        yield f"the maps end with {total!r}; there are {len(view.areas)} areas, {view.mapped} pages, {view.resident} resident, {view.shared} shared"
