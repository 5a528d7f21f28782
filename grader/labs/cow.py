"""What the tests of lab 07-cow do to the piece, and how they look at what it did.

A test writes a script with the methods below (create, map, store, fork, destroy ...) while the model (oracle/cow.py) goes along, and
calls `state(name)` wherever all spaces are to be looked at. `boot()` runs the script, then goes through it once more: each answer must
be the model's, and at each state

- every space's page tables, read out of physical memory, show the model's pages: the frames that they shared before, rights, no others,
- the frames hold what was written to them,
- after `watch_references()`: the count of each frame is the number of pages that show it,
- after `watch_tables()`: no page table is empty; after `watch_resident()`: each space counts the pages that it has,
- after `watch_tlb()`: the CPU's TLB holds nothing, for the addresses that were touched, that a fresh walk does not find.

The last ones are for the tests that are about them, so that one mistake does not cost every test.

The first disagreement ends the test; if the machine crashed, what was wrong before the crash is told rather than the crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from emulator.machine import LOW_MEMORY_END, MIB, Machine, MemoryEntry
from judge.scenario import Op, expect
from labs.cow_state import SPACES, State, StateCheck
from labs.replayed import ReplayedScenario
from oracle.cow import PAGE, SLOT_PAGES, Attributes, CowModel, Effect, Thing

OUTCOMES = ("Resolved", "Retry", "Signal", "OutOfMemory")
HOWS = ("None", "KernelTable", "ZeroFrame", "Zeroed", "LargePage", "ObjectPage", "ObjectCopy", "Copied", "LastOwner", "SwappedIn")
COPIED, LAST_OWNER = HOWS.index("Copied"), HOWS.index("LastOwner")
CODE_SLOTS, DATA_SLOTS = (0x1000_0000 >> 22, 0x2000_0000 >> 22), (0x2000_0000 >> 22, 0xBF00_0000 >> 22)
SLOT = SLOT_PAGES * PAGE
CALLS = ("cow.", "space.activate", "space.destroy", "space.protect", "space.unmap", "copy.")  # what a state may be blamed on


def pages(count: int) -> int:
    """So many pages, in bytes."""
    return count * PAGE


class CowScenario(ReplayedScenario):
    """One boot of a kernel with the copy-on-write piece under test."""

    reads_tables = False

    def prepare(self) -> None:
        self.small_machine(16)
        self.model = CowModel()
        self.steps: list[tuple[Op, Callable[[Op], None]]] = []
        self.states: dict[str, State] = {}
        self.active: int | None = None
        self.touched: dict[int, None] = {}
        self.watches_references = self.watches_tables = self.watches_resident = self.watches_tlb = False
        self._free_numbers = list(range(SPACES - 1, -1, -1))
        self._used_slots: set[int] = set()
        self._places: dict[int, int] = {}

    def small_machine(self, megabytes: int) -> None:
        """A machine with an odd end."""
        end = megabytes * MIB - self.random.randrange(64) * PAGE
        self.machine = Machine(megabytes, (MemoryEntry(0, LOW_MEMORY_END), MemoryEntry(MIB, end - MIB)))

    # -- what states compare ---------------------------------------------------------------------------------------------

    def watch_references(self) -> None:
        self.watches_references = True

    def watch_tables(self) -> None:
        self.watches_tables = True

    def watch_resident(self) -> None:
        self.watches_resident = True

    def watch_tlb(self) -> None:
        self.watches_tlb = True

    # -- choosing --------------------------------------------------------------------------------------------------------

    def place(self, *, slots: int = 1, code: bool = False) -> int:
        """The begin of `slots` directory entries in a row that the script has not used, with none used beside them."""
        first, end = CODE_SLOTS if code else DATA_SLOTS
        while True:
            slot = self.random.randrange(first + 1, end - slots - 1)
            if not any(slot - 1 <= used <= slot + slots for used in self._used_slots):
                self._used_slots |= set(range(slot, slot + slots))
                return slot * SLOT

    def address(self, size: int, *, code: bool = False) -> int:
        """The begin of `size` pages somewhere inside of one page table."""
        return self.place(code=code) + self.random.randrange(8, SLOT_PAGES - size - 8) * PAGE

    # -- spaces, areas, objects ------------------------------------------------------------------------------------------

    def create(self, *, activate: bool = True) -> int:
        """A space without areas; its number."""
        number = self._free_numbers.pop()
        self._expect_ok(self.op("space.create", number, self.random.getrandbits(32)))
        self.model.create(number)
        if activate:
            self.activate(number)
        return number

    def map(self, space: int, count: int, protection: str = "rw-", *, at: int | None = None, shared: bool = False, thing: int | None = None, first_page: int = 0) -> int:
        """An area; its begin. Without `at` it lies inside of one page table, and has one page more, which nobody touches: a mistake at an
        area's end is to cost the tests about borders, not all."""
        count += at is None
        begin = self.address(count, code="x" in protection) if at is None else at
        op = self.op("space.map", space, count, protection, "shared" if shared else "private", "free", begin, "none" if thing is None else thing, first_page)
        self._expect_ok(op)
        self.model.map(space, begin, count, Attributes(protection, shared, thing, first_page))
        return begin

    def protect(self, space: int, begin: int, count: int, protection: str) -> None:
        self._expect_ok(self.op("space.protect", space, begin, count, protection))
        self.model.protect(space, begin, count, protection)

    def unmap(self, space: int, begin: int, count: int) -> None:
        self._expect_ok(self.op("space.unmap", space, begin, count))
        self.model.unmap(space, begin, count)

    def file(self, count: int) -> int:
        """An object: a file of so many pages, the last one not full."""
        number, size, seed = len(self.model.things), count * PAGE - self.random.randrange(4, 2000) * 2, self.word()
        self._expect_ok(self.op("object.file", number, size, seed, 0xFFFF_FFFF))
        self.model.things[number] = Thing(count, size, seed)
        return number

    def shared_memory(self, count: int) -> int:
        number = len(self.model.things)
        self._expect_ok(self.op("object.shared", number, count))
        self.model.things[number] = Thing(count, count * PAGE, None)
        return number

    def release(self, thing: int) -> None:
        """The object lives on while areas show it."""
        self._expect_ok(self.op("object.release", thing))
        self.model.release(thing)

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
            self._expect_ok(self.op("space.destroy", space))
            self.model.destroy(space)
            self._free_numbers.append(space)

    def destroy_all(self) -> None:
        self.destroy(*self.random.sample(sorted(self.model.spaces), len(self.model.spaces)))

    # -- the piece -------------------------------------------------------------------------------------------------------

    def fork(self, parent: int, *, note: str = "") -> int:
        """A child, by share(); its number."""
        child = self._free_numbers.pop()
        op = self.op("cow.fork", parent, child, note=note)
        effect = self.model.fork(parent, child)
        self._then(op, lambda op: self._forked(op, effect))
        return child

    def fork_bare(self, parent: int) -> int:
        """A child with its parent's areas and no page: share() has not been called."""
        child = self._free_numbers.pop()
        self._expect_ok(self.op("cow.fork_bare", parent, child))
        self.model.fork_bare(parent, child)
        return child

    def share(self, parent: int, child: int, begin: int, count: int, *, note: str = "") -> Op:
        """share() for one area, which has `count` pages from `begin` on."""
        op = self.op("cow.share", parent, child, begin, note=note)
        for at in range(begin // PAGE, begin // PAGE + count):
            if at in self.model.spaces[parent].pages:
                self.model.share(parent, child, at)
        self._expect_ok(op)
        return op

    def fork_short(self, parent: int, frames: int, *, note: str = "") -> Op:
        """A fork that must fail: share() gets so many frames, and needs more."""
        op = self.op("cow.fork", parent, self._free_numbers[-1], frames, note=note)
        self.model.share_failed(parent)
        self._then(op, lambda op: expect(op.error == "OutOfMemory", f"share() answers Error::OutOfMemory when it gets {frames} frames and needs more page tables than that",
                                         op.says, operation=op.number))
        return op

    def write(self, space: int, address: int, *, frames: int | None = None, note: str = "") -> Op:
        """resolve_write() for a page that is present, read-only, private, in an area that may be written. With `frames` there are no more than
        so many, which is enough."""
        op = self.op("cow.write", space, address // PAGE * PAGE, *([] if frames is None else [frames]), note=note)
        effect = self.model.resolve_write(space, address // PAGE)
        self._then(op, lambda op: self._resolved(op, effect))
        return op

    def write_short(self, space: int, address: int, *, note: str = "") -> Op:
        """resolve_write() that needs a frame and gets none: nothing changes."""
        op = self.op("cow.write", space, address // PAGE * PAGE, 0, note=note)
        self._then(op, lambda op: expect(op.values == [OUTCOMES.index("OutOfMemory"), 0, 0], "without a frame for the copy, resolve_write() answers OutOfMemory, and keeps none",
                                         _decision(op), operation=op.number))
        return op

    def store(self, address: int, word: int | None = None, *, count: int = 1, step: int = 1, note: str = "") -> Op:
        """The active space's user code, or the kernel for it, writes `word` + i to the words `step` pages apart."""
        assert self.active is not None
        word = self.word() if word is None else word
        op = self.op("cow.store", address, count, step, word, note=note)
        effect = Effect()
        for i in range(count):
            effect += self.model.store(self.active, address + i * step * PAGE, word + i)
        self._touch(address, count, step)
        self._then(op, lambda op: self._accessed(op, effect, count, "write"))
        return op

    def load(self, address: int, *, count: int = 1, step: int = 1, note: str = "") -> Op:
        """The active space's user code, or the kernel for it, reads words; they must be the model's."""
        assert self.active is not None
        op = self.op("cow.load", address, count, step, note=note)
        effect, sum_ = Effect(), 0
        for i in range(count):
            word, more = self.model.load(self.active, address + i * step * PAGE)
            effect, sum_ = effect + more, ((sum_ ^ word) * 0x0100_0193) & 0xFFFF_FFFF
        self._touch(address, count, step)
        self._then(op, lambda op: self._accessed(op, effect, sum_, "read"))
        return op

    def copy_to(self, address: int, size: int, *, note: str = "") -> Op:
        """The kernel copies `size` bytes to user memory, as read() does: byte i is seed + 7 i. Both are multiples of 4."""
        assert self.active is not None and address % 4 == 0 and size % 4 == 0
        seed = self.random.randrange(256)
        op = self.op("copy.to", address, size, seed, note=note)
        data = bytes((seed + i * 7) & 0xFF for i in range(size))
        for i in range(0, size, 4):
            self.model.store(self.active, address + i, int.from_bytes(data[i : i + 4], "little"))
        self._touch(address, (address % PAGE + size - 1) // PAGE + 1, 1)
        self._expect_ok(op)
        return op

    def store_short(self, address: int, *, note: str = "") -> Op:
        """A write by the active space that needs a frame and gets none: it fails, and nothing changes."""
        op = self.op("cow.store", address, 1, 1, self.word(), 0, note=note)
        self._then(op, lambda op: expect(op.values[0] == 0, "a write that needs a frame fails when there is none", f"it went through ({op})", operation=op.number))
        return op

    def write_into(self, space: int, address: int, *, note: str = "") -> None:
        """Changes a word of a page that is the space's own, through its frame: no page table, no TLB and no piece has a say."""
        seed = self.random.randrange(256)
        self._expect_ok(self.op("copy.into", space, address, 4, seed, note=note))
        self.model.write_into(space, address, int.from_bytes(bytes((seed + i * 7) & 0xFF for i in range(4)), "little"))

    # -- looking ---------------------------------------------------------------------------------------------------------

    def state(self, name: str, *, contents: int = 40) -> State:
        """Looks at all spaces: see the top of this file. Of that many frames the contents are compared."""
        self._expect_ok(self.op("cow.look"))
        touched = list(self.touched) if self.watches_tlb else []
        state = State(name, self.model.snapshot(), contents, touched)
        checkpoint = self.checkpoint(name, lambda target: self._look(target, state))
        self._then(checkpoint.op, lambda op: StateCheck(self, state, op, self._places).check())
        self.states[name] = state
        return state

    def frames_in_use(self, note: str = "") -> Op:
        """How many there are when the heap has given back what it does not need."""
        return self.op("cow.look", note=note)

    def warm_up(self) -> Op:
        """frames_in_use() after a parent and a child have come and gone: what the kernel keeps for all spaces is there from now on."""
        parent = self.create()
        begin = self.map(parent, 2)
        self.store(begin)
        self.destroy(self.fork(parent), parent)
        return self.frames_in_use("nothing has happened yet")

    def soil_memory(self) -> None:
        """The frames that are handed out next have been somebody's: they are not zero by themselves."""
        assert self.active is not None
        begin = self.map(self.active, 60)
        self.store(begin, count=60)
        self.unmap(self.active, begin, 61)

    def expect_frames(self, now: Op, before: Op, why: str) -> None:
        """After boot(): as many frames are in use as before."""
        more = now.value - before.value
        expect(more <= 0, f"{why}, every frame has come back", f"{more} frames are still in use",
               "A frame comes back when its count says that nobody has it: look for a share() without its release().", operation=now.number)
        expect(more >= 0, f"{why}, as many frames are in use as before", f"{-more} fewer: frames were given back that somebody still had", operation=now.number)

    # -- going through the script ------------------------------------------------------------------------------------------

    def then(self, check: Callable[[], None]) -> None:
        """A check of the test's own, made in its place among the others."""
        self.steps.append((self.operations[-1], lambda op: check()))

    def last_call(self) -> Op | None:
        """The last operation before the state that is being looked at."""
        done = [op for op in self.operations if op.is_done and op.number <= self._at and op.line.startswith(CALLS) and not op.line.startswith("cow.look")]
        return done[-1] if done else None

    def _go_through(self) -> None:
        self._places.clear()
        for op, check in self.steps:
            if not op.is_done:
                return
            self._at = op.number
            check(op)

    def _look(self, target: Any, state: State) -> None:
        state.read(target, self.machine.memory_bytes)
        return state

    def _then(self, op: Op, check: Callable[[Op], None]) -> None:
        self.steps.append((op, check))

    def _expect_ok(self, op: Op) -> None:
        self._then(op, lambda op: expect(op.ok, f"{op} succeeds", op.says, operation=op.number))

    def _touch(self, address: int, count: int, step: int) -> None:
        for at in _first((address // PAGE + i * step for i in range(count)), 24):
            self.touched[at * PAGE] = None

    def _forked(self, op: Op, effect: Effect) -> None:
        expect(op.ok, "fork() succeeds: there is memory for page tables", op.says, operation=op.number)
        taken = op.values[2]
        expect(effect.frames <= taken <= effect.frames + effect.perhaps or not self.watches_tables,
               f"share() takes {effect.frames} frames: a page table for each 4 MiB in which the parent has a page", f"{taken} frames ({op})",
               "Frames of pages are shared, not copied; and 4 MiB without a page cost nothing.", operation=op.number)

    def _resolved(self, op: Op, effect: Effect) -> None:
        how = COPIED if effect.copied else LAST_OWNER
        why = "others show its frame as well" if effect.copied else "nobody else shows its frame"
        expect(op.values[:2] == [0, how], f"resolve_write() answers Resolved, {HOWS[how]}: {why}", _decision(op),
               "frame_table::info(frame).references says how many owners a frame has.", operation=op.number)
        expect(op.values[2] == effect.frames, f"resolve_write() takes {effect.frames} frames: {why}", f"{op.values[2] - (op.values[2] >> 31 << 32)} ({op})", operation=op.number)

    def _accessed(self, op: Op, effect: Effect, value: int, what: str) -> None:
        if what == "write":
            expect(op.values[0] == value, f"user code can write {value} words there", f"after {op.values[0]} a page fault was not resolved ({op})", operation=op.number)
        else:
            expect(op.values[0] == value, f"a read finds what was written there last, by this space ({op})", "something else", operation=op.number)
        if effect.uncertain or not self.watches_references:
            return
        wanted = [effect.faults, effect.copied, effect.last_owner, effect.frames]
        expect(op.values[1:] == wanted, f"{op} takes {_counts(wanted)}", _counts(op.values[1:]), operation=op.number)


def _first(numbers: Iterable[int], count: int) -> Iterable[int]:
    return (number for number, _ in zip(numbers, range(count)))


def _counts(values: list[int]) -> str:
    faults, copied, last, frames = values
    return f"{faults} page faults, of which {copied} copy and {last} find the last owner, and {frames - (frames >> 31 << 32)} frames"


def _decision(op: Op) -> str:
    """What resolve_write() answered, in words."""
    outcome, how = op.values[:2]
    return f"{OUTCOMES[outcome] if outcome < 4 else outcome}, {HOWS[how] if how < len(HOWS) else how} ({op})"
