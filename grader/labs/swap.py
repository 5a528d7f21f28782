"""What the tests of lab 09-swap do to the piece, and how they look at what it did.

A test writes a script with the methods below (create, map, write, out, read, fork, destroy ...), and calls `state(name)` wherever all of it
is to be looked at. `boot()` runs the script, then goes through it once more beside the model (oracle/swap.py): each answer must be a possible
one, and at each state

- every space's page tables, read out of physical memory, show the model's pages: present ones with their frames and rights, swap entries
  with their slots, and nothing else,
- frames hold what was written to them; slots of the swap disk, read from its image, hold the pages that are nowhere else, and what their copies
  hold,
- after `watch_references()`: the count of each frame is the number of pages that show it, and one for the entries of its slot,
- after `watch_books()`: entries(), slot_of(), holds() and statistics() say what the page tables say,
- after `watch_counts()`: each space counts its present and its swapped pages,
- after `watch_tlb()`: the CPU's TLB holds nothing, for the addresses that were touched, that a fresh walk does not find,
- after `watch_commands()`: neighbours are written and read together. Without it a piece that does each slot by itself is right as well.

The last ones are for the tests that are about them, so that one mistake does not cost every test. The first disagreement ends the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.machine import LOW_MEMORY_END, MIB, Machine, MemoryEntry
from emulator.swap_disk import SwapDisk
from judge.scenario import Failure, Op, expect, fail
from labs.replayed import ReplayedScenario
from labs.swap_state import SPACES, State, StateCheck
from oracle.swap import SwapModel
from oracle.swap_pages import PAGE
from oracle.swap_slots import Traffic, Wrong

ERRORS = {0: "", 1: "OutOfMemory", 9: "DeviceError", 12: "NoSpace", 15: "LimitReached"}
SLOT_PAGES = 1024
CODE_SLOTS, DATA_SLOTS = (0x1000_0000 >> 22, 0x2000_0000 >> 22), (0x2000_0000 >> 22, 0xBF00_0000 >> 22)
THINGS = 48  # slot_guest::kPages
CALLS = ("swap.", "page.", "space.activate", "space.destroy", "space.protect", "space.unmap", "space.fork")  # what a state may be blamed on


def pages(count: int) -> int:
    """So many pages, in bytes."""
    return count * PAGE


def traffic_of(op: Op) -> Traffic:
    return Traffic(*op.values[1:7])


def error_of(op: Op) -> str:
    """The error in an answer's first value, "" for none."""
    return ERRORS.get(op.values[0], f"error {op.values[0]}")


