"""What the tests of lab 05-spaces do to the piece, and how they look at what it answered.

A test writes a script with the methods of SpaceSet below. `boot()` runs it, then goes through it once more beside the model
(oracle/areas.py): each answer must be the one that the contract asks for, and each list() shows just the model's areas. The first
disagreement ends the test; if the machine crashed, what was wrong before the crash is told rather than the crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from emulator.machine import LOW_MEMORY_END, MIB, Machine, MemoryEntry
from judge.scenario import Op, expect
from labs.replayed import ReplayedScenario
from oracle.areas import (PAGE, PROTECTION, READ, USER_BEGIN, USER_END, WRITE, Area, AreaModel, Change, Placement, attributes, digest, draw,
                          first_difference, read_areas)

WRONG_CONTEXT = 0xC0FF_EE00  # kWrongContext
SHOWN = 24  # areas that a record holds: kMaxShown in grader/guest/areas_verbs.cpp
ERRORS = ("None", "OutOfMemory", "Unsupported", "InvalidArgument", "Misaligned", "OutOfRange", "NotAllocated", "NotMapped", "Busy", "DeviceError",
          "NotFound", "Exists")

WHY = {
    "InvalidArgument": "the request contradicts itself",
    "Misaligned": "begin or end is not a multiple of the page size",
    "OutOfRange": "the range wraps, or leaves the user range 0x10000000-0xC0000000",
    "Exists": "the range overlaps an area",
    "NotMapped": "a page of the range is in no area",
    "OutOfMemory": "no begin is possible",
}


# Most of the user range: where a test is not about the range's ends, a mistake there is not to cost its points.
WHOLE = (USER_BEGIN + 16 * PAGE, USER_END - 16 * PAGE)


def error_name(number: int) -> str:
    return ERRORS[number] if number < len(ERRORS) else f"number {number}"


def pages(count: int) -> int:
    """So many pages, in bytes."""
    return count * PAGE


def space(begin: int, end: int) -> str:
    return f"{begin:#010x}-{end:#010x}"


def in_order(order: str, count: int) -> Iterator[int]:
    """0 to count - 1, as the guest's rows come."""
    for i in range(count):
        yield {"ascending": i, "descending": count - 1 - i, "scattered": i * 0x9E37_79B1 % count}[order]


