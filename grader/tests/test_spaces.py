"""Address spaces in a running kernel, against a model: random work, and at every checkpoint areas, page tables, maps and statistics agree."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from paging.tables import PAGE
from scripted import Boots, Run, Script, boots
from space_model import PROTECTIONS, WRITE, File, Frame, Seen, Space, compare, frames_of, parse_areas

WINDOWS = (0x1003_0000, 0x3000_0000, 0x3000_0000, 0x1FFF_0000)  # executable arena, data arena, across the line
WINDOW_PAGES = 32
SPACES = 6
FRAME_INFO = 16  # bytes: kernel/mm/physical/frame_table.h


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("spaces"))


def text_of(run: Run, operation: int) -> str:
    """What the operation printed before its record."""
    text = run.text()
    end = text.index(f"\n={operation} ")
    begin = text.rindex("\n=", 0, end)
    return "\n".join(line for line in text[begin + 1:end].splitlines()[1:] if line)


@dataclass(frozen=True)
class Snapshot:
    """What the model says at a checkpoint, and which operations show what the kernel says."""

    name: str
    views: dict[int, list[int]]
    directories: dict[int, int]
    spaces: dict[int, Space]
    zeros: Frame


class Work:
    """A script that works on some spaces at random, and the model of what each operation must do."""

    def __init__(self, seed: int, eager: bool) -> None:
        self.random = random.Random(seed)
        self.script = Script()
        self.eager = eager
        self.zeros = Frame(0, kept=True)
        self.errors: dict[int, str] = {}      # by the number of the operation
        self.values: dict[int, int] = {}
        self.spaces: dict[int, Space] = {}
        self.directories: dict[int, int] = {}  # operation that made the space
        self.files = [File(0, 6, seed=0x1111), File(1, 8), File(2, 24, seed=0x5555_0000)]
        self.in_use = self.script.add("paging.in_use")
        self.script.add(f"object.file 0 {6 * PAGE} {0x1111} {1 << 20}")
        self.script.add("object.shared 1 8")
        self.script.add(f"object.file 2 {24 * PAGE} {0x5555_0000} {1 << 20}")
        self.create(0)

    def expect(self, line: str, error: str) -> None:
        self.errors[self.script.add(line)] = error

    def create(self, number: int) -> None:
        self.directories[number] = self.script.add(f"space.create {number} {self.random.randrange(1 << 32)}")
        self.spaces[number] = Space(self.zeros, self.eager)

    def step(self) -> None:
        number = self.random.choice(list(self.spaces))
        operations = [self.map] * 4 + [self.unmap] + [self.protect] * 3 + [self.write] * 12 + [self.read] * 5
        operations += [self.discard, self.resolve, self.fork, self.fork, self.leave]
        self.random.choice(operations)(number, self.spaces[number])

    def range(self) -> tuple[int, int]:
        first = self.random.randrange(WINDOW_PAGES)
        count = self.random.randint(1, min(8, WINDOW_PAGES - first))
        return self.random.choice(WINDOWS) + first * PAGE, count

    def address(self, space: Space) -> int:
        """Of a page, mostly one of the space's."""
        if space.pages and self.random.random() < 0.9:
            writable = [address for address, page in space.pages.items() if page.protection & WRITE]
            return self.random.choice(writable if writable and self.random.random() < 0.7 else list(space.pages))
        return self.range()[0]

    def map(self, number: int, space: Space) -> None:
        begin, count = self.range()
        file = self.random.choice([None, None, *self.files])
        shared = self.random.random() < 0.4 if file else False
        protection = self.random.choice([*PROTECTIONS, "rw-", "rw-", "rw-", "r--", "rwx", "-w-"])
        free, first = self.random.random() < 0.5, self.random.randrange(8)
        line = (f"space.map {number} {count} {protection} {'shared' if shared else 'private'} {'free' if free else 'fixed'} {begin} "
                f"{file.number if file else 'none'} {first}")
        self.expect(line, space.map(begin, count, protection, shared, free, file, first))

    def unmap(self, number: int, space: Space) -> None:
        begin, count = self.range()
        self.expect(f"space.unmap {number} {begin} {count}", space.unmap(begin, count))

    def protect(self, number: int, space: Space) -> None:
        begin, count = self.range()
        count = min(count, self.random.randint(1, 4))
        protection = self.random.choice([*PROTECTIONS, "rw-", "rw-", "rwx"])
        self.expect(f"space.protect {number} {begin} {count} {protection}", space.protect(begin, count, protection))

    def discard(self, number: int, space: Space) -> None:
        begin, count = self.range()
        self.expect(f"space.discard {number} {begin} 1", space.discard(begin, 1))

    def resolve(self, number: int, space: Space) -> None:
        begin = self.address(space)
        self.expect(f"space.resolve {number} {begin + 123}", space.resolve(begin))

    def write(self, number: int, space: Space) -> None:
        begin = self.address(space)
        word = self.random.randrange(1 << 32)
        self.script.add(f"space.activate {number}")
        self.expect(f"copy.write {begin} {word}", space.write(begin, word))

    def read(self, number: int, space: Space) -> None:
        begin = self.address(space)
        self.script.add(f"space.activate {number}")
        operation = self.script.add(f"copy.read {begin}")
        self.errors[operation] = space.read(begin)
        if not self.errors[operation]:
            self.values[operation] = space.pages[begin].frame.word

    def fork(self, number: int, space: Space) -> None:
        child = self.random.randrange(SPACES)
        if child in self.spaces:
            return
        self.directories[child] = self.script.add(f"space.fork {number} {child}")
        self.spaces[child] = space.fork()

    def leave(self, number: int, space: Space) -> None:
        if len(self.spaces) < SPACES:
            return
        self.script.add("space.activate none")
        self.script.add(f"space.destroy {number}")
        self.spaces.pop(number).leave()

    def look(self, name: str) -> Snapshot:
        views = {number: [self.script.add(f"space.{view} {number}") for view in ("list", "maps", "statistics", "line", "check")]
                 for number in self.spaces}
        self.script.checkpoint(name)
        spaces, zeros = copy.deepcopy((self.spaces, self.zeros))
        return Snapshot(name, views, dict(self.directories), spaces, zeros)

    def finish(self) -> int:
        self.script.add("space.activate none")
        for number in list(self.spaces):
            self.script.add(f"space.destroy {number}")
        for file in self.files:
            self.script.add(f"object.release {file.number}")
        self.script.add("vmalloc.shrink")
        return self.script.add("paging.in_use")


