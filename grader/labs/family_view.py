"""All processes at one moment: everybody's page tables, read out of physical memory, and how many references the kernel counts for each
frame that they show. From these follows what must hold whatever the processes have done; wrong_counts() and wrong_rights() say where it
does not.

The guest writes who there is into one block (grader/guest/family_view.h) before it stops the machine. Nothing here imports an emulator.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from labs.process_view import USER_BEGIN, USER_END
from paging.tables import LARGE_PAGE, PAGE, PageRun, TableSet, read_tables

HOWS = ("None", "KernelTable", "ZeroFrame", "Zeroed", "LargePage", "ObjectPage", "ObjectCopy", "Copied", "LastOwner", "SwappedIn")
OUTCOMES = ("Resolved", "Retry", "Signal", "OutOfMemory")
MAX_MEMBERS, MAX_OBJECT_FRAMES = 160, 1024
DRAWN = 6  # processes that `faultline view` shows of one checkpoint

_FAULTS = len(OUTCOMES) + len(HOWS) + 2
_HEAD = struct.Struct(f"<{4 + _FAULTS}I")
_MEMBER = struct.Struct(f"<{5 + _FAULTS}I")
_OBJECTS_OFFSET = _HEAD.size + MAX_MEMBERS * _MEMBER.size
_FRAME_INFO = struct.Struct("<I12x")  # references, of FrameInfo in kernel/mm/physical/frame_table.h


@dataclass(frozen=True)
class Faults:
    """mm::fault::Counters: page faults by what became of them."""

    outcomes: dict[str, int]
    hows: dict[str, int]
    stack_growths: int
    neighbours: int

    @staticmethod
    def of(words: Sequence[int]) -> Faults:
        middle, end = len(OUTCOMES), len(OUTCOMES) + len(HOWS)
        return Faults(dict(zip(OUTCOMES, words)), dict(zip(HOWS, words[middle:end])), *words[end:])


@dataclass(frozen=True)
class Member:
    """One process with user code."""

    pid: int
    parent: int
    resident: int
    page_tables: int
    faults: Faults
    tables: TableSet
    pages: dict[int, PageRun]  # what its user range shows, page by page (a large page is one)


@dataclass(frozen=True)
class FamilyView:
    """Everybody, while the machine stood still."""

    members: dict[int, Member]  # by process number
    zero_frame: int
    frames_in_use: int
    faults: Faults  # of all since the boot
    object_frames: dict[int, bool]  # frames of memory objects; True for those of shared memory
    references: dict[int, int]  # what the kernel counts for each frame that somebody shows
    memory: dict[int, bytes]  # the contents of frames that were asked for

    @property
    def tables(self) -> dict[str, TableSet]:
        """For `faultline view`, which draws what a probe has read."""
        return {f"process {pid}": member.tables for pid, member in list(self.members.items())[:DRAWN]}

    def shown_by(self, frame: int) -> list[tuple[int, int]]:
        """(process number, address) of each page that shows a frame."""
        return [(pid, address) for pid, member in self.members.items() for address, page in member.pages.items() if page.frame == frame]

    def in_words(self, frame: int) -> str:
        """Who shows a frame."""
        shown = self.shown_by(frame)
        words = ", ".join(f"{address:#010x} of process {pid}" for pid, address in shown[:4])
        return (words or "no page") + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")

    def wrong_counts(self) -> Iterator[str]:
        """Frames whose count is not the number of their owners, in sentences."""
        shown = Counter(page.frame for member in self.members.values() for page in member.pages.values())
        for frame, pages in sorted(shown.items()):
            owners = pages + (frame in self.object_frames) + (frame == self.zero_frame)
            if self.references.get(frame) != owners:
                besides = " and a memory object has it" if frame in self.object_frames else " and it is the zero frame" if frame == self.zero_frame else ""
                yield (f"frame {frame:#x} has {self.references.get(frame, 0)} references, and {pages} pages show it{besides} "
                       f"({self.in_words(frame)}): {owners} are right")

    def wrong_rights(self) -> Iterator[str]:
        """Private pages that may be written and are not their process's own."""
        for pid, member in self.members.items():
            for address, page in member.pages.items():
                if page.writable and self.references.get(page.frame, 1) > 1 and not self.object_frames.get(page.frame, False):
                    yield (f"the page {address:#010x} of process {pid} may be written, and its frame {page.frame:#x} has "
                           f"{self.references[page.frame]} references ({self.in_words(page.frame)})")