class SpaceSet:
    """A set of areas in the guest, and the model beside it, which follows what has happened when the script is gone through."""

    def __init__(self, scenario: SpacesScenario, slot: int) -> None:
        self.scenario = scenario
        self.slot = slot
        self.model = AreaModel()   # while the script is gone through
        self.plan = AreaModel()    # while it is written: as if nothing failed
        self.last_change: Op | None = None

    # The piece

    def insert(self, begin: int, end: int, attributes_: int = attributes(), object_: int = 0, first_page: int = 0, *, note: str = "") -> Op:
        area = Area(begin, end, attributes_, object_, first_page)
        op = self._op("insert", begin, end, attributes_, object_, first_page, note=note)
        self.plan.areas = self.plan.insert(area).areas
        return self._then(op, lambda: self._changed(op, self.model.insert(area), f"insert of {area}"))

    def insert_area(self, area: Area, *, note: str = "") -> Op:
        return self.insert(area.begin, area.end, area.attributes, area.object, area.first_page, note=note)

    def remove(self, begin: int, end: int, *, silent: bool = False, note: str = "") -> Op:
        """With `silent` no visitor is passed."""
        op = self._op("remove", begin, end, *(["silent"] if silent else []), note=note)
        self.plan.areas = self.plan.remove(begin, end).areas
        return self._then(op, lambda: self._changed(op, self.model.remove(begin, end), f"remove of {space(begin, end)}", silent=silent))

    def protect(self, begin: int, end: int, protection: int, *, silent: bool = False, note: str = "") -> Op:
        op = self._op("protect", begin, end, protection, *(["silent"] if silent else []), note=note)
        self.plan.areas = self.plan.protect(begin, end, protection).areas
        return self._then(op, lambda: self._changed(op, self.model.protect(begin, end, protection), f"protect of {space(begin, end)}", silent=silent))

    def find(self, address: int, *, note: str = "") -> Op:
        op = self._op("find", address, note=note)
        return self._then(op, lambda: self._found(op, self.model.find(address), f"the area that holds {address:#x}"))

    def find_from(self, address: int, *, note: str = "") -> Op:
        op = self._op("find_from", address, note=note)
        return self._then(op, lambda: self._found(op, self.model.find_from(address), f"the lowest area that ends above {address:#x}"))

    def place(self, it: Placement, *, note: str = "") -> Op:
        op = self._op("place", it.pages, it.alignment, it.begin, it.end, it.hint, it.random, it.guard_pages, note=note)
        return self._then(op, lambda: self._placed(op, it))

    def list(self, *, note: str = "") -> Op:
        """count() and for_each(), compared area by area."""
        op = self._op("list", note=note)
        return self._then(op, lambda: self._listed(op))

    def destroy(self, *, note: str = "") -> Op:
        op = self._op("destroy", note=note)
        self.plan = AreaModel()
        return self._then(op, lambda: setattr(self, "model", AreaModel()))

    # Thousands of areas

    def build(self, begin: int, count: int, pages_: int, distance: int, order: str = "ascending", attributes_: int = attributes(), note: str = "") -> Op:
        """Inserts areas of `pages_` pages, `distance` pages from begin to begin. Its values: how many, and the error that ended it."""
        op = self._op("build", begin, count, pages_, distance, attributes_, order, note=note)
        row = [Area(at, at + pages(pages_), attributes_) for at in (begin + i * pages(distance) for i in in_order(order, count))]

        def built() -> None:
            done, error = op.values
            expect(done == count or self.scenario.is_short, f"{count} areas that touch no other are inserted", f"{done}, then Error::{error_name(error)}",
                   operation=op.number)
            expect(done == count or error == 1, "insert() fails with Error::OutOfMemory when there is no memory", f"Error::{error_name(error)}", operation=op.number)
            self.model.areas = sorted(self.model.areas + row[:done])

        self.plan.areas = sorted(self.plan.areas + row)
        return self._then(op, built)

    # Going through the script

    def _op(self, verb: str, *arguments: object, note: str = "") -> Op:
        return self.scenario.op(f"areas.{verb}", self.slot, *arguments, note=note)

    def _then(self, op: Op, check: Callable[[], None]) -> Op:
        self.scenario.steps.append((op, check))
        return op

    def _changed(self, op: Op, change: Change, what: str, *, silent: bool = False) -> None:
        self._check_answer(op, change, what)
        if op.error is None and not op.line.startswith("areas.insert"):
            if not silent:
                self._check_parts(op, change, what)
        self.last_change = op
        if op.error is None:
            self.model.areas = change.areas

    def _check_answer(self, op: Op, change: Change, what: str) -> None:
        error = op.error
        if error is None and op.values:
            self._check_context(op)
        if error is None and op.values and op.values[0] != 0 and not op.line.startswith("areas.insert"):
            expect(False, f"{what} fails: nothing changes, and its visitor is not called",
                   f"{op} returned Error::{error_name(op.values[0])} after {op.values[1]} calls of the visitor",
                   "First look whether everything will go well, and take the memory; then change, and tell the visitor.", operation=op.number)
        if error == "OutOfMemory" and self.scenario.is_short and change.needs_memory:
            change.areas = self.model.areas
            self.scenario.refusals += 1
            return
        if change.errors:
            wanted = " or ".join(f"Error::{name}" for name in sorted(change.errors))
            expect(error in change.errors, f"{what} is refused with {wanted}: {'; '.join(WHY[name] for name in sorted(change.errors))}",
                   f"{op}: {op.says if error else 'success'}{self._picture(op)}", operation=op.number)
            return
        hint = ""
        if error == "OutOfMemory" and self.scenario.is_short:
            hint = "Only a remove() that makes two areas of one may need memory: what is cut out whole, or at an end, must always work."
        expect(error is None, f"{what} succeeds", f"{op}: {op.says}{self._picture(op)}", hint, operation=op.number)

    @staticmethod
    def _check_context(op: Op) -> None:
        expect(op.values[0] != WRONG_CONTEXT, "a visitor is called with the context that came with it", f"another one ({op})",
               "Hand `context` on to each call of the visitor as it is.", operation=op.number)

    def _check_parts(self, op: Op, change: Change, what: str) -> None:
        """What the visitor was shown."""
        count, sum_, seen = op.values[1], op.values[2], read_areas(op.values[3:])
        if count == len(change.shown) and sum_ == digest(change.shown):
            return
        wanted = f"{what} shows its visitor {len(change.shown)} parts, lowest address first"
        index = first_difference(change.shown[:SHOWN], seen)
        shown = f"{count} parts{self._where(index, change.shown, seen)}" if index is not None else f"{count} parts, others behind number {SHOWN}"
        expect(False, wanted, f"{shown} ({op})",
               "remove() shows what is taken out, as it was; protect() shows only what had another protection before, as it is afterwards. first_page is that of the part's begin.",
               operation=op.number)

    def _found(self, op: Op, wanted: Area | None, what: str) -> None:
        seen = read_areas(op.values[3:])
        expect(seen == ([wanted] if wanted else []), f"{op.line.split()[0].partition('.')[2]}() returns {what}: {wanted or 'none, so null'}",
               f"{seen[0] if seen else 'null'} ({op})", operation=op.number)

    def _placed(self, op: Op, it: Placement) -> None:
        if it.errors:
            wanted = " or ".join(f"Error::{name}" for name in sorted(it.errors))
            expect(op.error in it.errors, f"place() refuses this with {wanted}: {'; '.join(WHY[name] for name in sorted(it.errors))}",
                   f"{op}: {op.says}", operation=op.number)
            return
        wanted = self.model.place(it)
        begins = self.model.possible_begins(it)
        total = sum(map(len, begins))
        if wanted is None:
            expect(op.error == "OutOfMemory", f"no begin is possible for {it.pages} pages with {it.guard_pages} guard pages: Error::OutOfMemory",
                   f"{op}: {self._begin_says(op, it)}", operation=op.number)
            return
        if it.hint and wanted == it.hint:
            story = f"the hint {it.hint:#x} is possible"
        else:
            story = f"{total} begins are possible, the highest {begins[0][0]:#x}, the lowest {begins[-1][-1]:#x}; random {it.random:#x} takes number {it.random % total} from above"
        expect(op.error is None and op.value == wanted, f"place() returns {wanted:#x}: {story}", f"{self._begin_says(op, it)} ({op}){self._window(it)}",
               "Guard pages count towards areas only: the ends of the window need none.", operation=op.number)

    def _begin_says(self, op: Op, it: Placement) -> str:
        if op.error:
            return f"Error::{op.error}"
        begin = op.value
        size, guard = pages(it.pages), pages(it.guard_pages)
        if begin % it.alignment:
            return f"{begin:#x}, which is no multiple of {it.alignment:#x}"
        if begin < it.begin or begin + size > it.end:
            return f"{begin:#x}: not all of its pages lie in the window"
        for area in self.model.areas:
            if area.overlaps(begin, begin + size):
                return f"{begin:#x}, which overlaps {area}"
            if area.overlaps(begin - guard, begin + size + guard):
                return f"{begin:#x}, with fewer than {it.guard_pages} pages towards {area}"
        return f"{begin:#x}, a possible begin" if self.model.is_possible(it, begin) else f"{begin:#x}"

    def _listed(self, op: Op) -> None:
        self._check_context(op)
        count, number, sum_, *words = op.values
        wanted, seen = self.model.areas, read_areas(words)
        after = f" after {self.last_change}" if self.last_change else ""
        if number != len(wanted) or sum_ != digest(wanted):
            index = first_difference(wanted[:SHOWN], seen)
            where = f"; the first that differs: {self._where(index, wanted, seen)}" if index is not None else f", others behind number {SHOWN}"
            expect(False, f"for_each() shows {len(wanted)} areas{after}", f"{number} areas{where}{self._compared(wanted, seen, index)}",
                   "Compare the two: is one area missing, not merged, merged too much, or is first_page that of another part?",
                   operation=self.last_change.number if self.last_change else op.number)
        expect(count == number, f"count() is {number}, as many as for_each() shows", f"{count}", operation=op.number)

    # Words and pictures

    @staticmethod
    def _where(index: int | None, wanted: Sequence[Area], seen: Sequence[Area]) -> str:
        if index is None:
            return ""
        right = str(wanted[index]) if index < len(wanted) else "no more"
        return f" number {index} is {seen[index] if index < len(seen) else 'missing'} where it should be {right}"

    @staticmethod
    def _compared(wanted: Sequence[Area], seen: Sequence[Area], index: int | None) -> str:
        """A picture of both lists where they differ."""
        if index is None:
            return ""
        near = [*wanted[max(index - 1, 0) : index + 2], *seen[max(index - 1, 0) : index + 2]]
        begin = min(area.begin for area in near) - PAGE
        end = min(max(area.end for area in near) + PAGE, begin + pages(64))
        return f"\n    pages from {begin:#x}, a letter for each area:\n    expected {draw(wanted, begin, end)}\n    seen     {draw(seen, begin, end)}"

    def _picture(self, op: Op) -> str:
        """The areas around the range of an operation."""
        words = op.line.split()
        begin, end = int(words[2], 0), int(words[3], 0)
        if not USER_BEGIN <= begin < end <= USER_END:
            return ""
        begin, end = max(begin - pages(4), 0), end + pages(4)
        return f"\n    pages from {begin:#x}, a letter for each area: {draw(self.model.areas, begin, end)}"

    def _window(self, it: Placement) -> str:
        return f"\n    the window, a letter for each area: {draw(self.model.areas, it.begin, it.end)}" if it.end - it.begin <= pages(64) else ""


