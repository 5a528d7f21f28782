"""Pages leave memory and come back, whatever has been done to them in the meantime: real boots, contents looked at from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.swap_disk import SwapDisk, read_slot
from scripted import Boots, boots
from space_script import Expectations

PAGE = 4096
ABSENT, PRESENT, SWAPPED = 0, 1, 2
MULTIPLIER = 0x9E37_79B9
SWAP_KIB = 2048


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("reclaim"))


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
            self._words[self.add(f"copy.read {place(begin, i)}")] = word(salt, i)

    def read_zeros(self, begin: int | str, pages: int) -> None:
        for i in range(pages):
            self._words[self.add(f"copy.read {place(begin, i)}")] = 0

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

    def run(self, boot: Boots, image: Path, *, megabytes: int = 16, options: str = "", kib: int = SWAP_KIB, profile: str = "grading"):
        """Boots, and compares what came with what was expected."""
        self.check()
        SwapDisk(kib=kib).write(image)
        run = boot(self.script, profile=profile, megabytes=megabytes, options=options, swap=image)
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


@pytest.fixture
def image(tmp_path) -> Path:
    return tmp_path / "swap.img"


def two_spaces(pages: Pages, count: int, *, out: bool = False) -> str:
    """A private block that has been written, in space 0 and its child 1; space 0 is active."""
    block = f"${pages.map(count)}"
    pages.add("space.activate 0")
    pages.write(block, count)
    if out:
        pages.out(block, count)
    pages.add("space.fork 0 1")
    return block


def test_private_pages_come_back_and_their_slots_are_free_again(boot, image):
    pages = Pages()
    block = f"${pages.map(12)}"
    pages.add("space.activate 0")
    pages.write(block, 12)
    pages.out(block, 12)
    swapped = pages.are(SWAPPED, block, 12)
    pages.check()
    pages.read(block, 12)
    pages.are(PRESENT, block, 12)
    pages.add("space.activate none")
    pages.add("space.destroy 0")
    free = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    for i, state in enumerate(run.values(swapped)):
        data = read_slot(image, state >> 8)
        assert int.from_bytes(data[4 * (i % 9):][:4], "little") == word(1, i)
    slots, left, *_ = run.values(free)
    assert slots == left == SWAP_KIB // 4 - 1


def test_a_page_that_was_written_again_is_written_out_again(boot, image):
    pages = Pages()
    block = f"${pages.map(8)}"
    pages.add("space.activate 0")
    pages.write(block, 8)
    pages.out(block, 8)
    pages.read(block, 8)
    pages.out(block, 8)  # clean: nothing is written
    pages.read(block, 8)
    pages.write(block, 4, salt=2)
    pages.out(block, 8)
    pages.read(block, 4, salt=2)
    pages.read(block, 4, first=4)
    counts = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    assert run.values(counts)[3:6] == (24, 12, 24)  # out, of these without a write, in


def test_a_clean_page_that_is_written_is_dirty_again(boot, image):
    pages = Pages()
    block = f"${pages.map(4)}"
    pages.add("space.activate 0")
    pages.write(block, 4)
    pages.counts(4, f"reclaim.clean 0 {block} 4")
    pages.check()
    pages.write(block, 4, salt=2)  # the TLB has forgotten that it was dirty
    pages.out(block, 4)
    pages.read(block, 4, salt=2)
    pages.run(boot, image)


def test_what_one_space_wrote_is_not_lost_with_its_entry(boot, image):
    """The dirty bit of a space that has gone, of a page that it has unmapped, of one that it may only read any more."""
    pages = Pages()
    block = f"${pages.map(6)}"
    pages.add("space.activate 0")
    pages.write(block, 6)
    pages.out(block, 6)
    pages.read(block, 6)  # all have slots with equal contents
    pages.write(block, 6, salt=2)
    pages.add("space.fork 0 1")
    pages.add("space.activate 1")
    pages.add(f"space.unmap 0 {block} 2")
    pages.add(f"space.protect 0 {block}+{2 * PAGE} 2 r--")
    pages.add(f"space.protect 0 {block}+{2 * PAGE} 2 rw-")
    pages.add("space.destroy 0")
    pages.check()
    pages.out(block, 6, space=1)
    pages.read(block, 6, salt=2)
    pages.run(boot, image)


def test_what_is_read_only_for_a_while_stays_dirty(boot, image):
    pages = Pages()
    block = f"${pages.map(4)}"
    pages.add("space.activate 0")
    pages.write(block, 4)
    pages.out(block, 4)
    pages.read(block, 4)
    pages.write(block, 4, salt=2)
    pages.add(f"space.protect 0 {block} 4 r--")
    pages.out(block, 4)
    pages.add(f"copy.write {block} 1", "BadAddress")
    pages.read(block, 4, salt=2)
    pages.add(f"space.protect 0 {block} 4 ---")
    pages.out(block, 4)
    pages.add(f"copy.read {block}", "BadAddress")
    pages.are(SWAPPED, block, 4)
    pages.add(f"space.protect 0 {block} 4 rw-")
    pages.read(block, 4, salt=2)
    pages.write(block, 4, salt=3)
    pages.out(block, 4)
    pages.read(block, 4, salt=3)
    pages.run(boot, image)


def test_the_kernels_own_writes_make_a_page_dirty(boot, image):
    pages = Pages()
    block = f"${pages.map(3)}"
    pages.add("space.activate 0")
    pages.write(block, 3)
    pages.out(block, 3)
    pages.read(block, 3)
    pages.add(f"copy.into 0 {block} 8192 5")
    pages.out(block, 3)
    sums = [pages.add(f"copy.from {block}+{i * PAGE} {PAGE}") for i in range(2)]
    pages.read(block, 1, first=2)
    run = pages.run(boot, image)
    for i, operation in enumerate(sums):
        assert run.value(operation) == sum((5 + (i * PAGE + at) * 7) % 256 for at in range(PAGE))


@pytest.mark.parametrize("gone", [0, 1])
def test_forked_pages_are_written_once_and_come_back_shared(boot, image, gone):
    pages = Pages()
    block = two_spaces(pages, 10)
    pages.out(block, 10)
    pages.are(SWAPPED, block, 10, space=1)
    pages.check()
    pages.read(block, 5)
    pages.check()
    pages.add("space.activate 1")
    pages.write(block, 3, salt=2)
    pages.check()
    pages.read(block, 7, first=3)
    pages.add("space.fork 1 2")
    pages.out(block, 10, space=1)
    pages.add(f"space.activate {1 - gone}")
    pages.add(f"space.destroy {gone}")
    pages.check()
    pages.read(block, 3, salt=2 if gone == 0 else 1)
    pages.read(block, 7, first=3)
    pages.add("space.activate 2")
    pages.add(f"space.destroy {1 - gone}")
    pages.read(block, 3, salt=2)
    pages.read(block, 7, first=3)
    pages.add("space.activate none")
    pages.add("space.destroy 2")
    free = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    assert run.values(free)[0] == run.values(free)[1]


def test_a_family_ends_in_any_order(boot, image):
    """Grandparent, parent and child with pages out before, between and after the forks."""
    pages = Pages()
    block = two_spaces(pages, 6, out=True)
    pages.check()
    pages.add("space.activate 1")
    pages.read(block, 3)
    pages.add("space.fork 1 2")
    pages.check()
    pages.add("space.activate 2")
    pages.write(block, 2, salt=2)
    pages.out(block, 6, space=2, left=3)
    pages.add("space.destroy 1")
    pages.check()
    pages.add("space.fork 2 3")
    pages.add("space.activate 3")
    pages.add("space.destroy 2")
    pages.read(block, 2, salt=2)
    pages.read(block, 4, first=2)
    pages.write(block, 6, salt=3)
    pages.add("space.activate 0")
    pages.read(block, 6)
    pages.add("space.destroy 3")
    pages.read(block, 6)
    pages.run(boot, image)


def test_a_fork_that_fails_half_way_leaves_the_slots_as_they_were(boot, image):
    pages = Pages()
    blocks = [f"${pages.map(4, begin=0x3000_0000 + i * 0x80_0000)}" for i in range(4)]  # a page table each
    pages.add("space.activate 0")
    for i, block in enumerate(blocks):
        pages.write(block, 4, salt=i)
        pages.out(block, 2)
    for frames in range(12):
        pages.add(f"heapk.fail_after {frames}")
        pages.script.add(f"space.fork 0 {frames + 1}")
        pages.add("heapk.fail_never")
        pages.check()
    for i, block in enumerate(blocks):
        pages.read(block, 4, salt=i)
    pages.run(boot, image)


def test_slots_go_with_what_replaces_their_pages(boot, image):
    """munmap() of a part, MADV_DONTNEED, MAP_FIXED, a shrinking heap."""
    pages = Pages()
    block = f"${pages.map(16, begin=0x4000_0000)}"
    heap = f"${pages.add('space.place_heap 0 0x24000000')}"
    pages.add(f"space.set_heap_end 0 {heap}+{6 * PAGE}")
    pages.add("space.activate 0")
    pages.write(block, 16)
    pages.write(heap, 6)
    pages.out(block, 16)
    pages.out(heap, 6)
    pages.add(f"space.unmap 0 {block}+{2 * PAGE} 3")
    pages.check()
    pages.are(ABSENT, f"{block}+{2 * PAGE}", 3)
    pages.add(f"space.discard 0 {block}+{6 * PAGE} 2")
    pages.check()
    pages.map(3, begin=0x4000_0000 + 9 * PAGE)
    pages.check()
    pages.add(f"space.set_heap_end 0 {heap}+{2 * PAGE}")
    pages.check()
    pages.add(f"space.set_heap_end 0 {heap}+{6 * PAGE}")
    pages.read_zeros(f"{block}+{6 * PAGE}", 2)
    pages.read_zeros(f"{block}+{9 * PAGE}", 3)
    pages.read_zeros(f"{heap}+{2 * PAGE}", 4)
    pages.read(heap, 2)
    pages.read(block, 2)
    pages.read(block, 4, first=12)
    free = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    slots, left, copies, *_ = run.values(free)
    assert slots - left == copies + 2  # pages 5 and 8, which nobody has looked at


def test_advice_and_questions_about_pages_that_are_out(boot, image):
    pages = Pages()
    block = f"${pages.map(4)}"
    pages.add("space.activate 0")
    pages.write(block, 4)
    pages.out(block, 4)
    pages.counts(0, f"space.resident 0 {block}")
    pages.add(f"space.resolve 0 {block}")
    pages.counts(1, f"space.resident 0 {block}")
    pages.are(SWAPPED, f"{block}+{PAGE}", 3)
    pages.read(block, 4)
    pages.run(boot, image)


def test_pages_of_files_are_dropped_and_read_again(boot, image):
    """A page of a file, a private copy of one, and the neighbours that a fault brings along."""
    pages = Pages()
    pages.add("object.file 1 65536 100 1000")
    block = f"${pages.map(16, begin=0x4000_0000, file='1 0')}"
    pages.add("space.activate 0")
    for i in range(16):
        pages._words[pages.add(f"copy.read {block}+{i * PAGE}")] = 100 + i * PAGE // 4
    pages.write(block, 2, salt=4)
    pages.check()
    pages.out(block, 16)
    pages.are(SWAPPED, block, 2)
    pages.are(ABSENT, f"{block}+{2 * PAGE}", 14)
    pages.check()
    pages._words[pages.add(f"copy.read {block}+{3 * PAGE}")] = 100 + 3 * PAGE // 4  # its block has two pages that are out
    pages.are(SWAPPED, block, 2)
    pages.read(block, 2, salt=4)
    for i in range(2, 16):
        pages._words[pages.add(f"copy.read {block}+{i * PAGE}")] = 100 + i * PAGE // 4
    reads = pages.add("object.reads 1")
    run = pages.run(boot, image)
    assert run.values(reads)[0] == 16 + 14  # each page once, and once more those that were dropped


def test_an_original_that_nobody_shows_can_leave(boot, image):
    """Each page of a private file mapping is written at once: the file's own pages must not stay in memory for ever."""
    pages = Pages()
    pages.add("object.file 1 65536 100 1000")
    block = f"${pages.map(16, begin=0x4000_0000, file='1 0')}"
    pages.add("space.activate 0")
    pages.write(block, 16)
    pages.counts(32, "reclaim.count")
    pages.counts(32, "reclaim.take 32")
    pages.are(SWAPPED, block, 16)
    pages.read(block, 16)
    pages.run(boot, image)


