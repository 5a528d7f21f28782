"""Address spaces in a running kernel, against a model: random work, and at every checkpoint areas, page tables, maps and statistics agree."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from paging.tables import PAGE
from scripted import Boots, Run, Script, boots
from space_model import PROTECTIONS, File, Seen, Space, compare, frames_of, parse_areas

WINDOWS = (0x1003_0000, 0x3000_0000, 0x1FFF_0000)  # executable arena, data arena, across the line
WINDOW_PAGES = 32
SPACES = 4


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("spaces"))


def text_of(run: Run, operation: int) -> str:
    """What the operation printed before its record."""
    text = run.text()
    end = text.index(f"\n={operation} ")
    begin = text.rindex("\n=", 0, end)
    return "\n".join(line for line in text[begin + 1:end].splitlines()[1:] if line)


class Work:
    """A script that works on some spaces at random, and the model of what each operation must do."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.script = Script()
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
        self.spaces[number] = Space()

    def step(self) -> None:
        number = self.random.choice(list(self.spaces))
        operations = [self.map] * 5 + [self.unmap] * 3 + [self.protect] * 4 + [self.write] * 5 + [self.read] * 2
        operations += [self.discard, self.resolve, self.fork, self.leave]
        self.random.choice(operations)(number, self.spaces[number])

    def range(self) -> tuple[int, int]:
        first = self.random.randrange(WINDOW_PAGES)
        count = self.random.randint(1, min(8, WINDOW_PAGES - first))
        return self.random.choice(WINDOWS) + first * PAGE, count

    def map(self, number: int, space: Space) -> None:
        begin, count = self.range()
        file = self.random.choice([None, None, *self.files])
        shared = self.random.random() < 0.4 if file else False
        protection = self.random.choice([*PROTECTIONS, "rw-", "r--", "rwx", "-w-"])
        free, first = self.random.random() < 0.5, self.random.randrange(8)
        line = (f"space.map {number} {count} {protection} {'shared' if shared else 'private'} {'free' if free else 'fixed'} {begin} "
                f"{file.number if file else 'none'} {first}")
        # Pages behind the end of the object are absent: the eager kernel stops at the first one.
        self.expect(line, space.map(begin, count, protection, shared, free, file, first))

    def unmap(self, number: int, space: Space) -> None:
        begin, count = self.range()
        self.expect(f"space.unmap {number} {begin} {count}", space.unmap(begin, count))

    def protect(self, number: int, space: Space) -> None:
        begin, count = self.range()
        count = min(count, self.random.randint(1, 4))
        protection = self.random.choice([*PROTECTIONS, "rw-", "rwx"])
        self.expect(f"space.protect {number} {begin} {count} {protection}", space.protect(begin, count, protection))

    def discard(self, number: int, space: Space) -> None:
        begin, count = self.range()
        self.expect(f"space.discard {number} {begin} 1", space.discard(begin, 1))

    def resolve(self, number: int, space: Space) -> None:
        begin, _ = self.range()
        self.expect(f"space.resolve {number} {begin + 123}", space.resolve(begin))

    def write(self, number: int, space: Space) -> None:
        begin, _ = self.range()
        word = self.random.randrange(1 << 32)
        self.script.add(f"space.activate {number}")
        self.expect(f"copy.write {begin} {word}", space.write(begin, word))

    def read(self, number: int, space: Space) -> None:
        begin, _ = self.range()
        self.script.add(f"space.activate {number}")
        may = space.may(begin, 0)
        operation = self.script.add(f"copy.read {begin}")
        self.errors[operation] = "" if may else "BadAddress"
        if may:
            self.values[operation] = space.pages[begin].word()

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
        del self.spaces[number]

    def look(self, name: str) -> dict[int, list[int]]:
        views = {number: [self.script.add(f"space.{view} {number}") for view in ("list", "maps", "statistics", "line", "check")]
                 for number in self.spaces}
        self.script.checkpoint(name)
        return views

    def finish(self) -> int:
        self.script.add("space.activate none")
        for number in list(self.spaces):
            self.script.add(f"space.destroy {number}")
        for file in self.files:
            self.script.add(f"object.release {file.number}")
        self.script.add("vmalloc.shrink")
        return self.script.add("paging.in_use")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_spaces_are_what_a_model_of_them_says_after_random_work(boot, seed):
    work = Work(seed)
    snapshots = []
    for checkpoint in range(5):
        for _ in range(120):
            work.step()
        views = work.look(f"after-{checkpoint}")
        snapshots.append((f"after-{checkpoint}", views, dict(work.directories), {n: Space(s.pages) for n, s in work.spaces.items()},
                          [dict(file.written) for file in work.files]))
    released = work.finish()
    run = boot(work.script, megabytes=48)
    for name, views, directories, spaces, written in snapshots:
        run.to_checkpoint(name)
        look_at(run, views, directories, spaces, work.files, written)
    run.to_end()
    records = run.records()
    answers = {operation: records[operation].error for operation in work.errors}
    wrong = {work.script.lines[operation - 1]: (answers[operation], error)
             for operation, error in work.errors.items() if answers[operation] != error}
    assert not wrong, "operation: (answer, expected)"
    assert {operation: run.value(operation) for operation in work.values} == work.values
    assert run.value(released) == run.value(work.in_use), "every frame is back"


