"""All address spaces of a test at one state: read out by the host, then compared with the model.

Nothing here asks the piece. Page tables, contents and counts of references come from physical memory.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from judge.scenario import Op, expect, fail
from oracle.faults import PAGE, SLOT, USER_BEGIN, USER_END, ZERO, Name, Shown, SpaceModel
from paging.tables import TableSet, describe_entry, read_tables

if TYPE_CHECKING:
    from labs.faults import FaultsScenario, Space

FRAME_INFO = 16  # bytes of an entry of the frame table
FRAMES_IN_A_READ = 256
LARGE_SAMPLES = (0, 1, 511, SLOT - 1)  # frames of a large page whose contents are looked at

User = dict[int, tuple[int, bool, bool, bool]]  # page -> frame, writable, user, large


@dataclass
class State:
    """What the host read at one checkpoint."""

    name: str
    tables: dict[int, TableSet] = field(default_factory=dict)     # by space
    pages: dict[int, User] = field(default_factory=dict)
    references: dict[int, int] = field(default_factory=dict)      # by frame
    contents: dict[int, bytes] = field(default_factory=dict)
    calls: int = 0                                                # of resolve_write() since the first state

    def read(self, target: Any, directories: dict[int, int], memory_end: int) -> None:
        cr4 = target.registers()["cr4"]
        physical = functools.cache(target.physical)
        for number, frame in directories.items():
            self.tables[number] = read_tables(physical, frame * PAGE, cr4, memory_end=memory_end)
            self.pages[number] = dict(_user_pages(self.tables[number]))
        frames = sorted({frame for pages in self.pages.values() for page, (frame, _, _, large) in pages.items()
                         if frame * PAGE < memory_end and (not large or page % SLOT in LARGE_SAMPLES)})
        table = int.from_bytes(physical(target.symbol("mm::frame_table::(anonymous namespace)::table"), 4), "little")
        for info, frame in zip(_in_parts(target, [(table + frame * FRAME_INFO, 4) for frame in frames]), frames):
            self.references[frame] = int.from_bytes(info, "little")
        for data, frame in zip(_in_parts(target, [(frame * PAGE, PAGE) for frame in frames]), frames):
            self.contents[frame] = data


def _in_parts(target: Any, ranges: list[tuple[int, int]]) -> list[bytes]:
    return [data for first in range(0, len(ranges), FRAMES_IN_A_READ) for data in target.physical_ranges(ranges[first:first + FRAMES_IN_A_READ])]


def _user_pages(tables: TableSet) -> Any:
    for run in tables.pages(USER_BEGIN, USER_END):
        for i in range(run.pages):
            yield run.virtual // PAGE + i, (run.frame + i, run.writable, run.user, run.large)


def check_state(scenario: FaultsScenario, state: State, spaces: list[Space], statistics: list[Op], op: Op) -> None:
    """The first disagreement ends the test."""
    alive: set[Name] = {("object", number, index) for number, backing in scenario.model.objects.items() for index in backing.loaded}
    for space in spaces:
        model = scenario.model.spaces[space.number]
        alive |= {scenario.model.frame_of(page, shown) for page, shown in model.pages.items()}
    scenario.bound = {name: frame for name, frame in scenario.bound.items() if name in alive or name == ZERO}
    for space, figures in zip(spaces, statistics):
        check = SpaceCheck(scenario, state, space, op)
        check.check()
        check.check_figures(figures)
    if scenario.counts_calls:
        _check_calls(scenario, state, op)


def _check_calls(scenario: FaultsScenario, state: State, op: Op) -> None:
    if scenario.calls_before is None:
        scenario.calls_before = scenario.model.handed_over
    wanted = scenario.model.handed_over - scenario.calls_before
    expect(state.calls == wanted, f"copy_on_write::resolve_write() has been called {wanted} times: for writes to pages that are present, private and read-only, "
           "in areas that may be written, and for nothing else", f"{state.calls} calls", operation=op.number)


class SpaceCheck:
    """One space at one state beside the model."""

    def __init__(self, scenario: FaultsScenario, state: State, space: Space, op: Op) -> None:
        self.scenario, self.state, self.space, self.op = scenario, state, space, op
        self.model: SpaceModel = scenario.model.spaces[space.number]
        self.seen = state.pages[space.number]
        self.owners = {frame: name for name, frame in scenario.bound.items()}

    def check(self) -> None:
        for page in sorted(self.model.pages.keys() | self.seen.keys()):
            self._check_page(page, self.model.pages.get(page), self.seen.get(page))
        tables = self.state.tables[self.space.number]
        wanted = self.model.tables
        for slot in range(USER_BEGIN // PAGE // SLOT, USER_END // PAGE // SLOT):
            if slot in tables.table_slots and slot not in wanted:
                self._fail(slot * SLOT, "a page table is there where a page is", f"PDE {slot} is {describe_entry(tables.directory[slot])}: a page table without a page")

    def _check_page(self, page: int, wanted: Shown | None, seen: tuple[int, bool, bool, bool] | None) -> None:
        if wanted is None or seen is None:
            area = self.model.find(page * PAGE)
            if wanted:
                self._fail(page, f"page {page * PAGE:#010x} of {area} is present", "it is absent")
            self._fail(page, f"page {page * PAGE:#010x} of {area or 'no area'} is absent: pages that nobody has looked at do not appear", "it is present",
                       "Only the page of the fault appears, a large page, or neighbours that are at hand for a read of a private object.")
        assert wanted and seen
        frame, writable, user, large = seen
        if (writable, user, large) != (wanted.writable, wanted.user, wanted.large):
            self._fail(page, f"page {page * PAGE:#010x} is {_rights(wanted.writable, wanted.user, wanted.large)}", f"it is {_rights(writable, user, large)}",
                       "A private page may be written only when its frame is its own: not the zero frame, not an object's.")
        self._check_frame(page, self.scenario.model.frame_of(page, wanted), wanted, frame)

    def _check_frame(self, page: int, name: Name, wanted: Shown, frame: int) -> None:
        bound, owner = self.scenario.bound.setdefault(name, frame), self.owners.setdefault(frame, name)
        if bound != frame:
            self._fail(page, f"page {page * PAGE:#010x} shows {describe(name)}, which is frame {bound:#x}", f"it shows frame {frame:#x}")
        if owner != name:
            self._fail(page, f"page {page * PAGE:#010x} shows {describe(name)}", f"it shows frame {frame:#x}, which is {describe(owner)}",
                       "Two pages share a frame only where both show the zero frame, or the same page of an object.")
        if frame not in self.state.contents:
            if not wanted.large:
                self._fail(page, f"page {page * PAGE:#010x} shows a frame of memory", f"it shows frame {frame:#x}, behind the end of memory")
            return
        data = self.scenario.model.contents(name)
        if self.state.contents[frame] != data:
            self._fail(page, f"page {page * PAGE:#010x} shows {describe(name)} with {_contents(name)}", _difference(self.state.contents[frame], data))
        references = 0 if wanted.large and page % SLOT else self.scenario.model.references(wanted.name)
        if self.state.references[frame] != references:
            self._fail(page, f"frame {frame:#x}, {describe(name)}, has {references} references: one for each page that shows it"
                       f"{', and one of the kernel or its object' if name[0] != 'own' else ''}", f"{self.state.references[frame]} references",
                       "frames::share() adds one, frames::release() takes one; page() has taken one for you; add_page() keeps the caller's.")

    def check_figures(self, figures: Op) -> None:
        mapped, resident, _, _, areas = figures.values
        wanted = (self.model.mapped, len(self.model.pages), len(self.model.areas))
        expect((mapped, resident, areas) == wanted, f"the space has {wanted[0]} pages in {wanted[2]} areas, of which {wanted[1]} are present",
               f"it counts {mapped} pages in {areas} areas, {resident} present", "add_page() and grow_stack() keep the books: nothing else does.", operation=figures.number)

    def _fail(self, page: int, expected: str, seen: str, hint: str = "") -> NoReturn:
        """With the walk, and the last fault there."""
        last = self.scenario.last_faults.get((self.space.number, page))
        seen += f" at state {self.state.name!r}. The walk: {self.state.tables[self.space.number].describe_walk(page * PAGE)}"
        if last:
            seen += f". The last fault there: {last}"
        fail(expected, seen, hint, operation=(last or self.op).number)


def describe(name: Name) -> str:
    kind, number, index = name
    return {"zero": "the zero frame", "object": f"page {index} of object {number}", "own": "a frame of its own"}[kind]


def _rights(writable: bool, user: bool, large: bool) -> str:
    return f"{'writable' if writable else 'read-only'}, for {'user code' if user else 'the kernel only'}, {'4 MiB' if large else '4 KiB'}"


def _contents(name: Name) -> str:
    return {"zero": "zeros", "object": "the object's bytes"}.get(name[0], "zeros, or what it is a copy of")


def _difference(seen: bytes, wanted: bytes) -> str:
    at = next(i for i in range(0, PAGE, 4) if seen[i:i + 4] != wanted[i:i + 4])
    one, other = (int.from_bytes(data[at:at + 4], "little") for data in (seen, wanted))
    return f"the word at offset {at:#x} is {one:#010x} and should be {other:#010x}"

