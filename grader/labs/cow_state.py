"""All address spaces at one state of a copy-on-write test: read out by the host, then compared with the model.

Page tables, frames and the frame table come from physical memory, TLB entries from the emulator; the piece is not asked. The model's
frames have no addresses: the first comparison that meets one notes where it lies, and there it must stay.
"""

from __future__ import annotations

import functools
import random
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from judge.scenario import Op, fail
from labs.stale import WHO_TELLS_THE_CPU, contradiction, remembered
from oracle.cow import PAGE, SeenPage, Snapshot
from paging.tables import PRESENT, USER, WRITABLE, TableSet, read_tables

if TYPE_CHECKING:
    from labs.cow import CowScenario

SPACES = 32  # numbered_spaces::kSpaces
FRAME_INFO = struct.Struct("<IBBBBII")  # FrameInfo
ALLOCATED = 3  # FrameUse
ACCESSED, DIRTY = 1 << 5, 1 << 6
USER_SLOTS = range(0x1000_0000 >> 22, 0xC000_0000 >> 22)


@dataclass(frozen=True)
class Entry:
    """A present page as the tables have it."""

    frame: int
    writable: bool
    user: bool
    word: int  # the PTE, or the PDE of a large page
    large: bool = False


@dataclass
class State:
    """What the host read at one checkpoint."""

    name: str
    expected: Snapshot
    wanted_frames: int  # how many frames' contents are compared
    touched: list[int]
    tables: dict[str, TableSet] = field(default_factory=dict)
    pages: dict[int, dict[int, Entry]] = field(default_factory=dict)
    resident: dict[int, int] = field(default_factory=dict)
    references: dict[int, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    tlb: dict[int, Any] = field(default_factory=dict)
    frames_in_use: int = 0
    zero_frame: int = 0
    active: int = 0

    def read(self, target: Any, memory_end: int) -> None:
        """The probe: runs while the machine stands still."""
        words = struct.unpack(f"<{2 + 2 * SPACES}I", target.physical(target.symbol("cow_guest::view"), 8 + 8 * SPACES))
        self.frames_in_use, self.zero_frame = words[:2]
        registers = target.registers()
        self.active = registers["cr3"] // PAGE
        physical = functools.cache(target.physical)  # directories share the kernel's tables
        for number in range(SPACES):
            directory, resident = words[2 + 2 * number : 4 + 2 * number]
            if directory:
                tables = read_tables(physical, directory * PAGE, registers["cr4"], memory_end=memory_end)
                self.tables[f"space {number}"] = tables
                self.pages[number], self.resident[number] = dict(_entries(tables)), resident
        self.references = self._read_references(target, memory_end // PAGE)
        self.contents = self._read_contents(target, memory_end // PAGE)
        self.tlb = target.tlb(self.touched) if self.touched else {}

    def table_of(self, space: int) -> TableSet:
        return self.tables[f"space {space}"]

    def mapped(self) -> Counter[int]:
        """How many pages show each frame. A large page's frames have their count in common."""
        return Counter(entry.frame for pages in self.pages.values() for entry in pages.values() if not entry.large)

    def _read_references(self, target: Any, frame_count: int) -> dict[int, int]:
        begin = struct.unpack("<I", target.physical(target.symbol("mm::frame_table::(anonymous namespace)::table"), 4))[0]
        infos = list(FRAME_INFO.iter_unpack(target.physical(begin, frame_count * FRAME_INFO.size)))
        return {frame: info[0] if info[1] == ALLOCATED else 0 for frame, info in enumerate(infos)}

    def _read_contents(self, target: Any, frame_count: int) -> dict[int, bytes]:
        frames = sorted(frame for frame in self.mapped() if frame < frame_count)
        if len(frames) > self.wanted_frames:
            frames = random.Random(len(frames)).sample(frames, self.wanted_frames)
        return dict(zip(frames, target.physical_ranges([(frame * PAGE, PAGE) for frame in frames]))) if frames else {}


def _entries(tables: TableSet) -> Iterator[tuple[int, Entry]]:
    """Every present page of the user range, by its number."""
    for slot in USER_SLOTS:
        pde = tables.directory[slot]
        if tables.is_large(pde):
            for i in range(1024):
                yield slot << 10 | i, Entry((pde >> 12) + i, bool(pde & WRITABLE), bool(pde & USER), pde, large=True)
        elif pde & PRESENT:
            for i, pte in enumerate(tables.tables.get(slot, ())):
                if pte & PRESENT:
                    yield slot << 10 | i, Entry(pte >> 12, bool(pde & pte & WRITABLE), bool(pde & pte & USER), pte)


@dataclass
class StateCheck:
    """One state beside the model. The first disagreement ends the test."""

    story: CowScenario
    state: State
    op: Op  # the checkpoint
    places: dict[int, int]  # where the model's frames lie; kept from state to state

    def check(self) -> None:
        state = self.state
        for number in [number for number in self.places if number not in state.expected.owners]:
            del self.places[number]  # nobody shows it any more
        self.places[state.expected.zero] = state.zero_frame
        for space, pages in sorted(state.expected.spaces.items()):
            self.check_pages(space, pages)
        self.check_contents()
        if self.story.watches_tables:
            self.check_tables()
        if self.story.watches_references:
            self.check_references()
        if self.story.watches_resident:
            self.check_resident()
        self.check_tlb()

    # -- pages ---------------------------------------------------------------------------------------------------------------

    def check_pages(self, space: int, expected: dict[int, SeenPage]) -> None:
        if space not in self.state.pages:
            self.fail(f"space {space} is there", "it is not")
        seen = self.state.pages[space]
        for at, page in sorted(expected.items()):
            entry = seen.get(at)
            if entry is None:
                if not page.optional:
                    self.fail_at(space, at, f"space {space} shows {_page(at)}", "no page is present there")
                continue
            self.check_frame(space, at, page, entry)
            self.check_rights(space, at, page, entry)
        extra = sorted(seen.keys() - expected.keys())
        if extra:
            self.fail_at(space, extra[0], f"space {space} has the {len(expected)} pages that were touched, or that its parent had, and no others",
                         f"{_page(extra[0])} is present as well, and shows frame {seen[extra[0]].frame:#x}")

    def check_frame(self, space: int, at: int, page: SeenPage, entry: Entry) -> None:
        place = self.places.get(page.frame)
        if place == entry.frame:
            return
        has_moved = page.frame in self.state.expected.regained and not self.story.watches_references
        if place is not None and not has_moved:  # who copies what is his own already fails the tests that are about that
            others = self._who_shows(page.frame, (space, at))
            also = f", as {others} does" if others else ", as before"
            self.fail_at(space, at, f"{_page(at)} of space {space} shows frame {place:#x}{also}", f"it shows frame {entry.frame:#x}",
                         "fork() copies no frame; only the page that is written to gets another one." if others else "")
        twin = next((number for number, where in self.places.items() if where == entry.frame), None)
        if twin is not None:
            what = "the frame of zeros" if twin == self.state.expected.zero else f"the one of {self._who_shows(twin, (space, at)) or 'an object'}"
            self.fail_at(space, at, f"{_page(at)} of space {space} has a frame of its own", f"it shows frame {entry.frame:#x}, {what}",
                         "Who writes to a frame that others show as well gets a copy of it.")
        self.places[page.frame] = entry.frame

    def check_rights(self, space: int, at: int, page: SeenPage, entry: Entry) -> None:
        if page.user != entry.user:
            whom = "user code may look at" if page.user else "is out of user code's reach: its area grants nothing"
            self.fail_at(space, at, f"{_page(at)} of space {space} {whom}" + (" it" if page.user else ""), "the page tables say otherwise")
        if page.writable is None or page.writable == entry.writable:
            return
        shown = sum(1 for pages in self.state.expected.spaces.values() for other in pages.values() if other.frame == page.frame)
        others = self.state.expected.owners[page.frame] + shown - 1
        if entry.writable:
            why = f"its frame has {others} other owner{'s' if others > 1 else ''}" if others else "nobody has written to it since it was shared or protected"
        else:
            why = "it was written to, and is the space's own"
        self.fail_at(space, at, f"{_page(at)} of space {space} is {'writable' if page.writable else 'read-only'}: {why}",
                     f"it is {'writable' if entry.writable else 'read-only'}")

    def _who_shows(self, frame: int, but: tuple[int, int]) -> str:
        for space, pages in self.state.expected.spaces.items():
            for at, page in pages.items():
                if page.frame == frame and (space, at) != but:
                    return f"{_page(at)} of space {space}"
        return ""

    # -- contents ------------------------------------------------------------------------------------------------------------

    def check_contents(self) -> None:
        for number, made in self.state.expected.contents.items():
            seen = self.state.contents.get(self.places.get(number, -1))
            if seen is None or seen == (wanted := bytes(made)):
                continue
            offset = next(i for i in range(0, PAGE, 4) if seen[i : i + 4] != wanted[i : i + 4])
            words = [int.from_bytes(data[offset : offset + 4], "little") for data in (wanted, seen)]
            who = "the frame of zeros" if number == self.state.expected.zero else f"the frame of {self._who_shows(number, (-1, -1))}"
            self.fail(f"{who}, {self.places[number]:#x}, holds {words[0]:#010x} at offset {offset:#x}", f"it holds {words[1]:#010x}",
                      "Contents change through the page that is written to, and through pages that share its area; never through another one.")

    # -- books ---------------------------------------------------------------------------------------------------------------

    def check_references(self) -> None:
        """The count of each frame is the number of entries that name it, and of objects that have it."""
        mapped = self.state.mapped()
        for number, place in self.places.items():
            entries, others = mapped.get(place, 0), self.state.expected.owners.get(number, 0)
            seen = self.state.references.get(place, 0)
            if seen == entries + others or not entries:
                continue
            extra = "" if not others else " and by the kernel, for ever" if number == self.state.expected.zero else " and by an object"
            who = "the frame of zeros" if number == self.state.expected.zero else f"frame {place:#x}, shown by {self._who_shows(number, (-1, -1))},"
            self.fail(f"{who} has {entries + others} references: it is shown by {entries} page{'s' if entries != 1 else ''}{extra}", f"FrameInfo::references is {seen}",
                      "A page that begins to show a frame takes a reference (frames::share()), a page that ends to gives one back (frames::release()).")

    def check_tables(self) -> None:
        """Page tables are where pages are."""
        for space in self.state.expected.spaces:
            tables = self.state.table_of(space)
            slots = {slot for slot in tables.table_slots if slot in USER_SLOTS}
            empty = sorted(slots - {at >> 10 for at in self.state.pages[space]})
            if empty:
                self.fail_at(space, empty[0] << 10, f"space {space} has page tables where it has pages, {len(slots) - len(empty)} of them",
                             f"there is an empty one for the 4 MiB from {empty[0] << 22:#x}", "Look whether the parent has a page there before you ask for the child's table.")

    def check_resident(self) -> None:
        for space in self.state.expected.spaces:
            present, counted = len(self.state.pages[space]), self.state.resident[space]
            if present != counted:
                self.fail(f"space {space} counts its {present} present pages as resident", f"it counts {counted}",
                          "spaces::count_added_pages() for the pages whose entries you wrote; add_page() counts by itself.")

    def check_tlb(self) -> None:
        """No translation that the CPU remembers allows more than the tables, or leads elsewhere."""
        space = next((number for number in self.state.pages if self.state.table_of(number).directory_frame == self.state.active), None)
        for address, entry in self.state.tlb.items():
            if entry is None or space is None:
                continue
            if stale := contradiction(entry, self.state.table_of(space).translate(address)):
                self.fail_at(space, address // PAGE, "no TLB entry contradicts the page tables", f"{remembered(address, entry)}, but {stale}",
                             WHO_TELLS_THE_CPU)

    # -- failing -------------------------------------------------------------------------------------------------------------

    def fail(self, expected: str, seen: str, hint: str = "") -> NoReturn:
        last = self.story.last_call()
        fail(f"{expected} (state {self.state.name!r})", seen + (f". The last operation: {last}" if last else ""), hint, operation=(last or self.op).number)

    def fail_at(self, space: int, at: int, expected: str, seen: str, hint: str = "") -> NoReturn:
        walk = self.state.table_of(space).describe_walk(at * PAGE) if f"space {space}" in self.state.tables else ""
        self.fail(expected, f"{seen}. The walk in space {space}: {walk}", hint)


def _page(at: int) -> str:
    return f"page {at * PAGE:#010x}"
