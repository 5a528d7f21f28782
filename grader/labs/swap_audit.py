"""The swap area at one moment, seen from outside: everybody's page tables and the kernel's frame table, read out of physical memory, the
slots as they lie on the disk, and beside them what the kernel and its piece say about slots. `SwapAudit.wrong()` tells where the three do
not agree; `contents()` gives a page wherever it is.

    audit = read_audit(target, memory_end)          # at a checkpoint: programs.look(), checkpoint() of a program, or the verb swap.look

The guest writes what only the kernel knows into one block (grader/guest/swap_view.h) before it stops the machine.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from emulator.swap_disk import read_header, read_slot
from labs.family_view import FamilyView, Member, read_family
from paging.swap_entries import pages_by_slot, wrong_entries
from paging.tables import PAGE, PageRun

MAX_SLOTS, MAX_COPIES, MAX_OBJECT_PAGES = 16384, 4096, 4096
DIRTIED = 1 << 1  # in FrameInfo::link[0] of a pageable frame (kernel/mm/space/reverse_map.cpp)
PAGEABLE = 5  # FrameUse::Pageable
DIRTY_BIT = 1 << 6  # of a page table entry

_HEAD = struct.Struct("<17I")
_ENTRIES = struct.Struct(f"<{MAX_SLOTS}H")
_COPIES_OFFSET = _HEAD.size + _ENTRIES.size
_OBJECTS_OFFSET = _COPIES_OFFSET + MAX_COPIES * 8
_FRAME_INFO = struct.Struct("<I4B2I")


@dataclass(frozen=True)
class Statistics:
    """swap::Statistics, as the piece tells them."""

    slots: int
    free: int
    copies: int
    pages_out: int
    clean_out: int
    pages_in: int
    cache_hits: int
    read_ahead: int


@dataclass(frozen=True)
class Device:
    """swap_area::Statistics: what the kernel has seen go to the disk and come back. Failed commands count in the first two only."""

    reads: int
    writes: int
    pages_read: int
    pages_written: int
    read_errors: int
    write_errors: int


@dataclass(frozen=True)
class FrameInfo:
    """An entry of the frame table."""

    references: int
    use: int
    dirtied: bool  # by a page that shows it no more


class Stopped(Protocol):
    """The stopped machine (judge.boot.Probe)."""

    swap_image: Path | None

    def symbol(self, name: str) -> int: ...
    def physical(self, address: int, length: int) -> bytes: ...
    def physical_ranges(self, ranges: list[tuple[int, int]]) -> list[bytes]: ...
    def registers(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class SwapAudit:
    """All that there is to know about the swap area, while the machine stood still."""

    family: FamilyView
    slots: int  # of the area, its header included
    bad: frozenset[int]  # slots that the header excludes
    statistics: Statistics
    device: Device
    entries: tuple[int, ...]  # of each slot, as the piece says
    copies: dict[int, int]  # frame by slot, as the piece says
    copy_pairs: int  # how many frames the piece calls copies
    object_pages: dict[int, list[tuple[int, int]]]  # by slot: (object, page of it)
    frames: dict[int, FrameInfo]  # of everybody's pages, and of the copies
    memory: dict[int, bytes] = field(repr=False)  # contents of frames
    disk: dict[int, bytes] = field(repr=False)  # contents of slots that are in use, or have a copy

    # -- what is where -----------------------------------------------------------------------------------------------------------

    @property
    def tables(self) -> dict[str, object]:
        """For `faultline view`, which draws what a probe has read."""
        return dict(self.family.tables)

    @cached_property
    def pages_by_slot(self) -> dict[int, list[str]]:
        """Who needs each slot, in words: pages with a swap entry, and pages of shared memory."""
        found: dict[int, list[str]] = defaultdict(list)
        for slot, pages in pages_by_slot(self._directories).items():
            found[slot] += map(str, pages)
        for slot, pages in self.object_pages.items():
            found[slot] += [f"page {index} of the shared memory at {object:#x}" for object, index in pages]
        return dict(found)

    @cached_property
    def _directories(self) -> dict[str, object]:
        return {f"process {pid}": member.tables for pid, member in self.family.members.items()}

    @cached_property
    def swapped(self) -> dict[int, dict[int, int]]:
        """By process number: the slot of each page with a swap entry, by its address."""
        return {pid: dict(_swapped(member)) for pid, member in self.family.members.items()}

    def contents(self, pid: int, address: int) -> bytes | None:
        """A page of a process, in its frame or in its slot; None when it is in neither: not touched yet, or hidden by an object."""
        page = self.family.members[pid].pages.get(address)
        if page is not None:
            return self.memory[page.frame]
        return self.disk.get(self.swapped[pid].get(address, 0))

    @property
    def used(self) -> set[int]:
        """Slots that somebody needs."""
        return set(self.pages_by_slot)

    @property
    def resident(self) -> int:
        """Frames that pages show and that may leave memory."""
        return sum(info.use == PAGEABLE for info in self.frames.values())

    # -- what must hold, whatever has been done ----------------------------------------------------------------------------------

    def wrong(self) -> list[str]:
        """What is wrong, in sentences; nothing when all is well."""
        return [*wrong_entries(self._directories, self.slots, self.bad), *self._wrong_entries(), *self._wrong_copies(), *self._wrong_figures(),
                *self._wrong_references(), *self._changed_copies()]

    def _wrong_entries(self) -> Iterator[str]:
        """The piece counts as many entries as there are."""
        for slot in range(1, self.slots):
            owners = self.pages_by_slot.get(slot, [])
            if self.entries[slot] != len(owners):
                words = ", ".join(owners[:3]) or "nobody"
                yield f"slot {slot} has {self.entries[slot]} entries as the piece counts, and {len(owners)} name it: {words}"

    def _wrong_copies(self) -> Iterator[str]:
        """A copy is a frame of user memory, one for each slot."""
        if self.copy_pairs != len(self.copies):
            yield f"{self.copy_pairs} frames are copies of {len(self.copies)} slots: two frames of one slot"
        for slot, frame in self.copies.items():
            if not 0 < slot < self.slots or slot in self.bad:
                yield f"frame {frame:#x} is the copy of slot {slot}, which is not to be used"

    def _wrong_figures(self) -> Iterator[str]:
        usable = self.slots - 1 - len(self.bad)
        in_use = len({*self.used, *self.copies})
        if self.statistics.slots > usable or (self.statistics.slots < usable and self.device.write_errors == 0):
            yield f"{self.statistics.slots} slots can be used, says the piece; there are {usable}"
        if self.statistics.slots - self.statistics.free != in_use:
            yield (f"{self.statistics.slots - self.statistics.free} slots are in use, says the piece; pages have an entry or a copy of "
                   f"{in_use}")
        if self.statistics.copies != len(self.copies):
            yield f"{self.statistics.copies} slots have a copy, says the piece; it names the slots of {len(self.copies)} frames"

    def owners(self, frame: int) -> int:
        """References that a frame must have: pages that show it, an object, the kernel's own of the zero frame, the entries of its slot."""
        return (self._shown[frame] + (frame in self.family.object_frames) + (frame == self.family.zero_frame)
                + (frame in self._held))

    @cached_property
    def _shown(self) -> Counter[int]:
        return Counter(page.frame for member in self.family.members.values() for page in member.pages.values())

    @cached_property
    def _held(self) -> set[int]:
        return {frame for slot, frame in self.copies.items() if slot in self.used}

    def _wrong_references(self) -> Iterator[str]:
        for frame, info in sorted(self.frames.items()):
            if info.references != self.owners(frame):
                slots = [slot for slot, copy in self.copies.items() if copy == frame]
                copy = f", it is the copy of slot {slots[0]} with {len(self.pages_by_slot.get(slots[0], []))} entries" if slots else ""
                yield (f"frame {frame:#x} has {info.references} references; {self.owners(frame)} are right: {self.family.in_words(frame)} shows "
                       f"it{copy}{', a memory object has it' if frame in self.family.object_frames else ''}")

    def _changed_copies(self) -> Iterator[str]:
        """A copy that nothing says was changed has the same contents as its slot: it leaves without a write, or is read in its place."""
        dirty = {page.frame for member in self.family.members.values() for address, page in member.pages.items()
                 if (member.tables.entries(address)[1] or 0) & DIRTY_BIT}
        for slot, frame in sorted(self.copies.items()):
            changed = frame in dirty or self.frames[frame].dirtied
            if not changed and self.memory[frame] != self.disk.get(slot):
                yield f"frame {frame:#x} is the copy of slot {slot} and was not written since, and what lies on the disk is not the same"
            if changed and slot in self.used:
                yield f"frame {frame:#x} is the copy of slot {slot}, which others need as it was, and has been written"

    def leaks(self) -> list[str]:
        """What must not be when no program is left: a slot that is not free."""
        lost = [slot for slot in range(1, self.slots) if self.entries[slot] or slot in self.copies]
        told = [f"slot {slot} has {self.entries[slot]} entries{' and a copy' if slot in self.copies else ''}" for slot in lost[:4]]
        if self.statistics.free != self.statistics.slots:
            told.append(f"{self.statistics.slots - self.statistics.free} of {self.statistics.slots} slots are not free, says the piece")
        return told


