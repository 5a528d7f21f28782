"""Scripts about pages that leave memory and come back, and what every word and every page must be then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emulator.swap_disk import SwapDisk
from scripted import Boots, Run
from space_script import Expectations

PAGE = 4096
ABSENT, PRESENT, SWAPPED = 0, 1, 2
MULTIPLIER = 0x9E37_79B9
SWAP_KIB = 2048


class Pages(Expectations):
    """A script about pages that leave: every word that is read is known."""

    def __init__(self) -> None:
        super().__init__()
        self._words: dict[int, int] = {}
        self._states: dict[int, list[int]] = {}
        self._counts: dict[int, int] = {}
        self.add("space.create 0 1")

    def write(self, begin: int | str, pages: int, salt: int = 1) -> None:
        """A word of its own into each page of the active space."""
        for i in range(pages):
            self.add(f"copy.write {place(begin, i)} {word(salt, i)}")

    def read(self, begin: int | str, pages: int, salt: int = 1, first: int = 0) -> None:
        """The words that write() has written, of all pages or from one on."""
        for i in range(first, first + pages):
            self.read_word(place(begin, i), word(salt, i))

    def read_zeros(self, begin: int | str, pages: int) -> None:
        for i in range(pages):
            self.read_word(place(begin, i), 0)

    def read_word(self, address: str, expected: int) -> None:
        self._words[self.add(f"copy.read {address}")] = expected

    def out(self, begin: int | str, pages: int, *, space: int = 0, left: int | None = None) -> None:
        """All pages of the range that are present leave."""
        self._counts[self.add(f"reclaim.out {space} {begin} {pages}")] = pages if left is None else left

    def are(self, state: int, begin: int | str, pages: int, *, space: int = 0) -> int:
        operation = self.add(f"reclaim.states {space} {begin} {pages}")
        self._states[operation] = [state] * pages
        return operation

    def counts(self, expected: int, line: str) -> None:
        self._counts[self.add(line)] = expected

    def check(self) -> None:
        """The kernel compares everything with everything."""
        self.add("reclaim.check")

    def run(self, boot: Boots, image: Path, *, megabytes: int = 16, options: str = "", kib: int = SWAP_KIB, profile: str = "grading",
            look: Callable[[Run], None] = lambda run: None) -> Run:
        """Boots, and compares what came with what was expected. `look` goes to the script's checkpoints."""
        self.check()
        SwapDisk(kib=kib).write(image)
        run = boot(self.script, profile=profile, megabytes=megabytes, options=options, swap=image)
        look(run)
        run.to_end()
        self.checked(run)
        lines = self.script.lines
        wrong = {f"{op}: {lines[op - 1]}": hex(run.value(op)) for op, value in self._words.items() if run.value(op) != value}
        assert not wrong, f"words that are not what was written: {wrong}"
        wrong = {f"{op}: {lines[op - 1]}": run.values(op) for op, states in self._states.items() if [value & 0xFF for value in run.values(op)] != states}
        assert not wrong, f"states of pages: {wrong}"
        wrong = {f"{op}: {lines[op - 1]}": run.value(op) for op, count in self._counts.items() if run.value(op) != count}
        assert not wrong, f"counts: {wrong}"
        return run


def place(begin: int | str, page: int) -> str:
    """Where the word of a page is. A begin is a number, $7, or $7+8192."""
    base, _, offset = str(begin).partition("+")
    at = int(offset or 0) + page * PAGE + 4 * (page % 9)
    return f"{base}+{at}" if base.startswith("$") else str(int(base) + at)


def word(salt: int, page: int) -> int:
    return (salt * 1000 + page + 1) * MULTIPLIER % 2**32


def two_spaces(pages: Pages, count: int, *, out: bool = False) -> str:
    """A private block that has been written, in space 0 and its child 1; space 0 is active."""
    block = f"${pages.map(count)}"
    pages.add("space.activate 0")
    pages.write(block, count)
    if out:
        pages.out(block, count)
    pages.add("space.fork 0 1")
    return block
