"""Processes that change their memory by system calls, followed step by step by a model.

    script = SpaceScript()                        # lines for grader/programs/calls, which makes the calls and prints the results
    script.look("start")                          # a checkpoint
    block = script.map(12, RW)                    # mmap wherever there is room
    script.unmap(block + 4 * PAGE, 2)
    script.look("cut")
    ran = script.run(programs)                    # an operation of the scenario
    scenario.disk = disk(script)
    scenario.boot()
    script.follow(ran)                            # every result, and areas, page tables and maps at every checkpoint

The model (oracle.user_space) starts with what the process looks like at its first checkpoint, and then makes the same calls. What the
kernel says must be what the model says: results, bytes that are read back, and at each checkpoint the list of areas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from emulator.disk import program_disk
from judge import paths
from judge.scenario import EmulatorTrouble, expect, fail
from labs.process_view import Area, ProcessView, disagreements
from labs.programs import Programs, Ran
from oracle.user_space import EEXIST, EINVAL, ENOMEM, MAPPING, PAGE, READ, WRITE, ModelArea, Page, Thing, UserSpace

RW = READ | WRITE
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE = 0x01, 0x02, 0x10, 0x20, 0x10_0000
CHECKPOINT = 1  # DebugCall::Checkpoint
SIGSEGV = 11
ERRORS = {ENOMEM: "-ENOMEM", EEXIST: "-EEXIST", EINVAL: "-EINVAL", 13: "-EACCES", 14: "-EFAULT"}
RIGHTS = {0: "no rights", READ: "read", RW: "read and write"}


def disk(*scripts: SpaceScript, others: Sequence[str] = ()) -> Path:
    """A small disk with `calls`, its scripts, and a program to exec(): it is made anew for each seed, so it holds nothing else."""
    files: dict[str, Path | bytes] = {f"bin/{name}": paths.programs_folder() / name for name in ("calls", "true", *others)}
    return program_disk(files | {script.name: script.text.encode() for script in scripts}, megabytes=4)


@dataclass(frozen=True)
class At:
    """An address that the process learns while it runs."""

    name: str
    offset: int = 0

    def __add__(self, offset: int) -> At:
        return At(self.name, self.offset + offset)

    def __str__(self) -> str:
        return f"{self.name}{self.offset:+d}" if self.offset else self.name


@dataclass
class Following:
    """The state of a replay: one model for each process, and what the names stand for."""

    ran: Ran
    results: dict[tuple[bool, int], str]  # what was printed for a line, by (child, line)
    names: dict[str, int] = field(default_factory=dict)
    parent: UserSpace = field(default_factory=UserSpace)
    child: UserSpace = field(default_factory=UserSpace)
    in_child: bool = False
    caught: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    things: dict[str, int] = field(default_factory=dict)  # the script's names of objects, and their addresses
    done: list[str] = field(default_factory=list)  # the calls so far, in words

    @property
    def space(self) -> UserSpace:
        return self.child if self.in_child else self.parent

    def address(self, at: At | int) -> int:
        return at if isinstance(at, int) else self.names[at.name] + at.offset

    def shown(self, at: At | int) -> str:
        """An address in words, also when the process has not learnt it."""
        if isinstance(at, At) and at.name not in self.names:
            return str(at)
        return f"{self.address(at):#x}"

    def call(self, line: int, what: str, result: int, wanted: int) -> None:
        """A call that returned `result`."""
        self.done.append(f"{'child: ' if self.in_child else ''}{what}")
        expect(result == wanted, f"line {line}, {what}, returns {_number(wanted)}", _number(result),
               "System calls decide with find(), insert(), remove() and protect(): which of them tells the kernel something else?")

    @property
    def last_calls(self) -> str:
        """What may have led here."""
        return f"the last calls: {'; '.join(self.done[-4:])}"

    def result(self, line: int, what: str) -> int:
        """A call's result, negative for an error."""
        text = self.results.get((self.in_child, line))
        if text is None:
            fail(f"the process goes on to {what}", f"it did not come so far: {self.ran.ending}; its last line: {(self.ran.lines or ['none'])[-1]}")
        value = int(text, 16)
        return value - (1 << 32) if value > 0xFFFF_F000 else value