class SpacesScenario(ReplayedScenario):
    """One boot of a kernel with the areas piece under test."""

    reads_tables = False

    def prepare(self) -> None:
        self.steps: list[tuple[Op, Callable[[], None]]] = []
        self.slots = 0
        self.is_short = False   # while the script is gone through: no frames are left
        self.refusals = 0       # calls that failed for want of memory
        end = 16 * MIB - self.random.randrange(64) * PAGE
        self.machine = Machine(16, (MemoryEntry(0, LOW_MEMORY_END), MemoryEntry(MIB, end - MIB)))

    # The piece

    def create(self, *, note: str = "") -> SpaceSet:
        """A set without areas."""
        made = SpaceSet(self, self.slots)
        self.slots += 1
        op = self.op("areas.create", made.slot, note=note)

        def created() -> None:
            expect(op.ok, "create() makes a set", f"Error::{op.error}", operation=op.number)
            expect(op.value != 0, "create() returns a set or an error", "a null pointer", operation=op.number)

        self.steps.append((op, created))
        return made

    def memory(self, note: str = "") -> Op:
        """Objects of the heap in use; frames in use once the heap keeps none that it does not need."""
        return self.op("areas.memory", note=note)

    def warm_up(self) -> Op:
        """memory() after a set has come and gone: what the piece keeps for all sets together is there from now on."""
        self.op("areas.create", self.slots, note="so that caches are made")
        self.op("areas.insert", self.slots, USER_BEGIN, USER_BEGIN + PAGE, attributes(), 0, 0)
        self.op("areas.destroy", self.slots)
        self.slots += 1
        return self.memory()

    def limit(self, frames: int | None) -> Op:
        """From here on so many more frames can be had; None ends that."""
        op = self.op("frames.limit", "none" if frames is None else frames)
        self.steps.append((op, lambda: setattr(self, "is_short", frames is not None)))
        return op

    # Choosing

    def address(self, size: int = PAGE, low: int = USER_BEGIN + pages(16), high: int = USER_END - pages(16)) -> int:
        """A page's address with so much room behind it."""
        return self.random.randrange(low // PAGE, (high - size) // PAGE) * PAGE

    def protection(self) -> int:
        return self.random.choice((0, READ, READ | WRITE, PROTECTION, READ | PROTECTION & 4))

    def other_protection(self, than: int) -> int:
        return self.random.choice([it for it in (0, READ, READ | WRITE, 5, 7) if it != than & PROTECTION])

    def attributes(self) -> int:
        return attributes(self.protection(), self.random.randrange(4), shared=self.random.random() < 0.5)

    def object(self) -> int:
        """What stands for a memory object: a number that is the address of nothing."""
        return self.random.randrange(0xE800_0000, 0xEF00_0000) & ~7

    # Going through the script

    def then(self, check: Callable[[], None]) -> None:
        """A check of the test's own, made in its place among the others."""
        self.steps.append((self.operations[-1], check))

    def _go_through(self) -> None:
        for op, check in self.steps:
            if not op.is_done:
                return
            check()

    # What must hold

    def expect_memory(self, op: Op, before: Op, why: str) -> None:
        """No more of the heap is in use than before."""
        objects, frames = (now - then for now, then in zip(op.values, before.values))
        expect(objects <= 0, f"{why}: as many objects of the heap are in use as before", f"{objects} more",
               "Everything that insert(), remove() and protect() take from the heap goes back, with destroy() at the latest.", operation=op.number)
        expect(frames <= 0, f"{why}: as many frames are in use as before", f"{frames} more", operation=op.number)