class Stopped(Protocol):
    """What is needed of the stopped machine (judge.boot.Probe)."""

    def symbol(self, name: str) -> int: ...
    def physical(self, address: int, length: int) -> bytes: ...
    def physical_ranges(self, ranges: list[tuple[int, int]]) -> list[bytes]: ...
    def registers(self) -> dict[str, int]: ...


def read_family(target: Stopped, memory_end: int, ranges: Sequence[tuple[int, int]] = ()) -> FamilyView:
    """Reads programs_guest::family, everybody's page tables, and the contents of all frames that pages in `ranges` show."""
    block = target.symbol("programs_guest::family")
    head = _HEAD.unpack(target.physical(block, _HEAD.size))
    member_count, object_count, zero_frame, in_use = head[:4]
    if member_count > MAX_MEMBERS or object_count > MAX_OBJECT_FRAMES:
        raise ValueError(f"{member_count} processes and {object_count} frames of objects: more than the guest can show")
    member_words, objects = target.physical_ranges([(block + _HEAD.size, member_count * _MEMBER.size or 1),
                                                    (block + _OBJECTS_OFFSET, object_count * 4 or 1)])
    cr4, physical = target.registers()["cr4"], cache(target.physical)  # directories share most of their tables
    members = {}
    for pid, parent, directory, resident, page_tables, *faults in _MEMBER.iter_unpack(member_words[:member_count * _MEMBER.size]):
        tables = read_tables(physical, directory * PAGE, cr4, memory_end=memory_end)
        members[pid] = Member(pid, parent, resident, page_tables, Faults.of(faults), tables, _pages(tables))
    object_frames = {word >> 1: bool(word & 1) for word, in struct.iter_unpack("<I", objects[:object_count * 4])}
    shown = sorted({page.frame for member in members.values() for page in member.pages.values()})
    wanted = sorted({page.frame for member in members.values() for begin, end in ranges
                     for address, page in member.pages.items() if begin <= address < end})
    return FamilyView(members, zero_frame, in_use, Faults.of(head[4:]), object_frames, _references(target, shown), _contents(target, wanted))


def _pages(tables: TableSet) -> dict[int, PageRun]:
    pages = {}
    for run in tables.pages(USER_BEGIN, USER_END):
        for address in range(run.virtual, run.end, LARGE_PAGE if run.large else PAGE):
            pages[address] = run.part(address, address + (LARGE_PAGE if run.large else PAGE))
    return pages


def _references(target: Stopped, frames: Sequence[int]) -> dict[int, int]:
    """FrameInfo::references of each."""
    table, entries = (int.from_bytes(target.physical(target.symbol(f"mm::frame_table::(anonymous namespace)::{name}"), 4), "little")
                      for name in ("table", "entries"))
    known = [frame for frame in frames if frame < entries]
    if not known:
        return {}
    first, last = known[0], known[-1]
    words = target.physical(table + first * _FRAME_INFO.size, (last - first + 1) * _FRAME_INFO.size)
    return {frame: _FRAME_INFO.unpack_from(words, (frame - first) * _FRAME_INFO.size)[0] for frame in known}


def _contents(target: Stopped, frames: Sequence[int]) -> dict[int, bytes]:
    return dict(zip(frames, target.physical_ranges([(frame * PAGE, PAGE) for frame in frames]))) if frames else {}