def look_at(run: Run, views: dict[int, list[int]], directories: dict[int, int], spaces: dict[int, Space], files: list[File],
            written: list[dict[int, int]]) -> None:
    seen = {}
    for number, (areas, maps, statistics, line, _) in views.items():
        seen[number] = Seen(parse_areas(text_of(run, areas)), text_of(run, maps), run.values(statistics), run.value(line),
                            run.tables(run.value(directories[number])))
    owners = Counter(frame for view in seen.values() for frame, _ in frames_of(view.tables).values())
    shown: dict[tuple[int, int], int] = {}
    for number, space in spaces.items():
        compare(space, seen[number], owners)
        for address, (frame, _) in frames_of(seen[number].tables).items():
            page = space.pages[address]
            if page.own is None:
                assert shown.setdefault((page.object.number, page.index), frame) == frame, "one frame for each page of an object"
                file = files[page.object.number]
                word = written[page.object.number].get(page.index, File(0, 0, file.seed).first_word(page.index))
            else:
                word = page.own
            assert int.from_bytes(run.target.physical(frame * PAGE, 4), "little") == word, f"space {number}, {address:#x}"


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


def test_a_page_that_was_only_read_and_then_unmapped_comes_back_without_being_cleared_again(boot):
    script = Script()
    script.add("space.create 0 1")
    script.add("space.map 0 1 rw- private fixed 0x30000000 none 0")  # keeps the page table
    script.add("space.activate 0")
    counts = []
    for written in (False, True):
        begin = script.add("space.map 0 1 rw- private anywhere 0x30002000 none 0")
        script.add(f"copy.from ${begin} 4096")
        if written:
            script.add(f"copy.write ${begin}+100 7")
        before = script.add("physical.counts")
        script.add(f"space.unmap 0 ${begin} 1")
        counts.append((before, script.add("physical.counts")))
        again = script.add("space.map 0 1 rw- private anywhere 0x30002000 none 0")
        clean = script.add(f"copy.from ${again} 4096")
        script.add(f"space.unmap 0 ${again} 1")
    run = boot(script)
    run.to_end()

    def zeroed(operation: int) -> int:
        values = run.values(operation)
        return values[5] + values[8] + values[11]

    (clean_before, clean_after), (dirty_before, dirty_after) = [(zeroed(a), zeroed(b)) for a, b in counts]
    assert clean_after == clean_before + 1, "its frame is still zero"
    assert dirty_after == dirty_before, "its frame is not"
    assert run.value(clean) == 0