class SwapScenario(ReplayedScenario):
    """One boot of a kernel with the piece under test and a swap disk."""

    reads_tables = False

    def prepare(self) -> None:
        end = 16 * MIB - self.random.randrange(64) * PAGE
        self.machine = Machine(16, (MemoryEntry(0, LOW_MEMORY_END), MemoryEntry(MIB, end - MIB)))
        self.area(self.random.randrange(150, 400))
        self.steps: list[tuple[Op, Callable[[Op], None]]] = []
        self.states: dict[str, State] = {}
        self.active: int | None = None
        self.touched: dict[int, None] = {}
        self.watches_references = self.watches_books = self.watches_counts = self.watches_tlb = self.watches_commands = False
        self._free_numbers = list(range(SPACES - 1, -1, -1))
        self._free_things = list(range(THINGS - 1, -1, -1))
        self._used_slots: set[int] = set()
        self.living: list[int] = []  # spaces

    def area(self, slots: int, bad: tuple[int, ...] = ()) -> None:
        """The swap area has so many slots, the header among them."""
        self.swap = SwapDisk(kib=slots * 4, bad=bad)
        self.slots, self.bad = slots, bad

    # -- what states compare ---------------------------------------------------------------------------------------------

    def watch_references(self) -> None:
        self.watches_references = True

    def watch_books(self) -> None:
        self.watches_books = True

    def watch_counts(self) -> None:
        self.watches_counts = True

    def watch_tlb(self) -> None:
        self.watches_tlb = True

    def watch_commands(self) -> None:
        self.watches_commands = True

    # -- choosing --------------------------------------------------------------------------------------------------------

    def address(self, size: int, *, code: bool = False) -> int:
        """The begin of `size` pages somewhere inside of one page table that the script has not used, nor those beside it."""
        first, end = CODE_SLOTS if code else DATA_SLOTS
        while True:
            slot = self.random.randrange(first + 1, end - 2)
            if not any(slot - 1 <= used <= slot + 1 for used in self._used_slots):
                self._used_slots.add(slot)
                return (slot * SLOT_PAGES + self.random.randrange(8, SLOT_PAGES - size - 8)) * PAGE

    # -- spaces ----------------------------------------------------------------------------------------------------------

    def create(self, *, activate: bool = True) -> int:
        """A space without areas; its number."""
        number = self._free_numbers.pop()
        self._do(self.op("space.create", number, self.random.getrandbits(32)), lambda model: model.create(number))
        self.living.append(number)
        if activate:
            self.activate(number)
        return number

    def map(self, space: int, count: int, rights: str = "rw-") -> int:
        """A private area; its begin."""
        begin = self.address(count, code="x" in rights)
        op = self.op("space.map", space, count, rights, "private", "free", begin, "none", 0)
        self._do(op, lambda model: model.map(space, begin, count, rights))
        return begin

    def protect(self, space: int, begin: int, count: int, rights: str) -> None:
        self._do(self.op("space.protect", space, begin, count, rights), lambda model: model.protect(space, begin, count, rights))

    def unmap(self, space: int, begin: int, count: int = 1, *, note: str = "") -> None:
        self._do(self.op("space.unmap", space, begin, count, note=note), lambda model: model.unmap(space, begin, count))

    def fork(self, parent: int, *, note: str = "") -> int:
        child = self._free_numbers.pop()
        self._do(self.op("space.fork", parent, child, note=note), lambda model: model.fork(parent, child))
        self.living.append(child)
        return child

    def activate(self, space: int | None) -> None:
        if self.active != space:
            self.op("space.activate", "none" if space is None else space)
            self.active = space
            self.touched.clear()

    def destroy(self, *spaces: int) -> None:
        """In this order. The active one is left first."""
        for space in spaces:
            if self.active == space:
                self.activate(None)
            self._do(self.op("space.destroy", space), lambda model, space=space: model.destroy(space))
            self.living.remove(space)
            self._free_numbers.append(space)

    def destroy_all(self) -> None:
        self.destroy(*self.random.sample(self.living, len(self.living)))

    def filled(self, count: int, rights: str = "rw-") -> tuple[int, int]:
        """A new space, which is active, with an area all of whose pages were written; both."""
        space = self.create()
        begin = self.map(space, count, rights)
        self.write(begin + self.offset(), count)
        return space, begin

    # -- accesses by the active space's user code, or the kernel for it ---------------------------------------------------

    def write(self, address: int, count: int = 1, *, step: int = 1, note: str = "") -> Op:
        """Words, one a page, `step` pages apart."""
        space, word = self._active(), self.word()
        op = self.op("swap.write", address, count, step, word, note=note)
        self._touch(address, count, step)

        def follow(model: SwapModel) -> None:
            expect(op.value == count, f"{count} words can be written", f"only {op.value}", operation=op.number)
            model.begin()
            for i in range(count):
                model.write(space, address + i * step * PAGE, word + i)
            model.check_reads(traffic_of(op))

        self._do(op, follow)
        return op

    def read(self, address: int, count: int = 1, *, step: int = 1, note: str = "") -> Op:
        """Words, one a page, `step` pages apart: they must be the model's."""
        space = self._active()
        op = self.op("swap.read", address, count, step, note=note)
        self._touch(address, count, step)

        def follow(model: SwapModel) -> None:
            expect(op.value == count, f"{count} words can be read", f"only {op.value}", operation=op.number)
            model.begin()
            sum_ = 0
            for i in range(count):
                sum_ = ((sum_ ^ model.read(space, address + i * step * PAGE)) * 0x0100_0193) & 0xFFFF_FFFF
            expect(op.values[8] == sum_, "what is read is what was written", f"other words ({op})", "A page comes back from the slot that its entry names.", operation=op.number)
            model.check_reads(traffic_of(op))

        self._do(op, follow)
        return op

    # -- the piece -------------------------------------------------------------------------------------------------------

    def pick(self, space: int, address: int, count: int = 1, *, step: int = 1) -> None:
        """These pages leave with the next out(), as far as they are present then."""
        self._do(self.op("swap.pick", space, address, count, step), lambda model: model.pick(space, address, count, step))

    def out(self, space: int | None = None, address: int = 0, count: int = 1, *, step: int = 1, note: str = "") -> Op:
        """swap_out() of what was picked, and of these pages."""
        if space is not None:
            self.pick(space, address, count, step=step)
        op = self.op("swap.out", note=note)
        self._do(op, lambda model: model.swap_out(op.value, traffic_of(op), op.values[8:]))
        return op

    def out_failing(self, space: int, address: int, count: int, *, stay: int, note: str = "") -> Op:
        """swap_out() of pages, of which so many cannot be written."""
        op = self.out(space, address, count, note=note)
        self.then(lambda: expect(op.value == count - stay, f"{stay} of {count} pages stay, as they could not be written", f"{op.value} are out",
                                 "What fails together is written once more, slot by slot.", operation=op.number))
        return op

    def swap_in(self, space: int, address: int, *, frames: int | None = None, note: str = "") -> Op:
        """swap_in() itself, with at most so many frames."""
        op = self.op("swap.in", space, address, *([] if frames is None else [frames]), note=note)

        def follow(model: SwapModel) -> None:
            model.begin()
            wanted = model.swap_in(space, address, 1 << 30 if frames is None else frames)
            self._expect_error(op, wanted, "swap_in()")
            model.check_reads(traffic_of(op))

        self._do(op, follow)
        return op

    def swap_in_refused(self, space: int, address: int) -> Op:
        """swap_in() for a space that may have no more pages present."""
        op = self.op("swap.in", space, address)
        self._do(op, lambda model: (self._expect_error(op, "LimitReached", "swap_in()"), model.swap_in_refused(space, address)))
        return op

    def limit(self, space: int, resident: int) -> None:
        self.op("space.limits", space, 1 << 20, resident, 2048)

    def clean(self, space: int, address: int, *, note: str = "") -> Op:
        """The page that is present there is written ahead, if there is a slot."""
        op = self.op("swap.clean", space, address, note=note)

        def follow(model: SwapModel) -> None:
            if model.area.is_full and not model.has_slot(space, address):
                expect(op.value == 0, "clean() answers an error: there is no slot", "it says that it has written the page", operation=op.number)
                return
            expect(op.value == 1, "clean() succeeds", "it fails", operation=op.number)
            model.clean(space, address, op.values[8], traffic_of(op))

        self._do(op, follow)
        return op

    def clean_fails(self, space: int, address: int, *, retires: bool = False, note: str = "") -> Op:
        """The same without a slot, or with one that cannot be written: nothing else changes."""
        op = self.op("swap.clean", space, address, note=note)

        def follow(model: SwapModel) -> None:
            expect(op.value == 0, "clean() answers an error", "it says that it has written the page", operation=op.number)
            if retires:
                model.clean_failed(space, address)

        self._do(op, follow)
        return op

    def shrink(self, count: int) -> Op:
        op = self.op("swap.shrink", count)
        self._do(op, lambda model: model.shrink(count, op.value))
        return op

    def break_slot(self, slot: int) -> None:
        """From now on the disk fails at this slot."""
        self._do(self.op("swaparea.faults", f"slot:{slot}"), lambda model: model.broken.add(slot))

    def break_slots_of(self, space: int, *addresses: int) -> Op:
        """From now on the disk fails at the slots of these pages, which are in the swap area. With none it works again."""
        op = self.op("swap.break", space, *addresses)

        def follow(model: SwapModel) -> None:
            model.broken = set(op.values[1:])

        self._do(op, follow)
        return op

    def faults(self, rules: str) -> None:
        """Of kernel/drivers/faulty_disk.h; "-" for none. The model is not told."""
        self.op("swaparea.faults", rules)

    # -- numbered pages, that no space has ---------------------------------------------------------------------------------

    def page(self) -> int:
        """A frame with contents of its own."""
        thing, first = self._free_things.pop(), self.word()
        self._do(self.op("page.new", thing, first), lambda model: model.new_thing(thing, first))
        return thing

    def write_page(self, thing: int) -> None:
        """A frame that nobody else has; the next store() must say that it was changed."""
        word = self.word()
        self._do(self.op("page.write", thing, word), lambda model: model.write_thing(thing, word))

    def store(self, thing: int, *, changed: bool, note: str = "") -> Op:
        """Where there is no slot, it must answer that, and the page stays a frame."""
        op = self.op("swap.store", thing, changed, note=note)

        def follow(model: SwapModel) -> None:
            if model.area.is_full and not model.has_slot_of_thing(thing):
                self._expect_error(op, "NoSpace", "store()")
                return
            self._expect_error(op, "", "store()")
            model.store(thing, changed, op.values[8], traffic_of(op))

        self._do(op, follow)
        return op

    def store_fails(self, thing: int, error: str, *, changed: bool = True, note: str = "") -> Op:
        op = self.op("swap.store", thing, changed, note=note)

        def follow(model: SwapModel) -> None:
            self._expect_error(op, error, "store()")
            model.area.usable -= error == "DeviceError"

        self._do(op, follow)
        return op

    def load(self, thing: int, *, frames: int | None = None, note: str = "") -> Op:
        """Nothing for a page that is a frame, as there was no slot for it."""
        op = self.op("swap.load", thing, *([] if frames is None else [frames]), note=note)

        def follow(model: SwapModel) -> None:
            if not model.is_stored(thing):
                return
            model.begin()
            self._expect_error(op, model.load(thing, 1 << 30 if frames is None else frames), "load()")
            model.check_reads(traffic_of(op))

        self._do(op, follow)
        return op

    def share(self, thing: int) -> int:
        """Another owner of what the page has; its number."""
        other = self._free_things.pop()
        self._do(self.op("swap.share", thing, other), lambda model: model.share(thing, other))
        return other

    def release(self, *things: int) -> None:
        for thing in things:
            self._do(self.op("swap.release", thing), lambda model, thing=thing: model.release(thing))
            self._free_things.append(thing)

    # -- looking ---------------------------------------------------------------------------------------------------------

    def state(self, name: str, *, contents: int = 60) -> State:
        """Looks at all there is: see the top of this file. Of that many frames the contents are compared."""
        self.op("slots.look")
        state = State(name, contents, list(self.touched) if self.watches_tlb else [])
        checkpoint = self.checkpoint(name, lambda target: self._look(target, state))
        self._do(checkpoint.op, lambda model: StateCheck(self, model, state, checkpoint.op).check())
        self.states[name] = state
        return state

    def frames_in_use(self, note: str = "") -> Op:
        """How many there are when the heap has given back what it does not need."""
        return self.op("slots.look", note=note)

    def expect_frames(self, now: Op, before: Op, why: str) -> None:
        """After boot(): as many frames are in use as before."""
        more = now.value - before.value
        expect(more <= 0, f"{why}, every frame has come back", f"{more} frames are still in use",
               "A frame that left, and a copy that nobody needs, comes back: look for a frames::release() that is missing.", operation=now.number)
        expect(more >= 0, f"{why}, as many frames are in use as before", f"{-more} fewer: frames were given back that somebody still had", operation=now.number)

    # -- going through the script ------------------------------------------------------------------------------------------

    def then(self, check: Callable[[], None]) -> None:
        """A check of the test's own, made in its place among the others."""
        self._do(self.operations[-1], lambda model: check())

    def last_call(self) -> Op | None:
        """The last operation before the state that is being looked at."""
        done = [op for op in self.operations if op.is_done and op.number <= self._at and op.line.startswith(CALLS) and not op.line.startswith("slots.look")]
        return done[-1] if done else None

    def _go_through(self) -> None:
        """Beside a model that reads ahead. A piece that does not do so yet is judged by one that does not, unless reading ahead is what the test
        is about. Of two disagreements the later one is told: that model explains more of what was seen."""
        failure = self._follow(reads_ahead=True)
        if failure and not self.watches_commands:
            got_to = self._at
            alone = self._follow(reads_ahead=False)
            if alone is None or self._at > got_to:
                failure = alone
            else:
                self._at = got_to
        if failure:
            raise failure

    def _follow(self, *, reads_ahead: bool) -> Failure | None:
        """The first disagreement with a new model."""
        self.model = SwapModel(self.slots, self.bad, reads_ahead=reads_ahead, counts_commands=self.watches_commands)
        for op, follow in self.steps:
            if not op.is_done:
                break
            self._at = op.number
            try:
                follow(op)
            except Wrong as wrong:
                return Failure(f"{wrong.expected} ({op})", wrong.seen, wrong.hint, operation=op.number)
            except Failure as failure:
                return failure
        return None

    def _look(self, target: Any, state: State) -> None:
        state.read(target, self.machine.memory_bytes, self.slots)
        return state

    def _do(self, op: Op, follow: Callable[[SwapModel], Any]) -> None:
        """When the script is gone through, the operation must have succeeded, and the model follows."""
        def check(op: Op) -> None:
            if not op.line.startswith("checkpoint"):
                expect(op.ok, f"{op} succeeds", op.says, operation=op.number)
            follow(self.model)

        self.steps.append((op, check))

    def _expect_error(self, op: Op, wanted: str, what: str) -> None:
        seen = error_of(op)
        if seen != wanted:
            fail(f"{what} {f'answers Error::{wanted}' if wanted else 'succeeds'} ({op})", f"it answers {f'Error::{seen}' if seen else 'that it has succeeded'}", operation=op.number)

    def _active(self) -> int:
        assert self.active is not None
        return self.active

    def _touch(self, address: int, count: int, step: int) -> None:
        for i in range(min(count, 24)):
            self.touched[(address // PAGE + i * step) * PAGE] = None