def read_audit(target: Stopped, memory_end: int) -> SwapAudit:
    """Reads programs_guest::swap_view and programs_guest::family, and all that they lead to."""
    block = target.symbol("programs_guest::swap_view")
    slots, *figures = _HEAD.unpack(target.physical(block, _HEAD.size))
    *figures, copy_pairs, object_count = figures
    if slots > MAX_SLOTS or copy_pairs > MAX_COPIES or object_count > MAX_OBJECT_PAGES:
        raise ValueError(f"{slots} slots, {copy_pairs} copies and {object_count} pages of objects: more than the guest can show")
    words, pairs, objects = target.physical_ranges([(block + _HEAD.size, slots * 2 or 2), (block + _COPIES_OFFSET, copy_pairs * 8 or 8),
                                                    (block + _OBJECTS_OFFSET, object_count * 12 or 12)])
    copies = dict(struct.iter_unpack("<2I", pairs[:copy_pairs * 8]))
    object_pages: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for object, index, slot in struct.iter_unpack("<3I", objects[:object_count * 12]):
        object_pages[slot].append((object, index))
    family = read_family(target, memory_end)
    frames = sorted({page.frame for member in family.members.values() for page in member.pages.values() if not page.large} | set(copies.values()))
    used = sorted({slot for member in family.members.values() for _, slot in _swapped(member)} | {*object_pages, *copies})
    image = target.swap_image
    if image is None or slots == 0:
        raise ValueError("the machine has no swap area in use")
    return SwapAudit(family, slots, frozenset(read_header(image).bad), Statistics(*figures[:8]), Device(*figures[8:]),
                     struct.unpack(f"<{slots}H", words[:slots * 2]), copies, copy_pairs, dict(object_pages), _frame_infos(target, frames),
                     _contents(target, frames), {slot: read_slot(image, slot) for slot in used if 0 < slot < slots})


