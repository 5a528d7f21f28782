"""What the tests of lab 10-replace do to the piece, and how they look at what it did.

A test writes a script with the methods below while the model (oracle/replacement.py) goes along. Pages are used as programs use them, through
the page tables of numbered spaces; the model gets the same uses. `boot()` runs the script, then goes through it once more: whenever
pages had to leave, they must be the model's, one by one and in its order.

The first disagreement ends the test; if the machine crashed, what was wrong before the crash is told rather than the crash.

Pages have names: `Page(area, number)`, the number-th page of an area. Areas of anonymous memory have contents in the swap area only once they have
left or have been cleaned; pages of a file are never dirty.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from emulator.machine import Machine
from emulator.swap_disk import SwapDisk
from judge.scenario import Op, expect
from labs.replayed import ReplayedScenario
from oracle.replacement import KINDS, TICK, WINDOW, Memory

PAGE = 4096
SLOT = 4 << 20
DATA_SLOTS = (0x2000_0000 // SLOT, 0xBF00_0000 // SLOT)
NO_PAGE = 0xF  # guest/replace_verbs.cpp
WRITE = 0x8000
TRIES = 64  # victims of one operation, at most


class Page(NamedTuple):
    area: int
    number: int

    def __str__(self) -> str:
        return f"page {self.number}" if self.area == 0 else f"page {self.number} of area {self.area}"


@dataclass(frozen=True)
class Area:
    space: int
    begin: int
    count: int
    thing: int | None  # the object that it shows


@dataclass
class StringRun:
    """One string on the machine: its operation, and after the boot what came of it."""

    op: Op
    string: Sequence[int]
    kind: str
    frames: int
    faults: int = 0
    victims: list[tuple[int, int]] | None = None  # (number of the reference, page)


class ReplaceScenario(ReplayedScenario):
    """One boot of a kernel with the policy under test and a swap disk."""

    reads_tables = False

    def prepare(self) -> None:
        self.machine = Machine(16)
        self.swap = SwapDisk(kib=4096)
        self.steps: list[tuple[Op, Callable[[Op], None]]] = []
        self.areas: list[Area] = []
        self.model = Memory("fifo")
        self.kind = "fifo"
        self.runs: list[StringRun] = []
        self._strings = bytearray()
        self._spaces = self._things = 0
        self._active: int | None = None
        self._known: set[Page] = set()
        self._used_slots: set[int] = set()

    # -- spaces, areas, policies -----------------------------------------------------------------------------------------

    def create(self) -> int:
        """A space, which is active from now on; its number."""
        number, self._spaces = self._spaces, self._spaces + 1
        self._expect_ok(self.op("space.create", number, self.random.getrandbits(32)))
        self.activate(number)
        return number

    def activate(self, space: int) -> None:
        if self._active != space:
            self.op("space.activate", space)
            self._active = space

    def map(self, count: int, space: int = 0, *, thing: int | None = None, shared: bool = False) -> int:
        """An area of so many pages; its number."""
        begin = self._place(count)
        return self._map_at(begin, count, space, thing, shared)

    def _map_at(self, begin: int, count: int, space: int, thing: int | None, shared: bool) -> int:
        protection = "rw-" if thing is None or shared else "r--"
        self._expect_ok(self.op("space.map", space, count, protection, "shared" if shared else "private", "free", begin, "none" if thing is None else thing, 0))
        self.areas.append(Area(space, begin, count, thing))
        return len(self.areas) - 1

    def _place(self, count: int) -> int:
        slots = -(-count * PAGE // SLOT)
        while True:
            slot = self.random.randrange(DATA_SLOTS[0], DATA_SLOTS[1] - slots)
            if not set(range(slot - 1, slot + slots + 1)) & self._used_slots:
                self._used_slots |= set(range(slot, slot + slots))
                return slot * SLOT + self.random.randrange(slots * SLOT // PAGE - count + 1) * PAGE

    def file(self, count: int) -> int:
        """An object: a file of so many pages."""
        number, self._things = self._things, self._things + 1
        self._expect_ok(self.op("object.file", number, count * PAGE, self.random.getrandbits(31), 0xFFFF_FFFF))
        return number

    def shared_memory(self, count: int) -> int:
        number, self._things = self._things, self._things + 1
        self._expect_ok(self.op("object.shared", number, count))
        return number

    def begin(self, kind: str, frames: int = 0) -> None:
        """The policy begins anew, without pages; with so many frames for user memory, or without a limit."""
        self.kind = kind
        stored, times = self.model.stored, self.model.times
        self.model = Memory(kind if kind != "own" else "fifo", frames or None)
        self.model.stored, self.model.times = stored, times
        self._expect_ok(self.op("replace.policy", KINDS.index(kind), frames))

    def begin_with_pages(self, kind: str, count: int, *, write: bool = True) -> int:
        """A space, a policy without a limit, and an area whose pages have come one after the other; the area's number."""
        self.create()
        area = self.map(count)
        self.begin(kind)
        self.use(area, range(count), write=write)
        return area

    # -- what happens ----------------------------------------------------------------------------------------------------

    def address(self, area: int, number: int) -> int:
        assert number < self.areas[area].count
        return self.areas[area].begin + number * PAGE

    def use(self, area: int, numbers: Iterable[int], *, write: bool = True, through: int | None = None, note: str = "") -> None:
        """Pages are read or written in this order, by the area's own space, or another that shows the same. A page that nobody has used yet is
        written: a read would show the frame of zeros, which is no page of user memory."""
        self.activate(self.areas[area].space if through is None else through)
        uses = [(number, self._must_write(area, number) or write) for number in numbers]
        while uses:
            writes = uses[0][1]
            some = [number for number, _ in takewhile(lambda use: use[1] == writes, uses[:16])]
            uses = uses[len(some) :]
            op = self.op("replace.use", "w" if writes else "r", *(self.address(area, number) for number in some), note=note)
            victims = [victim for number in some for victim in self.model.use(self.page(area, number), write=writes, owner=self._active or 0)]
            self._then(op, self._victims_check(victims, "leave"))

    def page(self, area: int, number: int) -> Page:
        """By its name: two areas may show the same object."""
        thing = self.areas[area].thing
        return Page(area if thing is None else next(first for first, other in enumerate(self.areas) if other.thing == thing), number)

    def in_memory(self, area: int) -> list[int]:
        """The area's pages that are in memory, says the model."""
        return [number for number in range(self.areas[area].count) if self.page(area, number) in self.model.usage]

    def _must_write(self, area: int, number: int) -> bool:
        """Whether the page has no contents yet. It has some from now on."""
        is_new = self.areas[area].thing is None and Page(area, number) not in self._known
        self._known.add(Page(area, number))
        return is_new

    def use_one_by_one(self, area: int, numbers: Iterable[int], *, write: bool = True) -> None:
        for number in numbers:
            self.use(area, [number], write=write)

    def tick(self, count: int = 1) -> None:
        self._expect_ok(self.op("replace.tick", count))
        for _ in range(count):
            self.model.tick()

    def pass_time(self, ticks: int, space: int = 0) -> None:
        self._expect_ok(self.op("replace.time", space, ticks))
        self.model.add_time(ticks, space)

    def choose(self, note: str = "") -> Op:
        """Who is to leave next; he stays."""
        op = self.op("replace.choose", note=note)
        if self.model.policy.count == 0:
            self._then(op, lambda op: expect(op.error == "NotFound", "choose_victim() answers Error::NotFound when there is no page", op.says, operation=op.number))
        else:
            self._then(op, self._victims_check([self.model.choose()], "is the victim"))
        return op

    def take(self, count: int = 1, note: str = "") -> None:
        """So many victims leave, at the most as many as there are."""
        while count > 0:
            some = min(count, TRIES)
            op = self.op("replace.take", some, note=note)
            self._then(op, self._victims_check([self.model.take() for _ in range(some)], "leave"))
            count -= some

    def take_all(self) -> None:
        self.take(self.model.policy.count)
        self.count_is_right()

    def fork(self, parent: int) -> int:
        """A child that shows all of the parent's pages; its number."""
        child, self._spaces = self._spaces, self._spaces + 1
        self._expect_ok(self.op("space.fork", parent, child))
        for usage in self.model.usage.values():
            if parent in usage.owners:
                usage.owners.add(child)
        return child

    def unmap(self, area: int, first: int, count: int = 1) -> None:
        """The pages' owner gives them up."""
        place = self.areas[area]
        self._expect_ok(self.op("space.unmap", place.space, self.address(area, first), count))
        for number in range(first, first + count):
            self._lose(area, number)

    def _lose(self, area: int, number: int) -> None:
        self.model.lose(Page(area, number))
        self._known.discard(Page(area, number))

    def discard(self, area: int, number: int) -> None:
        """The page's contents are given up, and with them its frame; the area stays."""
        self._expect_ok(self.op("space.discard", self.areas[area].space, self.address(area, number), 1))
        self._lose(area, number)

    def destroy(self, space: int) -> None:
        if self._active == space:
            self.op("space.activate", "none")
            self._active = None
        self._expect_ok(self.op("space.destroy", space))
        for number, area in enumerate(self.areas):
            if area.space == space:
                for page in range(area.count if area.thing is None else 0):
                    self._lose(number, page)
        self.model.leave(space)

    def cannot_leave(self, area: int, number: int) -> None:
        """What the kernel does with a victim that cannot leave: out, and in again."""
        self._expect_ok(self.op("replace.cycle", self.areas[area].space, self.address(area, number), 1))
        self.model.policy.page_out(Page(area, number))
        self.model.policy.page_in(Page(area, number))

    def tell_of_strangers(self, first: int, count: int) -> None:
        """page_out() for frames that are in no set."""
        self._expect_ok(self.op("replace.out", first, count))

    def count_is_right(self) -> None:
        wanted = self.model.policy.count
        op = self.op("replace.count")
        self._then(op, lambda op: expect(op.value == wanted, f"count() is {wanted}, the pages in the set", str(op.value), operation=op.number))

    def dirty_is_right(self, area: int) -> None:
        """Which pages of the area, of 64 at most, must be written before they leave."""
        place = self.areas[area]
        self.activate(place.space)
        op = self.op("replace.dirty", place.begin, place.count)
        pages = [Page(area, number) for number in range(place.count)]
        wanted = [page.number for page in pages if page in self.model.usage and self.model.is_dirty(page)]

        def check(op: Op) -> None:
            bits = op.values[0] | op.values[1] << 32
            seen = [number for number in range(place.count) if bits >> number & 1]
            expect(seen == wanted, f"dirty pages in memory: {_list(wanted)}", _list(seen), "WorkingSet cleans old dirty pages as it passes them: page_usage::clean().",
                   operation=op.number)

        self._then(op, check)

    def mix(self, area: int, rounds: int, *, ticks: bool = False, times: bool = False, leaves: bool = True) -> None:
        """Rounds of everything that can happen to the pages of an area, at random."""
        count = self.areas[area].count
        for _ in range(rounds):
            present = self.in_memory(area)
            what = self.random.random()
            if what < 0.45 or len(present) < 3:
                pages = self.random.choices(range(count), k=self.random.randrange(1, 6))
                self.use(area, pages, write=self.random.random() < 0.3)
            elif what < 0.70:
                self.take(self.random.randrange(1, min(4, len(present))))
            elif what < 0.78:
                self.choose()
            elif what < 0.84 and leaves:
                self.discard(area, self.random.choice(present))
            elif what < 0.88 and leaves:
                self.cannot_leave(area, self.random.choice(present))
            elif ticks:
                self.tick()
            elif times:
                self.pass_time(self.random.choice((1, 5, 20, WINDOW, WINDOW + 1, 90)), self.areas[area].space)

    # -- strings ---------------------------------------------------------------------------------------------------------

    def run_string(self, kind: str, string: Sequence[int], frames: int, area: int, *, write: Sequence[bool] | None = None, tick: int = TICK, judged: bool = True) -> StringRun:
        """A long string of page numbers of the area, with a tick of the policy after every `tick` references; the policy begins with it. The victims are compared with
        the model's after boot(), unless they are not `judged`."""
        self.begin(kind, frames)
        place = self.areas[area]
        self.activate(place.space)
        first = len(self._strings) // 2
        writes = [self._must_write(area, page) or bool(write and write[number]) for number, page in enumerate(string)]
        self._strings += struct.pack(f"<{len(string)}H", *(page | (WRITE if writes_it else 0) for page, writes_it in zip(string, writes)))
        op = self.op("replace.run", place.space, place.begin, first, len(string), tick, note=f"{kind}, {frames} frames")
        run = StringRun(op, string, kind, frames)
        self.runs.append(run)
        if judged:
            self._judge(run, area, writes, tick)
        return run

    def _judge(self, run: StringRun, area: int, writes: Sequence[bool], tick: int) -> None:
        """The model uses the same pages; where it goes another way, is told."""
        space, wanted = self.areas[area].space, []
        for number, (page, is_write) in enumerate(zip(run.string, writes)):
            wanted += [(number, victim.number) for victim in self.model.use(Page(area, page), write=is_write, owner=space)]
            self.model.add_time(1, space)
            if (number + 1) % tick == 0:
                self.model.tick()
        faults = self.model.faults

        def check(op: Op) -> None:
            expect(op.ok, f"{op} ends well", op.says, operation=op.number)
            assert run.victims is not None
            for number, (right, seen) in enumerate(zip(wanted, run.victims)):
                expect(right == seen, f"victim {number + 1} of {len(wanted)} is page {right[1]}, for reference {right[0] + 1} of the string (page {run.string[right[0]]})",
                       f"page {seen[1]}, for reference {seen[0] + 1}" if seen[1] != 0xFFFF else "a frame that holds no page of user memory", operation=op.number)
            expect(len(wanted) == len(run.victims), f"{len(wanted)} victims", str(len(run.victims)), operation=op.number)
            expect(run.faults == faults, f"{faults} page faults", str(run.faults), operation=op.number)

        self._then(run.op, check)

    # -- afterwards ------------------------------------------------------------------------------------------------------

    def boot(self) -> Any:
        if self.runs:
            self.module("strings", bytes(self._strings))
            self.checkpoint("strings", self._read_victims)
        return super().boot()

    def _read_victims(self, target: Any) -> None:
        """Reads what each string led to out of the guest's memory."""
        done = [run for run in self.runs if run.op.is_done and run.op.ok]
        for run in done:
            faults, first, end, events = run.op.values
            data = target.physical(events + 4 * first, 4 * (end - first)) if end > first else b""
            run.faults = faults
            run.victims = [(word >> 16, word & 0xFFFF) for word, in struct.iter_unpack("<I", data)]

    def _go_through(self) -> None:
        for op, check in self.steps:
            if not op.is_done:
                return
            check(op)

    def _then(self, op: Op, check: Callable[[Op], None]) -> None:
        self.steps.append((op, check))

    def _expect_ok(self, op: Op) -> None:
        self._then(op, lambda op: expect(op.ok, f"{op} succeeds", op.says, operation=op.number))

    def _victims_check(self, wanted: Sequence[Any], what: str) -> Callable[[Op], None]:
        words = ", then ".join(str(page) for page in wanted) or "no page"

        def check(op: Op) -> None:
            seen = op.values
            expect([self._page_of(name) for name in seen] == list(wanted), f"{words} {what} ({op})" if len(wanted) != 1 else f"{words} {what.replace('leave', 'leaves')} ({op})",
                   ", then ".join(self._name(name) for name in seen) or "none", operation=op.number)

        return check

    def _page_of(self, name: int) -> Page | None:
        """The page that the guest means."""
        if name & NO_PAGE == NO_PAGE:
            return None
        for number, area in enumerate(self.areas):
            if name & 1 and area.thing == name >> 4 & 0xFF and name >> 12 < area.count:
                return Page(number, name >> 12)
            if not name & 1 and area.thing is None and area.begin <= name < area.begin + area.count * PAGE:
                return Page(number, (name - area.begin) // PAGE)
        return None

    def _name(self, name: int) -> str:
        page = self._page_of(name)
        if page is not None:
            return str(page)
        return f"frame {name >> 12:#x}, which holds no page of user memory" if name & NO_PAGE == NO_PAGE else f"a page at {name:#x}, which is nobody's"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
