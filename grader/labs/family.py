"""Families of processes that live one common script, and a model of the memory that they share.

    family = Family(cow)                          # member 0, which makes all others
    block = family.map(0, 12)                     # 12 private pages for member 0, at a place of the host's choice
    family.write(0, block, 12)
    child = family.fork(0)
    family.write(child, block + PAGE, 1)
    look = family.look(child)                     # the machine stops: everybody's page tables and reference counts are read
    family.run()                                  # boots, then goes through all of it once more beside the model

Every step belongs to one member, and all happen in the order in which the test writes them (grader/programs/kin.cpp). The model knows
which pages show the same frame, what lies in each, and which may be written; it follows from the contract of copy_on_write.h alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.disk import program_disk
from judge import paths
from judge.scenario import Checkpoint, Failure, Scenario, expect, fail
from labs.family_view import FamilyView, read_family
from labs.programs import Programs, Ran
from oracle.shared_pages import PAGE, RW, Block, Frame, Space, Thing

ACTIONS = ("nothing", "fork", "write", "read", "call", "look", "exit", "wait", "handle", "descend", "ascend", "starve", "last-write", "become", "ration", "plenty")
SILENT = ("last-write", "become")  # steps that print nothing
CALLS = {"Read": 11, "Open": 13, "Seek": 15, "MapMemory": 21, "UnmapMemory": 22, "Protect": 23, "Advise": 24, "GetLimit": 30, "SetLimit": 31}
RLIMIT_NOFILE, MADV_DONTNEED = 7, 4
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS = 0x01, 0x02, 0x10, 0x20
NO_FILE = 0xFFFF_FFFF
ENOMEM, EFAULT = 12, 14
SIGKILL = 9
FIRST_FILE = 3
MAX_STEPS, MAX_MEMBERS = 1200, 128  # kin.cpp
_STEP = struct.Struct("<8I")
_ARENA = (0x3000_0000 >> 22, 0xB000_0000 >> 22)  # where blocks lie: no program's own memory is there
_WORD = 0xFFFF_FFFF


@dataclass
class Being:
    """A member of the family."""

    number: int
    space: Space
    parent: int | None = None
    alive: bool = True
    files: list[bytes] = field(default_factory=list)
    fork_step: int | None = None  # whose result is its process number


@dataclass
class Step:
    who: int
    action: str
    words: tuple[int, ...]
    note: str
    wanted: tuple[int, ...] | None = (0,)  # results that are right; None: any


@dataclass(frozen=True)
class Seen:
    """A look: what the model says at that moment."""

    name: str
    step: int
    spaces: dict[int, Space]  # of who lives
    family: Family = field(repr=False, compare=False)

    @property
    def view(self) -> FamilyView:
        return self.family.checkpoints[self.name].probe

    def process(self, member: int) -> Any:
        """What the machine had of a member."""
        return self.view.members[self.family.pids[member]]


class Family:
    """Writes the script, and keeps the model of what it does."""

    def __init__(self, scenario: Scenario, files: Mapping[str, bytes] | None = None, *, name: str = "kin.bin", counts: bool = False,
                 rights: bool = False) -> None:
        """`files` lie on the disk; `name` is that of the script's own, where several families live in one machine.

        Each look compares which pages show which frames, and what lies in them. With `counts` references as well, with `rights` also who
        may write: for the tests that are about them, so that one mistake does not cost every test."""
        self.watches_counts, self.watches_rights = counts, rights
        self.scenario, self.random, self.script_name = scenario, scenario.random, name
        self.files = dict(files or {})
        self.members = [Being(0, Space())]
        self.steps: list[Step] = []
        self._things: dict[str, Thing] = {}  # files, by name
        self.looks: dict[int, Seen] = {}  # by step
        self.checkpoints: dict[str, Checkpoint] = {}
        self.pids: dict[int, int] = {}
        self.order: list[str] = []  # the checkpoints, as they come
        self.titles: dict[str, str] = {}
        self._slots = self.random.sample(range(*_ARENA, 2), (_ARENA[1] - _ARENA[0]) // 2)  # of 8 MiB each
        self.turn = self.place(1)
        self.limit = self.random.randrange(8, 16)

    @property
    def alive(self) -> list[int]:
        return [being.number for being in self.members if being.alive]

    # -- places ----------------------------------------------------------------------------------------------------------

    def place(self, pages: int, *, crossing: bool = False) -> int:
        """Addresses that nobody has: in 4 MiB of their own, or over the border of two."""
        slot = self._slots.pop()
        offset = 1024 - self.random.randrange(1, pages) if crossing else self.random.randrange(1024 - pages)
        return (slot << 22) + offset * PAGE

    # -- memory ----------------------------------------------------------------------------------------------------------

    def map(self, who: int, pages: int, rights: int = RW, *, shared: bool = False, file: str | None = None, crossing: bool = False) -> int:
        """Private zeros, memory that later children share, or a file's pages; returns the begin."""
        begin = self.place(pages, crossing=crossing)
        flags = (MAP_SHARED if shared else MAP_PRIVATE) | MAP_FIXED | (0 if file else MAP_ANONYMOUS)
        number = self.open(who, file) if file else NO_FILE
        self.call(who, "MapMemory", begin, pages * PAGE, rights, flags, number, note=f"maps {pages} {'shared' if shared else 'private'} pages", wanted=begin)
        thing = self._things.setdefault(file, Thing(self.files[file])) if file else Thing() if shared else None
        self.members[who].space.blocks.append(Block(begin, pages, rights, thing, shared))
        return begin

    def unmap(self, who: int, address: int, pages: int) -> None:
        self.call(who, "UnmapMemory", address, pages * PAGE, note=f"unmaps {pages} pages at {address:#x}")
        self.members[who].space.unmap(address, pages)

    def protect(self, who: int, address: int, pages: int, rights: int) -> None:
        self.call(who, "Protect", address, pages * PAGE, rights, note=f"protects {pages} pages at {address:#x}: {'rw' if rights == RW else 'r-'}")
        self.members[who].space.protect(address, pages, rights)

    def discard(self, who: int, address: int, pages: int) -> None:
        self.call(who, "Advise", address, pages * PAGE, MADV_DONTNEED, note=f"gives {pages} pages at {address:#x} back")
        self.members[who].space.discard(address, pages)

    def write(self, who: int, address: int, pages: int = 1) -> None:
        """A word of its own into each page, at the same place in all of them."""
        value = self.random.getrandbits(31)
        self._step(who, "write", address, pages, value, note=f"writes to {pages} pages from {address:#x}")
        for page in range(pages):
            self.members[who].space.write(address + page * PAGE, struct.pack("<I", value + page & _WORD))

    def read(self, who: int, address: int, pages: int = 1) -> None:
        """The words there, compared with the model's."""
        folded = 0
        for page in range(pages):
            word, = struct.unpack("<I", self.members[who].space.read(address + page * PAGE, 4))
            folded = (folded << 5 & _WORD | folded >> 27) ^ word
        self._step(who, "read", address, pages, note=f"reads {pages} words from {address:#x}, a page apart", wanted=(folded,))

    # -- the kernel writes for it -----------------------------------------------------------------------------------------

    def open(self, who: int, name: str) -> int:
        """Opens a file; its name lies in a page of the member's."""
        being = self.members[who]
        text = f"/{name}".encode() + bytes(4)
        page = self.map(who, 1)
        for offset in range(0, len(text) - 3, 4):
            value, = struct.unpack_from("<I", text, offset)
            self._step(who, "write", page + offset, 1, value, note="writes a file's name")
            being.space.write(page + offset, struct.pack("<I", value))
        number = FIRST_FILE + len(being.files)
        self.call(who, "Open", page, 0, note=f"opens /{name}", wanted=number)
        being.files.append(self.files[name])
        return number

    def read_file(self, who: int, number: int, address: int, length: int) -> None:
        """read() from somewhere in an open file, to any address."""
        contents = self.members[who].files[number - FIRST_FILE]
        offset = self.random.randrange(len(contents) - length)
        self.call(who, "Seek", number, offset, 0, note="moves in a file", wanted=offset)
        self.call(who, "Read", number, address, length, note=f"reads {length} bytes of a file to {address:#x}", wanted=length)
        self.members[who].space.write(address, contents[offset:offset + length])

    def ask_limit(self, who: int, address: int) -> None:
        """getrlimit(): one word, written by the kernel."""
        self.call(who, "GetLimit", RLIMIT_NOFILE, address, note=f"getrlimit() to {address:#x}")
        self.members[who].space.write(address, struct.pack("<I", self.limit))

    def call(self, who: int, name: str, *words: int, note: str, wanted: int | tuple[int, ...] | None = 0) -> None:
        """A system call; `wanted` are its results that are right, errors negative."""
        wants = None if wanted is None else tuple(value & _WORD for value in (wanted if isinstance(wanted, tuple) else (wanted,)))
        self._step(who, "call", CALLS[name], *words, note=note, wanted=wants)

    # -- lives -----------------------------------------------------------------------------------------------------------

    def fork(self, who: int) -> int:
        """Returns the child's number."""
        parent = self.members[who]
        child = Being(len(self.members), parent.space.fork(), who, files=list(parent.files), fork_step=len(self.steps))
        self.members.append(child)
        if child.number >= MAX_MEMBERS:
            raise ValueError("more members than kin.cpp has room for")
        self._step(who, "fork", child.number, note=f"makes member {child.number}", wanted=None)
        return child.number

    def exit(self, who: int, status: int = 0) -> None:
        self._step(who, "exit", status, note=f"ends with status {status}")
        self._ended(who)

    def wait(self, who: int, child: int, status: int, into: int = 0) -> None:
        """Waits for a child that ends with that wait status; the kernel writes it to the address `into`."""
        self._step(who, "wait", child, into, note=f"waits for member {child}" + (f", status to {into:#x}" if into else ""), wanted=(status,))
        if into:
            self.members[who].space.write(into, struct.pack("<I", status))

    def end(self, who: int, status: int = 0, into: int = 0) -> None:
        """A child ends, and its parent sees it."""
        self.exit(who, status)
        parent = self.members[who].parent
        if parent is not None and self.members[parent].alive:
            self.wait(parent, who, status << 8, into)

    def become(self, who: int) -> None:
        """exec(): the member is gone, and a newcomer stops once and ends."""
        self._step(who, "become", note="becomes another program")
        self.order.append("newcomer")
        self._ended(who)
        self.wait(self.members[who].parent, who, 3 << 8)

    def handle(self, who: int, address: int) -> None:
        """A signal to itself; the handler writes a word."""
        value = self.random.getrandbits(31)
        self._step(who, "handle", address, value, note=f"handles a signal, and writes to {address:#x}")
        self.members[who].space.write(address, struct.pack("<I", value))

    def descend(self, who: int, levels: int) -> None:
        """Goes on so many pages deeper in its stack, with numbers of its own in each."""
        self._step(who, "descend", levels, self.random.getrandbits(31), note=f"goes {levels} pages down its stack")

    def ascend(self, who: int) -> None:
        self._step(who, "ascend", note="comes back up its stack, and finds what it has left there")

    def starve(self, who: int, address: int, pages: int) -> None:
        """fork() without memory, with a frame, two frames, until it succeeds."""
        self._step(who, "starve", address, pages, note="forks with fewer frames than that takes")
        self.members[who].space.may_be_read_only()

    def write_without_memory(self, who: int, address: int, *, dies: bool) -> None:
        """A write when no frame is to be had. Who needs one for it dies, and the parent sees it."""
        value = self.random.getrandbits(31)
        self._step(who, "last-write", address, value, note=f"writes to {address:#x} when there is no memory")
        if not dies:
            self.members[who].space.write(address, struct.pack("<I", value))
            return
        self._ended(who)
        parent = self.members[who].parent
        self.wait(parent, who, SIGKILL)
        self._step(parent, "plenty", note="(memory is there again)")

    def ask_without_memory(self, who: int, address: int) -> None:
        """getrlimit() to a page that would have to be copied, with no frame for it: an error."""
        self._step(who, "ration", 0, note="(no memory is to be had)")
        self.call(who, "GetLimit", RLIMIT_NOFILE, address, note=f"getrlimit() to {address:#x} when there is no memory", wanted=(-EFAULT, -ENOMEM))
        self._step(who, "plenty", note="(memory is there again)")

    def settle(self) -> None:
        """Everybody who lives does something, so that their stacks and variables are their own."""
        for who in self.alive:
            self._step(who, "nothing", note="does nothing")

    def look(self, who: int, note: str = "") -> Seen:
        """Stops the machine. The member's own process is the active one; `note` says, for `view`, what has happened."""
        name = f"look-{len(self.looks)}"
        seen = Seen(name, len(self.steps), {being.number: being.space for being in self.members if being.alive}, self)
        seen = Seen(name, seen.step, Space.copies(seen.spaces), self)
        self._step(who, "look", len(self.looks), note="stops the machine")
        self.looks[seen.step] = seen
        self.order.append(name)
        self.titles[name] = f"{name} {note}".strip()
        return seen

    # -- the run ---------------------------------------------------------------------------------------------------------

    def prepare(self, programs: Programs) -> Ran:
        """The operation that lets the family live, until member 0 has ended; members who still live end by themselves."""
        if self.members[0].alive:
            self.end_all()
        if len(self.steps) > MAX_STEPS:
            raise ValueError(f"{len(self.steps)} steps are more than kin.cpp has room for")
        before = len(self.scenario.checkpoints)
        ran = programs.run("kin", f"/{self.script_name}", self.turn)
        for name in self.order:
            self.checkpoints[name] = self._checkpoint(name, ran)
        assert len(self.scenario.checkpoints) == before + len(self.order)
        return ran

    def run(self) -> Ran:
        """Boots, and compares with the model."""
        programs = Programs(self.scenario)
        ran = self.prepare(programs)
        self.scenario.disk = self.disk(self)
        try:
            self.scenario.boot()
        except Failure:
            if ran.op.is_done:  # where the family got stuck says more than that it did not come to the end
                self.check(ran)
            raise
        self.check(ran)
        return ran

    @staticmethod
    def disk(*families: Family) -> Path:
        """A small one: it is made anew for each seed."""
        files: dict[str, Path | bytes] = {"bin/kin": paths.programs_folder() / "kin"}
        for family in families:
            files |= {family.script_name: family.script} | family.files
        return program_disk(files, megabytes=4)

    def end_all(self) -> None:
        """Whoever lives ends; a parent after its children."""
        for being in reversed(self.members):
            if being.alive:
                self.end(being.number)

    @property
    def script(self) -> bytes:
        return b"".join(_STEP.pack(step.who, ACTIONS.index(step.action), *step.words, *[0] * (6 - len(step.words))) for step in self.steps)

    def check(self, ran: Ran, *later: Ran) -> None:
        """Every step's result, and every look, in the order in which they came. `later` are operations that let those go on who outlive
        member 0."""
        expect(ran.op.ok, "the program starts", ran.op.says, operation=ran.op.number)
        results = dict(_results([line for one in (ran, *later) for line in one.lines]))
        self.pids = {0: ran.pid}
        for number, step in enumerate(self.steps):
            if step.action == "fork":
                self.pids[step.words[0]] = results.get(number, 0)
            if number in self.looks:
                self._check_look(self.looks[number], number, ran)
            if step.action not in SILENT:
                self._check_step(number, step, results.get(number), ran)
        expect(ran.exit_status == 0, "member 0 ends well", f"{ran.ending} ({self.story(len(self.steps))})", operation=ran.op.number)

    def name(self, member: int) -> str:
        pid = self.pids.get(member)
        return f"member {member}" + (f" (process {pid})" if pid else "")

    def story(self, number: int) -> str:
        """What led to a step."""
        done = [f"member {step.who} {step.note}" for step in self.steps[:number + 1] if step.action not in ("look", "nothing")]
        return "the last steps: " + "; ".join(done[-5:])

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _step(self, who: int, action: str, *words: int, note: str, wanted: tuple[int, ...] | None = (0,)) -> None:
        if not self.members[who].alive:
            raise ValueError(f"member {who} has ended")
        self.steps.append(Step(who, action, words, note, wanted))

    def _ended(self, who: int) -> None:
        self.members[who].alive = False
        self.members[who].space.clear()

    def _checkpoint(self, name: str, ran: Ran) -> Checkpoint:
        ranges = sorted({(block.begin, block.end) for seen in self.looks.values() for space in seen.spaces.values() for block in space.blocks})
        checkpoint = Checkpoint(self.titles.get(name, name), ran.op, lambda target: read_family(target, self.scenario.machine.memory_bytes, ranges), False)
        checkpoint.word = name
        self.scenario.checkpoints.append(checkpoint)
        return checkpoint

    def _check_step(self, number: int, step: Step, result: int | None, ran: Ran) -> None:
        if result is None:
            fail(f"member {step.who} {step.note}, and goes on", f"it did not come so far; member 0: {ran.ending} ({self.story(number)})",
                 "A write fault that is not resolved, or contents that changed under a process, end the story.", operation=ran.op.number)
        if step.action == "fork":
            expect(0 < result < 1 << 16, f"member {step.who} {step.note}", f"fork() returned {_number(result)}", operation=ran.op.number)
        elif step.wanted is not None:
            expect(result in step.wanted, f"member {step.who} {step.note}: {' or '.join(map(_number, step.wanted))}",
                   f"{_number(result)} ({self.story(number)})", operation=ran.op.number)

    def _check_look(self, seen: Seen, number: int, ran: Ran) -> None:
        if self.checkpoints[seen.name].probe is None:
            fail("the members go on to the next look", f"they did not come so far; member 0: {ran.ending} ({self.story(number)})",
                 "A write fault that is not resolved, or contents that changed under a process, end the story.", operation=ran.op.number)
        view = seen.view
        where = f" ({self.story(number)})"
        for sentence in view.wrong_counts() if self.watches_counts else ():
            fail("every frame has one reference for each page that shows it, and one of its object", sentence + where,
                 "Count: share() adds one reference a page, a copy gives one back, and so does every page that goes.", operation=ran.op.number)
        for sentence in view.wrong_rights() if self.watches_rights else ():
            fail("a private page may be written only while its frame has one reference", sentence + where,
                 "share() takes the right to write away in both; resolve_write() gives it back to who is alone.", operation=ran.op.number)
        for member in seen.spaces:
            expect(self.pids[member] in view.members, f"{self.name(member)} lives", f"it has no memory any more{where}", operation=ran.op.number)
        for expected, found in self._differences(seen, view):
            fail(expected, found + where, "Draw who shows which frame: `faultline view` does, before and after each step.", operation=ran.op.number)

    def _differences(self, seen: Seen, view: FamilyView) -> Iterator[tuple[str, str]]:
        """Pages that are not as the model has them: expected, and seen."""
        real: dict[Frame, int] = {}  # which frame of the machine a frame of the model is
        shows: dict[int, Frame] = {}
        for member, space in seen.spaces.items():
            pages = view.members[self.pids[member]].pages
            for block, address in space.addresses():
                page, wanted = pages.get(address), space.pages.get(address)
                who = f"page {address:#010x} of {self.name(member)}"
                if page is None:
                    if wanted is not None and not block.shared:
                        yield f"the {who} is present", "it is not"
                    continue
                frame = wanted.frame if wanted else block.thing.frame(address - block.begin) if block.thing else None
                if frame is None:
                    yield f"the {who} is absent: nobody has looked at it", f"it shows frame {page.frame:#x}"
                    continue
                other = real.setdefault(frame, page.frame)
                if other != page.frame:
                    yield f"the {who} shows the same frame as {view.in_words(other)}", f"it shows another one, {page.frame:#x}"
                if shows.setdefault(page.frame, frame) is not frame:
                    yield f"the {who} has a frame of its own", f"frame {page.frame:#x} lies under {view.in_words(page.frame)}"
                if frame.is_zero != (page.frame == view.zero_frame):
                    yield f"the {who} shows {'the zero frame' if frame.is_zero else 'another frame than the zero frame'}", f"it shows frame {page.frame:#x}"
                if self.watches_rights and wanted and wanted.writable is not None and not block.shared and page.writable != wanted.writable:
                    yield (f"the {who} {'may be written' if wanted.writable else 'is read-only'}", f"it is {page.rights}; references of its frame: {view.references.get(page.frame)}")
                if view.memory[page.frame] != bytes(frame.data):
                    offset = next(i for i, (a, b) in enumerate(zip(view.memory[page.frame], frame.data)) if a != b)
                    yield (f"at {address + offset:#010x} {self.name(member)} finds {_word(frame.data, offset)}", f"frame {page.frame:#x}, which it shows there, has {_word(view.memory[page.frame], offset)}")


def _word(data: bytes | bytearray, offset: int) -> str:
    return f"{int.from_bytes(data[offset & ~3:(offset & ~3) + 4], 'little'):#010x}"


def _results(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    for line in lines:
        with suppress(ValueError):
            step, result = line.split()
            yield int(step, 16), int(result, 16)


def _number(value: int) -> str:
    return f"-{-value & _WORD}" if value > 0xFFFF_F000 else f"{value:#x}"