def _swapped(member: Member) -> Iterator[tuple[int, int]]:
    """(address, slot) of each page with a swap entry."""
    run: PageRun
    for run in member.tables.swapped():
        for number in range(run.pages):
            yield run.virtual + number * PAGE, run.frame + number


def _frame_infos(target: Stopped, frames: Sequence[int]) -> dict[int, FrameInfo]:
    table, count = (int.from_bytes(target.physical(target.symbol(f"mm::frame_table::(anonymous namespace)::{name}"), 4), "little")
                    for name in ("table", "entries"))
    known = [frame for frame in frames if frame < count]
    if not known:
        return {}
    words = target.physical(table + known[0] * _FRAME_INFO.size, (known[-1] - known[0] + 1) * _FRAME_INFO.size)
    infos = {}
    for frame in known:
        references, use, _, _, _, link, _ = _FRAME_INFO.unpack_from(words, (frame - known[0]) * _FRAME_INFO.size)
        infos[frame] = FrameInfo(references, use, use == PAGEABLE and bool(link & DIRTIED))
    return infos


def _contents(target: Stopped, frames: Sequence[int]) -> dict[int, bytes]:
    """Runs of frames are read at once."""
    runs: list[tuple[int, int]] = []
    for frame in frames:
        if runs and runs[-1][0] + runs[-1][1] == frame and runs[-1][1] < 64:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((frame, 1))
    pieces = target.physical_ranges([(first * PAGE, count * PAGE) for first, count in runs]) if runs else []
    return {first + i: data[i * PAGE:(i + 1) * PAGE] for (first, count), data in zip(runs, pieces) for i in range(count)}