Step = Callable[[Following], None]


class SpaceScript:
    """The calls of one process, and of one child after another."""

    def __init__(self, name: str = "calls.txt") -> None:
        self.name = name
        self.lines: list[str] = []
        self.steps: list[Step] = []
        self.checkpoints: list[str] = []
        self._names = 0
        self.do(f"catch {SIGSEGV}")

    # -- what the process does --------------------------------------------------------------------------------------------

    def do(self, line: str) -> int:
        """Any line; returns its number."""
        self.lines.append(line)
        return len(self.lines)

    def look(self, name: str) -> None:
        """A checkpoint: areas, page tables and maps agree with each other and with the model."""
        self.do(f'text {self._name("mark")} "{name}"')
        self.do(f"Debug {CHECKPOINT} {self._last_name}")
        self.checkpoints.append(name)
        self.steps.append(lambda following: _check_view(following, name))

    def map(self, pages: int, rights: int, *, at: At | int = 0, fixed: bool = False, if_free: bool = False, shared: bool = False) -> At:
        """mmap; without `fixed` or `if_free` the place is only a wish. Returns where it is."""
        asked = fixed or if_free
        name = at.name if asked and isinstance(at, At) else self._name("map")
        flags = MAP_ANONYMOUS | (MAP_SHARED if shared else MAP_PRIVATE) | (MAP_FIXED if fixed else 0) | (MAP_FIXED_NOREPLACE if if_free else 0)
        line = self.do(f"MapMemory {at} {pages * PAGE} {rights} {flags} -1 0")
        if not asked:
            self.do(f"keep {name}")
        page = Page(rights, MAPPING, shared, f"the memory of line {line}" if shared else None)
        how = "MAP_FIXED" if fixed else "MAP_FIXED_NOREPLACE" if if_free else "wished" if at else "anywhere"

        def step(following: Following) -> None:
            what = f"mmap of {pages} pages at {following.shown(at)} ({how}), {RIGHTS[rights]}"
            result, place = following.result(line, what), following.address(at)
            if asked:
                call = following.space.map if fixed else following.space.map_if_free
                following.call(line, what, result, call(place, pages * PAGE, page))
            else:
                following.names[name] = result
                following.done.append(what)
                _check_place(following.space, result, place, pages * PAGE, what)
                following.space.map(result, pages * PAGE, page)

        self.steps.append(step)
        return at if asked and isinstance(at, At) else At(name)

    def unmap(self, at: At, pages: int) -> None:
        self._call(f"UnmapMemory {at} {pages * PAGE}", f"munmap of {pages} pages at", at,
                   lambda following: following.space.unmap(following.address(at), pages * PAGE))

    def protect(self, at: At, pages: int, rights: int) -> None:
        self._call(f"Protect {at} {pages * PAGE} {rights}", f"mprotect of {pages} pages to {RIGHTS[rights]} at", at,
                   lambda following: following.space.protect(following.address(at), pages * PAGE, rights))

    def ask_break(self) -> At:
        """The break as it is now."""
        name = self._name("break")
        line = self.do("Break 0")
        self.do(f"keep {name}")

        def step(following: Following) -> None:
            following.names[name] = following.result(line, "brk(0)")
            following.call(line, "brk(0)", following.names[name], following.space.heap_end)

        self.steps.append(step)
        return At(name)

    def move_break(self, at: At) -> None:
        """Moves the break, to a byte's address."""
        self._call(f"Break {at}", "brk to", at, lambda following: following.space.move_break(following.address(at)))

    def create_shared(self, pages: int) -> str:
        """Shared memory with a number, which has the name that is returned."""
        name = self._name("shared")
        line = self.do(f"CreateShared {pages * PAGE}")
        self.do(f"keep {name}")

        def step(following: Following) -> None:
            expect(following.result(line, "create shared memory") >= 0, "shared memory can be created", f"line {line} of the script failed")

        self.steps.append(step)
        return name

    def attach(self, thing: str, pages: int, rights: int, *, at: At | int = 0) -> At:
        """The whole shared memory, of so many pages."""
        name = self._name("at")
        line = self.do(f"AttachShared {thing} {at} {rights}")
        self.do(f"keep {name}")
        page = Page(rights, MAPPING, True, thing)

        def step(following: Following) -> None:
            what = f"attaching {thing} at {following.shown(at) if at else 'any place'}"
            result = following.names[name] = following.result(line, what)
            if at == 0:
                following.done.append(what)
                _check_place(following.space, result, 0, pages * PAGE, what)
                following.space.map(result, pages * PAGE, page)
            else:
                wanted = following.space.map_if_free(following.address(at), pages * PAGE, page)
                following.call(line, what, result, -EINVAL if wanted == -EEXIST else wanted)

        self.steps.append(step)
        return At(name)

    def detach(self, at: At, pages: int) -> None:
        """The area that begins there, of so many pages."""
        self._call(f"DetachShared {at}", "detaching", at, lambda following: following.space.unmap(following.address(at), pages * PAGE))

    def write(self, at: At, byte: int) -> None:
        """Writes the first byte of a page; where that is not allowed, a signal is caught."""
        self.do(f"store {at} {byte} 1")
        line = self.do("caught")

        def step(following: Following) -> None:
            address = following.address(at)
            allowed = following.space.write(address, byte)
            following.caught[following.in_child] += not allowed
            caught = following.result(line, f"a write to {at}")
            expect(caught == following.caught[following.in_child],
                   f"a write to {address:#010x} {'is allowed' if allowed else 'brings SIGSEGV'}: {_around(following.space, address)}",
                   f"the process has caught {caught} signals so far, not {following.caught[following.in_child]}")

        self.steps.append(step)

    def read(self, at: At) -> None:
        """Reads the first byte of a page, which must be allowed."""
        line = self.do(f"show {at} 1")

        def step(following: Following) -> None:
            address = following.address(at)
            if not following.space.may(address, READ):
                raise EmulatorTrouble(f"line {line} reads {at}, which would end the process")
            byte = following.result(line, f"a read of {at}")
            expect(byte == following.space.read(address), f"the byte at {address:#010x} is {following.space.read(address):#04x}, as it was written",
                   f"it is {byte:#04x}", "What is next to a part that goes or changes stays: attributes, frames and contents.")

        self.steps.append(step)

    @contextmanager
    def child(self) -> Iterator[None]:
        """What is written inside is done by a child, which then ends; the parent waits for it."""
        line = self.do("child")

        def begin(following: Following) -> None:
            expect(following.result(line, "fork") > 0, "fork succeeds", f"it returned {following.result(line, 'fork')}")
            following.child, following.in_child = following.parent.fork(), True
            following.caught[True] = following.caught[False]

        def end(following: Following) -> None:
            following.in_child = False
            expect(following.result(wait, "wait") > 0, "the parent waits for its child", f"wait returned {following.result(wait, 'wait')}")

        self.steps.append(begin)
        yield
        self.do("end")
        wait = self.do("Wait -1 0")
        self.steps.append(end)

    # -- running ----------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def run(self, programs: Programs, note: str = "") -> Ran:
        """An operation of the scenario, whose machine needs disk() with this script."""
        return programs.run("calls", f"/{self.name}", checkpoints=self.checkpoints, note=note)

    def follow(self, ran: Ran) -> Following:
        """Has the model make the same calls, and compares; the process must have ended well."""
        printed = re.findall(r"^(##?)(\d+) (\S+)$", ran.text, re.MULTILINE)
        following = Following(ran, {(mark == "##", int(line)): text for mark, line, text in printed})
        for step in self.steps:
            step(following)
        expect(ran.exit_status == 0, "the process ends by itself", ran.ending, operation=ran.op.number)
        return following

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _name(self, kind: str) -> str:
        self._names += 1
        self._last_name = f"{kind}{self._names}"
        return self._last_name

    def _call(self, line: str, what: str, at: At, wanted: Callable[[Following], int]) -> None:
        """A call about an address, with which its words end."""
        number = self.do(line)

        def step(following: Following) -> None:
            words = f"{what} {following.shown(at)}"
            following.call(number, words, following.result(number, words), wanted(following))

        self.steps.append(step)


