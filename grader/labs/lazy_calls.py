"""Processes that touch their memory by a script, followed page by page: which pages must be present, what each shows, and how many
page faults that took.

    script = LazyScript()
    block = script.zeros(40)                      # private memory that nobody has touched
    script.look("untouched")                      # a checkpoint: no page of it is present
    script.read(block, 3 * PAGE + 7)              # the process reads a byte
    script.write(block, 5 * PAGE, 0x55)
    script.look("touched")                        # page 3 shows the frame of zeros, page 5 one of its own; the others are absent
    ran = script.run(programs)
    scenario.disk = lazy_disk(script)
    scenario.boot()
    script.follow(ran)                            # compares all of it: page tables, bytes, counters

The lines are for grader/programs/calls. The pages are read out of physical memory while the machine stands still.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.disk import program_disk
from judge import paths
from judge.scenario import Op, Scenario, expect, fail
from labs.process_view import FaultCounts, ProcessView, disagreements
from labs.programs import Look, Programs, Ran
from paging.tables import PAGE

READ, RW = 1, 3
MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS = 0x01, 0x02, 0x20
CHECKPOINT, SIGSEGV = 1, 11
NEIGHBOURHOOD = 8  # demand.h
LARGE = 1024  # pages

# What a page shows.
ZEROS, OWN, OBJECT, BIG = "the frame of zeros, read-only", "a frame of its own", "the file's own frame, read-only", "part of a large page"


def lazy_disk(*scripts: LazyScript, files: Iterable[File] = (), others: Sequence[str] = ()) -> Path:
    """A small disk with `calls`, scripts, and files of data: it is made anew for each seed."""
    contents: dict[str, Path | bytes] = {f"bin/{name}": paths.programs_folder() / name for name in ("calls", *others)}
    contents |= {script.name: script.text.encode() for script in scripts}
    contents |= {file.name: file.data for file in files}
    return program_disk(contents, megabytes=4)


@dataclass
class File:
    """A file that processes map."""

    name: str
    data: bytes
    at_hand: set[int] = field(default_factory=set)  # pages that the kernel has in memory while somebody maps the file

    @property
    def pages(self) -> int:
        return -(-len(self.data) // PAGE)

    def page(self, index: int) -> bytes:
        return self.data[index * PAGE:(index + 1) * PAGE].ljust(PAGE, b"\0")


def new_file(scenario: Scenario, pages: int, name: str = "data.bin") -> File:
    """A file of random bytes whose last page is not full."""
    return File(name, scenario.random.randbytes(pages * PAGE - scenario.random.randrange(1, PAGE)))


@dataclass
class Block:
    """A piece of a process's memory, and what has become of its pages."""

    name: str
    pages: int
    file: File | None = None
    first_page: int = 0
    shared: bool = False
    begin: int = 0  # known once the process has run
    state: dict[int, str] = field(default_factory=dict)  # what a present page shows, by its number in the block
    written: dict[int, dict[int, int]] = field(default_factory=dict)  # bytes by page and offset

    def contents(self, page: int) -> bytes:
        base = bytearray(self.file.page(self.first_page + page) if self.file else bytes(PAGE))
        for offset, byte in self.written.get(page, {}).items():
            base[offset] = byte
        return bytes(base)

    def touch(self, page: int, write: bool) -> None:
        """What an access makes of a page."""
        before = self.state.get(page)
        if write:
            if before in (None, ZEROS, OBJECT):
                self.state[page] = self._first_write(page) if before is None else OWN
        elif before is None:
            self.state[page] = OBJECT if self.file else ZEROS
            self._bring_neighbours(page)
        if before is None and self.file:
            self.file.at_hand.add(self.first_page + page)

    def _first_write(self, page: int) -> str:
        """4 MiB at once, where so much lies in the block and is untouched."""
        first = (self.begin // PAGE + page) // LARGE * LARGE - self.begin // PAGE
        around = range(first, first + LARGE)
        if self.file or first < 0 or first + LARGE > self.pages or any(other in self.state for other in around):
            return OWN
        self.state.update(dict.fromkeys(around, BIG))
        return BIG

    def _bring_neighbours(self, page: int) -> None:
        """A read of a private file page shows what the file has in memory of the same eight."""
        if self.file is None or self.shared:
            return
        first = (self.begin // PAGE + page) // NEIGHBOURHOOD * NEIGHBOURHOOD - self.begin // PAGE
        for other in range(max(first, 0), min(first + NEIGHBOURHOOD, self.pages)):
            if other not in self.state and self.first_page + other in self.file.at_hand:
                self.state[other] = OBJECT


@dataclass
class Following:
    """A replay of one process."""

    ran: Ran
    results: dict[int, str]
    looks: dict[str, Look]
    caught: int = 0
    last: tuple[str, ProcessView, int] | None = None  # the latest look, and the signals until then

    def result(self, line: int, what: str) -> int:
        text = self.results.get(line)
        if text is None:
            fail(f"the process goes on to {what}",
                 f"it did not come so far: {self.ran.ending}; it printed last: {(self.ran.lines or ['nothing'])[-1]}",
                 operation=self.ran.op.number)
        value = int(text, 16)
        return value - (1 << 32) if value > 0xFFFF_F000 else value


Step = Callable[[Following], None]


class LazyScript:
    """What one process does, and what must come of it."""

    def __init__(self, name: str = "calls.txt") -> None:
        self.name = name
        self.lines: list[str] = []
        self.steps: list[Step] = []
        self.blocks: list[Block] = []
        self.checkpoints: list[str] = []
        self.counts_signals = True
        self._names = 0
        self.do(f"catch {SIGSEGV}")

    def do(self, line: str) -> int:
        """Any line; returns its number."""
        self.lines.append(line)
        return len(self.lines)

    # -- memory -------------------------------------------------------------------------------------------------------

    def zeros(self, pages: int, rights: int = RW) -> Block:
        """mmap of private memory without a file."""
        return self._mapped(Block(self._name("zeros"), pages), f"{rights} {MAP_PRIVATE | MAP_ANONYMOUS} -1 0")

    def heap(self, pages: int) -> Block:
        """brk: so many pages more."""
        block = Block(self._name("heap"), pages)
        line = self.do("Break 0")
        self.do(f"keep {block.name}")
        grown = self.do(f"Break {block.name}+{pages * PAGE}")
        self._begins(block, line, "brk")

        def step(following: Following) -> None:
            end = following.result(grown, "brk")
            expect(end == block.begin + pages * PAGE, f"brk grows the heap by {pages} pages", f"{end:#x}")

        self.steps.append(step)
        return block

    def open(self, file: File) -> str:
        """Opens a file; the name is that of its number in the script."""
        name = self._name("file")
        self.do(f'text {name}path "/{file.name}"')
        line = self.do(f"Open {name}path 0")
        self.do(f"keep {name}")

        def step(following: Following) -> None:
            number = following.result(line, "open")
            expect(number >= 0, f"/{file.name} can be opened", str(number))

        self.steps.append(step)
        return name

    def map_file(self, file: File, number: str, pages: int, *, first_page: int = 0, rights: int = READ, shared: bool = False) -> Block:
        """mmap of a file."""
        block = Block(self._name("view"), pages, file, first_page, shared)
        return self._mapped(block, f"{rights} {MAP_SHARED if shared else MAP_PRIVATE} {number} {first_page * PAGE}")

    # -- touches ------------------------------------------------------------------------------------------------------

    def read(self, block: Block, offset: int) -> None:
        """The process reads one byte of a block."""
        line = self.do(f"show {block.name}+{offset} 1")

        def step(following: Following) -> None:
            page = offset // PAGE
            byte, wanted = following.result(line, f"a read of {block.name}, page {page}"), block.contents(page)[offset % PAGE]
            expect(byte == wanted, f"the byte at {block.begin + offset:#010x} is {wanted:#04x}, as {_origin(block, page)}",
                   f"{byte:#04x}")
            block.touch(page, write=False)

        self.steps.append(step)

    def write(self, block: Block, offset: int, byte: int) -> None:
        """The process writes one byte."""
        self.do(f"store {block.name}+{offset} {byte} 1")

        def step(_: Following) -> None:
            block.touch(offset // PAGE, write=True)
            block.written.setdefault(offset // PAGE, {})[offset % PAGE] = byte

        self.steps.append(step)

    def read_into(self, block: Block, offset: int, number: str, file: File, asked: int, most: int | None = None) -> None:
        """read(): the kernel writes the beginning of a file into a block; `most` bytes of it, where a bad page begins."""
        self.do(f"Seek {number} 0 0")
        line = self.do(f"Read {number} {block.name}+{offset} {asked}")
        length = asked if most is None else most

        def step(following: Following) -> None:
            got = following.result(line, "read()")
            expect(got == length, f"read() of {asked} bytes into memory that nobody has touched returns {length}", str(got),
                   "The kernel copies to user memory like user code would: its fault is resolved by the same rules.")
            for index in range(length):
                page = (offset + index) // PAGE
                block.written.setdefault(page, {})[(offset + index) % PAGE] = file.data[index]
            for page in range(offset // PAGE, (offset + length - 1) // PAGE + 1):
                block.touch(page, write=True)

        self.steps.append(step)

    def returns(self, line: str, wanted: int) -> None:
        """A system call that returns this."""
        number = self.do(line)

        def step(following: Following) -> None:
            result = following.result(number, line)
            expect(result == wanted, f"line {number} of the script, {line}, returns {wanted}", str(result),
                   "A Signal for an access of the kernel's ends the copy, not the process: the answer is the same as for user code.")

        self.steps.append(step)

    def refused(self, line: str, what: str) -> None:
        """A `store` that must bring SIGSEGV, and is passed over."""
        self.do(line)
        asked = self.do("caught")

        def step(following: Following) -> None:
            following.caught += 1
            caught = following.result(asked, what)
            expect(caught == following.caught, f"{what} brings SIGSEGV",
                   f"{caught} signals were caught so far, not {following.caught}")

        self.steps.append(step)

    def look(self, name: str) -> None:
        """A checkpoint."""
        self.do(f'text {self._name("mark")} "{name}"')
        self.do(f"Debug {CHECKPOINT} mark{self._names}")
        self.checkpoints.append(name)
        self.steps.append(lambda following: self.check(following, name))

    # -- running ------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def run(self, programs: Programs) -> Ran:
        return programs.run("calls", f"/{self.name}", checkpoints=self.checkpoints, reader=read_pages)

    def start(self, programs: Programs) -> tuple[Op, Ran]:
        """The process does all of it, and sleeps."""
        self.do("Sleep 1000000")
        process = programs.start("calls", f"/{self.name}")
        return process, programs.let_run(8, checkpoints=self.checkpoints, reader=read_pages)

    def follow(self, ran: Ran) -> Following:
        """Replays the script beside the model; the process must have ended well."""
        following = Following(ran, {int(line): text for line, text in re.findall(r"^#(\d+) (\S+)$", ran.text, re.MULTILINE)}, ran.looks)
        for step in self.steps:
            step(following)
        if ran.head:
            expect(ran.exit_status == 0, "the process ends by itself", ran.ending, operation=ran.op.number)
        return following

    def check(self, following: Following, name: str) -> None:
        """All of what a look has brought."""
        look = following.looks[name]
        view, op = look.view, following.ran.op.number
        wrong = disagreements(view)
        expect(not wrong, f"areas, page tables and maps of process {view.pid} agree at checkpoint {name}", "; ".join(wrong[:3]),
               operation=op)
        for block in self.blocks:
            if block.begin:
                check_block(block, view, look.found, name, op)
        if following.last:
            _check_counts(following, view, name, self.counts_signals)
        following.last = (name, view, following.caught)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"

    def _mapped(self, block: Block, rest: str) -> Block:
        line = self.do(f"MapMemory 0 {block.pages * PAGE} {rest}")
        self.do(f"keep {block.name}")
        self._begins(block, line, "mmap")
        return block

    def _begins(self, block: Block, line: int, what: str) -> None:
        def step(following: Following) -> None:
            block.begin = following.result(line, what)
            expect(block.begin > 0, f"{what} succeeds", str(block.begin))

        self.blocks.append(block)
        self.steps.append(step)


def follow(scenario: Scenario, *scripts: LazyScript, files: tuple[File, ...] = ()) -> list[Ran]:
    """Runs each script as a process, one after the other, and compares."""
    programs = Programs(scenario)
    scenario.disk = lazy_disk(*scripts, files=files)
    ran = [script.run(programs) for script in scripts]
    scenario.boot()
    for script, one in zip(scripts, ran):
        script.follow(one)
    return ran


def read_pages(target: Any, view: ProcessView) -> dict[int, bytes]:
    """The present small pages of a process, by address."""
    pages = [page for area in view.areas for page in view.pages_of(area) if not page.large]
    data = target.physical_ranges([(page.frame * PAGE, PAGE) for page in pages]) if pages else []
    return {page.virtual: content for page, content in zip(pages, data)}


def check_block(block: Block, view: ProcessView, memory: dict[int, bytes], name: str, operation: int) -> None:
    """Each page of a block is as the model says: present or not, what it shows, its rights, its bytes."""
    end = block.begin + block.pages * PAGE
    seen = {page.virtual: page for area in view.areas if area.begin < end and block.begin < area.end for page in view.pages_of(area)}
    for index in range(block.pages):
        address, wanted = block.begin + index * PAGE, block.state.get(index)
        page = seen.get(address)
        where = f"at checkpoint {name} page {index} of {block.name} ({address:#010x})"
        if wanted is None or page is None:
            expect(page is None and wanted is None,
                   f"{where} {f'shows {wanted}' if wanted else 'is absent: nobody has touched it'}",
                   f"it is present, {page.rights}, frame {page.frame:#x}" if page else "it is absent", operation=operation)
            continue
        shows = BIG if page.large else ZEROS if page.frame == view.zero_frame else wanted if wanted in (OWN, OBJECT) else "another frame"
        expect(shows == wanted and page.writable == (wanted in (OWN, BIG)), f"{where} shows {wanted}",
               f"frame {page.frame:#x}, {page.rights}", operation=operation)
        if wanted != BIG and memory[address] != block.contents(index):
            offset = next(i for i, (a, b) in enumerate(zip(memory[address], block.contents(index))) if a != b)
            fail(f"{where} holds {_origin(block, index)}: {block.contents(index)[offset]:#04x} at offset {offset:#x}",
                 f"{memory[address][offset]:#04x}", operation=operation)


def _origin(block: Block, page: int) -> str:
    source = f"page {block.first_page + page} of /{block.file.name}" if block.file else "zeros"
    return f"{source} with what was written" if block.written.get(page) else source


def _check_counts(following: Following, view: ProcessView, name: str, counts_signals: bool) -> None:
    """Each fault is resolved once: as many as page tables have changed."""
    before_name, before, caught = following.last or ("", view, 0)
    faults: FaultCounts = view.faults.since(before.faults)
    between = f"between checkpoints {before_name} and {name}"
    operation = following.ran.op.number
    expect(faults.outcomes["Retry"] == 0, f"{between} no access faults twice",
           f"{faults.outcomes['Retry']} faults were answered with Retry: {faults}",
           "Retry is for a page that is there already; what this fault has just shown is Resolved.", operation=operation)
    expect(not counts_signals or faults.outcomes["Signal"] == following.caught - caught,
           f"{between} {following.caught - caught} accesses are wrong", str(faults), operation=operation)
    new = view.resident - before.resident
    once = new - faults.neighbours - (LARGE - 1) * faults.hows["LargePage"] + faults.hows["Copied"] + faults.hows["LastOwner"]
    expect(faults.outcomes["Resolved"] == once,
           f"{between} each page that appeared took one fault, and none when it came as a neighbour: " f"{new} new pages, so {once} faults",
           str(faults), "A Decision says what was done: `how`, and in `neighbours` how many pages came besides.",
           operation=operation)


def frames_of(block: Block, view: ProcessView) -> dict[int, int]:
    """The frame under each present page of a block, by its number in the block."""
    found = {}
    for index in block.state:
        walk = view.table_set.translate(block.begin + index * PAGE)
        if walk is not None:
            found[index] = walk.physical // PAGE
    return found