def test_shared_memory_leaves_once_and_comes_back_for_all(boot, image):
    pages = Pages()
    pages.add("object.shared 1 6")
    block = f"${pages.map(6, begin=0x4000_0000, sharing='shared', file='1 0')}"
    other = f"${pages.map(6, begin=0x5000_0000, sharing='shared', file='1 0')}"
    pages.add("space.activate 0")
    pages.write(block, 6)
    pages.read(other, 3)
    pages.add("space.fork 0 1")
    pages.out(block, 6)
    pages.are(ABSENT, block, 6)
    pages.are(ABSENT, other, 6)
    pages.check()
    pages.add("space.activate 1")
    pages.read(other, 3)
    pages.write(block, 2, salt=2)
    pages.out(block, 2, space=1)
    pages.add("space.activate 0")
    pages.read(other, 2, salt=2)
    pages.add(f"space.unmap 0 {block} 6")
    pages.add("space.destroy 1")
    pages.write(other, 1, salt=3)
    pages.add(f"space.unmap 0 {other} 6")  # the dirty bit goes with the page; the object stays
    pages.check()
    again = f"${pages.map(6, begin=0x6000_0000, sharing='shared', file='1 0')}"
    pages.counts(2, "reclaim.take 2")
    pages.read(again, 1, salt=3)
    pages.read(again, 4, first=2)
    pages.add(f"space.unmap 0 {again} 6")
    pages.add("object.release 1")
    free = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    assert run.values(free)[0] == run.values(free)[1]