def _number(result: int) -> str:
    return ERRORS.get(-result, str(result)) if result < 0 else f"{result:#x}"


def _check_place(space: UserSpace, result: int, wish: int, length: int, what: str) -> None:
    """A mapping that may lie anywhere lies where there is room, and where it was wished if there is room."""
    expect(result > 0, f"{what} succeeds", _number(result))
    expect(space.is_possible(result, length), f"{what} finds a free place with a free page on either side",
           f"{result:#010x}: {_around(space, result)}", "place(): guard_pages stay free below and above.")
    if wish and space.is_possible(wish, length):
        expect(result == wish, f"{what} goes where it was wished, as there is room", f"{result:#010x}", "place(): the hint, if it is possible.")


def _around(space: UserSpace, address: int) -> str:
    """The areas near an address."""
    near = [area for area in space.areas if area.begin - 2 * PAGE <= address < area.end + 2 * PAGE]
    return "there are " + ", ".join(map(str, near)) if near else "there is nothing near"


def start_model(view: ProcessView) -> UserSpace:
    """A model that starts with what a process looks like."""
    space = UserSpace(heap_begin=view.heap_begin, heap_end=view.heap_end)
    for area in view.areas:
        space.map(area.begin, area.end - area.begin, Page(area.protection, area.kind, bool(area.shared), area.object or None, area.first_page))
    space.untouched.clear()  # what the process has done before, nobody has noted
    return space