@pytest.mark.parametrize("seed, profile", [(1, "grading"), (2, "grading"), (3, "no-memory-debugging"), (4, "no-demand-paging")])
def test_spaces_are_what_a_model_of_them_says_after_random_work(boot, seed, profile):
    work = Work(seed, eager=profile == "no-demand-paging")
    snapshots = []
    for checkpoint in range(5):
        for _ in range(120):
            work.step()
        snapshots.append(work.look(f"after-{checkpoint}"))
    released = work.finish()
    run = boot(work.script, megabytes=48, profile=profile)
    for snapshot in snapshots:
        run.to_checkpoint(snapshot.name)
        look_at(run, snapshot)
    run.to_end()
    records = run.records()
    answers = {operation: records[operation].error for operation in work.errors}
    wrong = {work.script.lines[operation - 1]: (answers[operation], error)
             for operation, error in work.errors.items() if answers[operation] != error}
    assert not wrong, "operation: (answer, expected)"
    assert {operation: run.value(operation) for operation in work.values} == work.values
    assert run.value(released) == run.value(work.in_use), "every frame is back"


def look_at(run: Run, snapshot: Snapshot) -> None:
    seen = {}
    for number, (areas, maps, statistics, line, _) in snapshot.views.items():
        seen[number] = Seen(parse_areas(text_of(run, areas)), text_of(run, maps), run.values(statistics), run.value(line),
                            run.tables(run.value(snapshot.directories[number])))
    places: dict[Frame, int] = {}  # of the model's frames in the machine
    for number, space in snapshot.spaces.items():
        compare(space, seen[number])
        for address, (frame, _) in frames_of(seen[number].tables).items():
            place = places.setdefault(space.pages[address].frame, frame)
            assert place == frame, f"space {number}, {address:#x}: one frame for all who show it"
    assert len(set(places.values())) == len(places), "and one for each"
    counts = references(run, places.values())
    for frame, place in places.items():
        assert int.from_bytes(run.target.physical(place * PAGE, 4), "little") == frame.word, f"frame {place:#x}"
        assert counts[place] == frame.references, f"frame {place:#x}: what the page tables, objects and the kernel hold"


def references(run: Run, frames: Iterable[int]) -> dict[int, int]:
    """What the kernel's frame table says how many owners the frames have."""
    table = run.target.word(run.target.symbol("mm::frame_table::(anonymous namespace)::table"))
    return {frame: run.target.word(table + frame * FRAME_INFO) for frame in frames}


@pytest.mark.parametrize("protection", ["rw-", "r--"])
def test_memory_that_another_space_had_is_zero(boot, protection):
    script = Script()
    script.add("space.create 0 1")
    script.add("space.map 0 40 rw- private fixed 0x30000000 none 0")
    script.add("space.activate 0")
    for page in range(40):
        script.add(f"copy.to {0x3000_0000 + page * PAGE} 4096 {page + 1}")
    script.add("space.activate none")
    script.add("space.destroy 0")
    script.add("space.create 1 1")
    script.add(f"space.map 1 60 {protection} private fixed 0x30000000 none 0")
    script.add("space.activate 1")
    sums = [script.add(f"copy.from {0x3000_0000 + page * PAGE} 4096") for page in range(60)]
    run = boot(script, profile="no-memory-debugging")
    run.to_end()
    assert [run.value(total) for total in sums] == [0] * 60