def test_a_full_space_gives_its_own_pages(boot, image):
    """With a limit of 20 resident pages a space uses 40, and nobody else loses any."""
    pages = Pages()
    pages.add("space.create 2 3")
    theirs = f"${pages.map(8, space=2)}"
    pages.add("space.activate 2")
    pages.write(theirs, 8)
    block = f"${pages.map(40)}"
    pages.add("space.limits 0 10000 20 16")
    pages.add("space.activate 0")
    pages.write(block, 40)
    pages.read(block, 40)
    pages.are(PRESENT, theirs, 8, space=2)
    about = pages.add("space.statistics 0")
    run = pages.run(boot, image)
    assert run.values(about)[1] <= 20


def test_large_pages_are_split_and_leave(boot, image):
    pages = Pages()
    block = f"${pages.map(1024, begin=0x4000_0000)}"
    pages.add("space.activate 0")
    pages.add(f"copy.write {block} 77")
    pages.add(f"copy.write {block}+{1023 * PAGE} 78")
    pages.counts(0, "reclaim.count")
    pages.counts(8, "reclaim.take 8")  # splits it
    pages.check()
    pages.counts(1016, "reclaim.count")
    pages.counts(392, "reclaim.take 392")
    pages._words[pages.add(f"copy.read {block}")] = 77
    pages._words[pages.add(f"copy.read {block}+{1023 * PAGE}")] = 78
    pages._words[pages.add(f"copy.read {block}+{10 * PAGE}")] = 0
    pages.add("space.activate none")
    pages.add("space.destroy 0")
    pages.run(boot, image, kib=4096)