def _check_view(following: Following, name: str) -> None:
    view = following.ran.view(name)
    wrong = disagreements(view)
    expect(not wrong, f"areas, page tables and maps of process {view.pid} agree at checkpoint {name}",
           f"{'; '.join(wrong[:3])}\n    {following.last_calls}", "The areas are the law: page tables follow what insert(), remove() and protect() tell the kernel.", operation=following.ran.op.number)
    if not following.space.pages:
        following.parent = start_model(view)
        return
    seen, wanted = list(view.areas), following.space.areas
    shown = {area.thing for area in wanted}
    # Who is not shown any more may be gone, and its memory another one's.
    things = following.things = {name: address for name, address in following.things.items() if name in shown}
    for index in range(max(len(seen), len(wanted))):
        one = seen[index] if index < len(seen) else None
        model = wanted[index] if index < len(wanted) else None
        if one is None or model is None or not _is(one, model, things):
            fail(f"at checkpoint {name}, area {index + 1} of {len(wanted)} is {model or 'no more'}",
                 f"it is {one or 'not there'} (of {len(seen)})\n    {following.last_calls}", "Draw the areas before and after each of these calls.", operation=following.ran.op.number)
    expect(view.heap_end == following.space.heap_end, f"at checkpoint {name} the break is {following.space.heap_end:#x}", f"{view.heap_end:#x}")
    _check_presence(following, view, name)


def _check_presence(following: Following, view: ProcessView, name: str) -> None:
    """What was touched is present, and nothing else of what the script has mapped."""
    present = {address // PAGE for run in view.pages for address in range(run.virtual, run.end, PAGE)}
    where = following.space
    for number in sorted(where.touched - present):
        fail(f"at checkpoint {name} the page {number * PAGE:#010x} is present: the process has touched it", f"it is absent\n    {following.last_calls}",
             "remove() and protect() tell the kernel exactly which pages go or change: pages next to them stay.", operation=following.ran.op.number)
    for number in sorted(where.untouched & present):
        fail(f"at checkpoint {name} the page {number * PAGE:#010x} is absent: since it was mapped, the process has not touched it",
             f"it is present\n    {following.last_calls}",
             "What remove() does not tell the kernel stays in the page tables, and shows itself in the next mapping at the same place.",
             operation=following.ran.op.number)


def _is(area: Area, model: ModelArea, things: dict[str, int]) -> bool:
    """Whether an area is the model's. The script knows its objects by names; which is which shows at the first look."""
    thing: Thing = model.thing
    if isinstance(thing, str):
        address = things.setdefault(thing, area.object)
        if address == 0 or sum(address == other for other in things.values()) > 1:
            return False
        thing = address
    return (area.begin, area.end, area.protection, area.kind, bool(area.shared), area.object or None, area.first_page) == \
        (model.begin, model.end, model.protection, model.kind, model.shared, thing, model.first_page)
