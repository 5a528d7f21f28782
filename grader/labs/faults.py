"""What the tests of lab 06-faults do to the piece, and how they look at what it did.

A test makes spaces with areas of every kind, lets faults happen in them one by one, and calls `state(name)` wherever the machine is to be
looked at. `boot()` runs the script, then goes through it once more beside the model (oracle/faults.py): each fault must be answered as
demand.h says, and take just as many frames; at each state the page tables, read out of physical memory, must show exactly the pages that
the model has, with their rights, frames, contents and counts of references.

The first disagreement ends the test; if the machine crashed, what was wrong before the crash is told rather than the crash.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from emulator.machine import LOW_MEMORY_END, MIB, Machine, MemoryEntry
from judge.scenario import Op, expect
from labs.faults_state import State, check_state
from labs.replayed import ReplayedScenario
from oracle.faults import DATA_BEGIN, PAGE, SLOT, Answer, Backing, FaultArea, FaultModel, SpaceModel, decision_text

STACKS_BEGIN = 0xBF00_0000
RESOLVE_WRITE = "mm::copy_on_write::resolve_write(mm::AddressSpace*, mm::Area const&, VirtAddr)"


def pages(count: int) -> int:
    """So many pages, in bytes."""
    return count * PAGE


class Space:
    """One address space in the guest. What happens to it happens to both models: the plan, while the script is written, and the one beside
    which the script is gone through."""

    def __init__(self, scenario: FaultsScenario, number: int, created: Op) -> None:
        self.scenario = scenario
        self.number = number
        self.created = created

    @property
    def plan(self) -> SpaceModel:
        """What it is at this line of the script, if all goes well."""
        return self.scenario.plan.spaces[self.number]

    # -- what the kernel does ------------------------------------------------------------------------------------------

    def map(self, begin: int, count: int, protection: str = "rw-", *, kind: str = "mapping", shared: bool = False, object_: int | None = None,
            first_page: int = 0, note: str = "") -> int:
        """An area of so many pages, where nothing is. Its begin."""
        area = FaultArea(begin, begin + pages(count), protection, kind, shared, object_, first_page if object_ is not None else 0)
        self._do("fault.map", begin, count, protection, "shared" if shared else "private", kind, "none" if object_ is None else object_, area.first_page,
                 effect=lambda model, space: space.insert(area), note=note)
        return begin

    def protect(self, begin: int, count: int, protection: str, *, note: str = "") -> Op:
        return self._do("space.protect", begin, count, protection, effect=lambda model, space: model.protect(space, begin, begin + pages(count), protection), note=note)

    def unmap(self, begin: int, count: int, *, note: str = "") -> Op:
        return self._do("space.unmap", begin, count, effect=lambda model, space: model.unmap(space, begin, begin + pages(count)), note=note)

    def discard(self, begin: int, count: int, *, note: str = "") -> Op:
        return self._do("space.discard", begin, count, effect=lambda model, space: model.discard(space, begin, begin + pages(count)), note=note)

    def limits(self, mapped: int = 1 << 20, resident: int = 1 << 20, stack: int = 256, *, note: str = "") -> Op:
        """In pages: in areas, present, of a stack."""
        def set_(model: FaultModel, space: SpaceModel) -> None:
            space.most_mapped, space.most_resident, space.most_stack = mapped, resident, stack

        return self._do("space.limits", mapped, resident, stack, effect=set_, note=note)

    def poke(self, address: int, word: int | None = None) -> Op:
        """Marks the frame that a present page shows, whatever the page's rights."""
        value = self.scenario.random.getrandbits(32) if word is None else word
        return self._do("fault.poke", address & ~3, value, effect=lambda model, space: model.poke(self.number, address, value))

    def fork(self, *, note: str = "") -> Space:
        """A child that shares all private pages; there must be no shared areas."""
        number = self.scenario.next_space()
        op = self._do("space.fork", number, effect=lambda model, space: model.spaces.__setitem__(number, model.fork(space)), note=note)
        return self.scenario.enter_space(Space(self.scenario, number, op))

    def destroy(self, *, note: str = "") -> Op:
        self.scenario.alive.remove(self)
        return self._do("space.destroy", effect=lambda model, space: model.spaces.pop(self.number), note=note)

    def activate(self) -> Op:
        """CR3 points to it from now on."""
        return self._do("space.activate", effect=lambda model, space: None)

    # -- the piece -----------------------------------------------------------------------------------------------------

    def resolve(self, address: int, access: str, who: str = "user", *, stack_pointer: int | None = None, present: bool | None = None, note: str = "") -> Op:
        """One fault. Without a stack pointer, one that lies anywhere; `present` is the truth unless it is given."""
        rng, scenario = self.scenario.random, self.scenario
        pointer = rng.randrange(DATA_BEGIN, STACKS_BEGIN) if stack_pointer is None else stack_pointer
        said = address // PAGE in self.plan.pages if present is None else present
        scenario.plan.resolve(self.number, address, access, who, pointer)
        op = scenario.op("fault.resolve", self.number, address, access, who, int(said), pointer, note=note)

        def check() -> None:
            before = scenario.model.spaces[self.number].memento if scenario.model.is_short else None
            answer = scenario.model.resolve(self.number, address, access, who, pointer)
            scenario.last_faults[self.number, address // PAGE] = op
            if before and scenario.heap_was_short(op, answer):
                scenario.model.spaces[self.number].memento = before
                return
            scenario.check_answer(op, answer, f"a {access} of {address:#010x} by {'user code' if who == 'user' else 'the kernel'}, with ESP {pointer:#010x}")

        scenario.steps.append((op, check))
        return op

    def read(self, address: int, **more: Any) -> Op:
        return self.resolve(address, "read", **more)

    def write(self, address: int, **more: Any) -> Op:
        return self.resolve(address, "write", **more)

    def access(self, address: int, kind: str) -> None:
        """In the active space: the kernel reads or writes a word of user memory for somebody, and the CPU decides whether that is a fault."""
        scenario, word = self.scenario, self.scenario.random.getrandbits(32)
        before = scenario.op("fault.statistics")
        op = scenario.op("copy.read", address) if kind == "read" else scenario.op("copy.write", address, word)
        after = scenario.op("fault.statistics")
        page = address // PAGE

        def happen(model: FaultModel) -> Answer | None:
            shown = model.spaces[self.number].pages.get(page)
            needs_fault = not shown or kind == "write" and not shown.writable
            answer = model.resolve(self.number, address, kind, "kernel", 0) if needs_fault else None
            if kind == "write":
                model.poke(self.number, address, word)
            return answer

        def check() -> None:
            answer = happen(scenario.model)
            scenario.check_access(op, answer, before, after)
            if kind == "read":
                space = scenario.model.spaces[self.number]
                data = scenario.model.contents(scenario.model.frame_of(page, space.pages[page]))
                wanted = int.from_bytes(data[address % PAGE:address % PAGE + 4], "little")
                expect(op.value == wanted, f"the word at {address:#010x} is {wanted:#010x}", f"{op.value:#010x}", operation=op.number)

        scenario.steps.append((after, check))
        happen(scenario.plan)

    def _do(self, verb: str, *arguments: object, effect: Callable[[FaultModel, SpaceModel], object], note: str = "") -> Op:
        """An operation of the kernel's that must succeed."""
        scenario = self.scenario
        op = scenario.op(verb, self.number, *arguments, note=note)

        def check() -> None:
            expect(op.ok, f"the kernel performs {op}", op.says, operation=op.number)
            effect(scenario.model, scenario.model.spaces[self.number])

        scenario.steps.append((op, check))
        effect(scenario.plan, self.plan)
        return op


class FaultsScenario(ReplayedScenario):
    """One boot of a kernel with the demand paging piece under test."""

    reads_tables = False
    memory = 16  # MiB

    def prepare(self) -> None:
        self.steps: list[tuple[Op, Callable[[], None]]] = []
        self.plan, self.model = FaultModel(), FaultModel()
        self.alive: list[Space] = []
        self.last_faults: dict[tuple[int, int], Op] = {}  # by space and page
        self.bound: dict[Any, int] = {}                   # names of frames to their numbers
        self.counter: Any = None                          # of calls of resolve_write(), once they are counted
        self.counts_calls = False
        self.calls_before: int | None = None              # at the first state that counted them
        self._spaces = self._objects = 0
        self._used: list[tuple[int, int]] = []
        self.machine = self.machine_of(16)

    def machine_of(self, mebibytes: int) -> Machine:
        end = mebibytes * MIB - self.random.randrange(64) * PAGE
        return Machine(mebibytes, (MemoryEntry(0, LOW_MEMORY_END), MemoryEntry(MIB, end - MIB)))

    # -- spaces and objects --------------------------------------------------------------------------------------------

    def next_space(self) -> int:
        self._spaces += 1
        return self._spaces - 1

    def enter_space(self, space: Space) -> Space:
        self.alive.append(space)
        return space

    def space(self, *, note: str = "") -> Space:
        number = self.next_space()
        op = self.op("space.create", number, self.random.getrandbits(32), note=note)
        self.steps.append((op, lambda: self.model.spaces.__setitem__(number, SpaceModel())))
        self.plan.spaces[number] = SpaceModel()
        return self.enter_space(Space(self, number, op))

    def file(self, size: int, broken: int | None = None) -> int:
        """A file of so many bytes; one page of it may be unreadable. Its number."""
        number, seed = self._next_object(), self.random.getrandbits(32)
        op = self.op("object.file", number, size, seed, 0xF_FFFF if broken is None else broken)
        return self._object(op, number, lambda: Backing(-(-size // PAGE), size, seed, broken))

    def shared_memory(self, count: int) -> int:
        number = self._next_object()
        return self._object(self.op("object.shared", number, count), number, lambda: Backing(count))

    def _next_object(self) -> int:
        self._objects += 1
        return self._objects - 1

    def _object(self, op: Op, number: int, make: Callable[[], Backing]) -> int:
        self.plan.objects[number] = make()
        self.steps.append((op, lambda: self.model.objects.__setitem__(number, make())))
        return number

    def load(self, object_: int, *indices: int) -> None:
        """These pages of an object are in memory from now on."""
        for index in indices:
            op = self.op("fault.load", object_, index)
            self.plan.load(("object", object_, index))
            self.steps.append((op, lambda index=index: self.model.load(("object", object_, index))))

    def expect_reads(self, object_: int) -> Op:
        """The file was read as often as the faults need."""
        op = self.op("object.reads", object_)

        def check() -> None:
            wanted = self.model.objects[object_].reads
            expect(op.values[0] == wanted, f"{wanted} pages of the file have been read from the disk: those that were asked for", f"{op.values[0]} reads",
                   "page() reads what is not in memory; page_at_hand() never does. Fault-around uses the second.", operation=op.number)

        self.steps.append((op, check))
        return op

    # -- the machine ---------------------------------------------------------------------------------------------------

    def limit(self, frames: int | None) -> Op:
        """So many more frames can be had; None: as many as there are."""
        op = self.op("frames.limit", "none" if frames is None else frames)
        self.plan.allowance = frames
        self.steps.append((op, lambda: setattr(self.model, "allowance", frames)))
        return op

    def take_runs(self) -> Op:
        """No run of 4 MiB is left."""
        op = self.op("fault.take_runs")
        self.plan.runs = False
        self.steps.append((op, lambda: setattr(self.model, "runs", False)))
        return op

    def soil_memory(self) -> Op:
        """Every free frame holds what a freed frame holds, not zeros."""
        return self.op("paging.soil")

    def watch_calls(self) -> None:
        """The states of this test count the calls of copy_on_write::resolve_write()."""
        self.counts_calls = True

    def state(self, name: str) -> None:
        """Stops the machine and compares all spaces with the model: see the top of this file."""
        spaces = list(self.alive)
        statistics = [self.op("space.statistics", space.number) for space in spaces]
        state = State(name)
        checkpoint = self.checkpoint(name, lambda target: self._look(target, state, spaces))
        self.steps.append((checkpoint.op, lambda: check_state(self, state, spaces, statistics, checkpoint.op)))

    def _look(self, target: Any, state: State, spaces: list[Space]) -> None:
        """Reads the stopped machine: called by the judge at the checkpoint."""
        answers = {int(number): int(value, 16) for number, value in re.findall(rb"^=(\d+) ok (0x[0-9a-f]+)", target.serial(), re.MULTILINE)}
        state.read(target, {space.number: answers[space.created.number] for space in spaces if space.created.number in answers}, self.machine.memory_bytes)
        if self.counts_calls:
            self.counter = self.counter or target.count_hits([RESOLVE_WRITE])
            state.calls = self.counter.read()[RESOLVE_WRITE]

    # -- choosing ------------------------------------------------------------------------------------------------------

    def place(self, count: int, low: int = DATA_BEGIN + pages(16), high: int = STACKS_BEGIN - pages(SLOT), *, margin: int = 64, aligned: int = 1) -> int:
        """The begin of so many free pages, a multiple of `aligned` pages, with a margin of free pages on both sides."""
        while True:
            begin = self.random.randrange(low // PAGE // aligned + 1, (high // PAGE - count) // aligned) * pages(aligned)
            end = begin + pages(count)
            if all(end + pages(margin) <= used or used_end + pages(margin) <= begin for used, used_end in self._used):
                self._used.append((begin, end))
                return begin

    def inside(self, page: int) -> int:
        """Any address in the page that begins at `page`."""
        return page + self.random.choice((0, PAGE - 1, self.random.randrange(PAGE)))

    # -- going through the script --------------------------------------------------------------------------------------

    def then(self, check: Callable[[], None]) -> None:
        """A check of the test's own, made in its place among the others."""
        self.steps.append((self.operations[-1], check))

    def _go_through(self) -> None:
        for op, check in self.steps:
            if not op.is_done:
                return
            check()

    def heap_was_short(self, op: Op, answer: Answer) -> bool:
        """Whether a stack that should have grown found no memory for that: how much the heap needs is its own business."""
        *words, frames = op.values
        return answer.grew and tuple(words) == Answer("OutOfMemory").words and frames == 0

    def check_access(self, op: Op, answer: Answer | None, before: Op, after: Op) -> None:
        expect(op.ok, f"{op} is possible", op.says, operation=op.number)
        faults, resolved = (now - then for now, then in zip(after.values[:2], before.values[:2]))
        wanted = int(answer is not None)
        because = f"one fault, {answer}: {answer.why}" if answer else "no fault: the page is present, and the access possible"
        expect((faults, resolved) == (wanted, wanted), f"{op} causes {because}", f"{faults} faults, {resolved} of them resolved",
               "More than one fault means that the page was shown with too few rights, or that too few pages were shown at once.", operation=op.number)

    def check_answer(self, op: Op, answer: Answer, what: str) -> None:
        *words, frames = op.values
        because = f"{what} is {answer}: {answer.why}"
        expect(tuple(words) == answer.words, because, f"{decision_text(words)} ({op})", operation=op.number)
        taken = frames - (1 << 32) if frames >> 31 else frames
        if answer.may_load and taken == 1:
            self.model.load(answer.may_load)
            return
        hint = ("Every frame and every reference that a failure leaves behind must go back: release what you have taken before you return."
                if answer.outcome != "Resolved" else "One frame for a page of its own, one for a page table that is not there yet; none for a page that others have already.")
        expect(taken == answer.frames, f"{because}; {answer.frames} more frames are in use afterwards", f"{taken} more ({op})", hint, operation=op.number)