def test_disk_errors_are_their_owners_alone(boot, image):
    pages = Pages()
    block = f"${pages.map(6)}"
    pages.add("space.activate 0")
    pages.write(block, 6)
    pages.add("reclaim.faults write:1+")
    pages.out(block, 6, left=0)
    pages.are(PRESENT, block, 6)
    pages.check()
    pages.add("reclaim.faults")
    pages.out(block, 6)
    pages.add("reclaim.faults read:1+")
    pages.add(f"copy.read {block}", "DeviceError")
    pages.are(SWAPPED, block, 6)
    pages.check()
    pages.add("reclaim.faults")
    pages.read(block, 6)
    pages.run(boot, image)


def test_a_full_swap_area_keeps_pages_where_they_are(boot, image):
    pages = Pages()
    block = f"${pages.map(30)}"
    pages.add("space.activate 0")
    pages.write(block, 30)
    pages.counts(19, "reclaim.take 30")
    pages.check()
    pages.add(f"space.unmap 0 {block} 30")
    pages.run(boot, image, kib=80)


def test_victims_are_written_together_and_one_by_one_under_a_limit(boot, image):
    pages = Pages()
    block = f"${pages.map(40)}"
    pages.add("space.activate 0")
    pages.write(block, 16)
    before = pages.add("swaparea.statistics")
    pages.counts(16, "reclaim.take 16")
    after = pages.add("swaparea.statistics")
    pages.read(block, 16)
    pages.add("reclaim.limit 16")
    pages.write(f"{block}+{16 * PAGE}", 1, salt=2)
    pages.counts(16, "reclaim.count")
    pages.write(f"{block}+{17 * PAGE}", 8, salt=3)
    pages.counts(16, "reclaim.count")
    pages.read(block, 16)
    pages.read(f"{block}+{17 * PAGE}", 8, salt=3)
    run = pages.run(boot, image)
    commands, written = (run.values(after)[i] - run.values(before)[i] for i in (1, 3))
    assert (commands, written) == (2, 16)


@pytest.mark.parametrize("policy", ["fifo", "clock", "aging", "two-lists", "working-set"])
def test_every_policy_takes_pages_and_keeps_what_is_in_them(boot, image, policy):
    """Twice as many pages as may stay, read and written forwards and backwards by a space and its child."""
    pages = Pages()
    pages.add("reclaim.limit 24")
    block = two_spaces(pages, 48)
    pages.add("space.activate 1")
    pages.write(block, 24, salt=2)
    pages.check()
    pages.add("space.activate 0")
    for i in reversed(range(48)):
        pages.read(block, 1, first=i)
    pages.add("space.activate 1")
    for i in reversed(range(48)):
        pages.read(block, 1, salt=2 if i < 24 else 1, first=i)
    pages.check()
    pages.add("space.destroy 0")
    pages.read(block, 24, salt=2)
    pages.run(boot, image, options=f"policy={policy}")
