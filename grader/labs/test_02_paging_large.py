"""The tests of lab 02-paging about 4 MiB pages: mapping them, and splitting them when a part is to change."""

from __future__ import annotations

from judge.scenario import expect
from labs.paging import PagingScenario
from oracle.paging import LARGE_PAGE, PAGE, READ_KERNEL, READ_USER, WRITE_KERNEL, WRITE_USER
from paging.tables import ACCESSED, DIRTY, describe_entry


def test_large(paging: PagingScenario) -> None:
    """4 MiB pages: one directory entry, no table; mapped over tables, which are given back; unmapped as a whole."""
    paging.watch_frames()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=3)
    frames = paging.large_frames()
    paging.poke(frames, paging.word(), 16)
    paging.poke(frames + 1023, paging.word(), PAGE - 4)
    paging.map(a, start, frames, 1, WRITE_USER, large=True)
    paging.read(start + 16)
    paging.read(start + LARGE_PAGE - 4)
    paging.state("one")
    paging.map(a, start + LARGE_PAGE + 3 * PAGE, paging.far_frames(1500), 1500, WRITE_USER)
    paging.map(a, start + LARGE_PAGE, frames, 2, READ_KERNEL, large=True, note="over two tables of small pages")
    paging.state("over-tables")
    paging.unmap(a, start, 1024)
    paging.state("the-first-is-gone")
    paging.unmap(a, start, 3 * 1024)
    paging.state("all-are-gone")
    paging.map(a, start, paging.frames())
    paging.state("small-again")
    paging.boot()


def test_split_unmap(paging: PagingScenario) -> None:
    """Unmapping a part of a 4 MiB page splits it; every other page keeps frame and rights."""
    paging.watch_frames()
    a = paging.create()
    start = paging.user_address(slots=3)
    frames = paging.large_frames()
    paging.map(a, start, frames, 1, READ_USER, large=True)
    paging.unmap(a, start + paging.random.randrange(1, 1023) * PAGE)
    paging.state("one-page")
    paging.map(a, start, frames, 2, WRITE_KERNEL, large=True)
    paging.unmap(a, start + LARGE_PAGE - PAGE, 2)
    paging.state("last-of-one-first-of-the-next")
    paging.map(a, start, frames, 1, WRITE_USER, large=True)
    paging.map(a, start + LARGE_PAGE, frames, 1, WRITE_USER, large=True)
    paging.unmap(a, start, 1024 + 512)
    paging.state("one-and-a-half")
    paging.boot()


def test_split_map(paging: PagingScenario) -> None:
    """Mapping small pages over a part of a 4 MiB page splits it; every other page keeps frame and rights."""
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=2)
    frames = paging.large_frames()
    number = paging.random.randrange(2, 1000)
    paging.poke(frames + number - 1, paging.word())
    paging.poke(frames + number + 1, paging.word())
    paging.map(a, start, frames, 1, WRITE_USER, large=True)
    page = start + number * PAGE
    other = paging.frames()
    paging.poke(other, paging.word())
    paging.map(a, page, other, 1, READ_KERNEL)
    for address in (page - PAGE, page, page + PAGE):
        paging.read(address)
    paging.state("one-page")
    paging.map(a, start + LARGE_PAGE, frames, 1, READ_KERNEL, large=True)
    paging.map(a, start + LARGE_PAGE - 3 * PAGE, paging.frames(5), 5, WRITE_USER, note="from what was split into the next")
    paging.state("over-a-border")
    paging.boot()


def test_split_protect(paging: PagingScenario) -> None:
    """Changing the rights of a part of a 4 MiB page splits it; changing them all does not need to."""
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=3)
    paging.map(a, start, paging.large_frames(), 1, WRITE_USER, large=True)
    paging.protect(a, start, 1024, READ_USER, note="the whole page")
    paging.state("whole")
    paging.protect(a, start + LARGE_PAGE - PAGE, 1, WRITE_KERNEL, note="its last page")
    paging.protect(a, start, 1, WRITE_USER, note="its first page")
    paging.state("first-and-last")
    paging.map(a, start + LARGE_PAGE, paging.large_frames(), 1, READ_KERNEL, large=True)
    paging.protect(a, start + LARGE_PAGE - 40 * PAGE, 80, READ_USER, note="small pages and part of a large one")
    paging.state("both-sizes")
    paging.boot()


def test_kept_bits(paging: PagingScenario) -> None:
    """protect() and a split keep the accessed and dirty bits: a page that was written stays known as written."""
    a = paging.create()
    paging.activate(a)
    small, large = paging.user_address(), paging.user_address()
    frames = paging.large_frames()
    paging.map(a, small, paging.frames(2), 2)
    paging.map(a, large, frames, 1, large=True)
    paging.write(small, paging.word())
    paging.read(small + PAGE)
    paging.write(large + 99 * PAGE, paging.word())
    before = paging.state("touched")
    paging.protect(a, small, 2, READ_USER)
    paging.protect(a, large + 7 * PAGE, 1, READ_USER, note="splits")
    after = paging.state("protected")

    def check() -> None:
        then, now = before.tables[a.name], after.tables[a.name]
        for page, story in ((small, "was written"), (small + PAGE, "was read")):
            old, new = then.entries(page)[1] or 0, now.entries(page)[1] or 0
            expect((old ^ new) & (ACCESSED | DIRTY) == 0,
                   f"the page at {page:#010x} {story}, and protect() leaves that in its entry",
                   f"the PTE was {describe_entry(old)} and is {describe_entry(new)}",
                   "The CPU sets accessed and dirty, and only it knows: who builds a new entry must carry them over.")
        old = then.entries(large)[0]
        for number in range(1024):
            new = now.entries(large + number * PAGE)[1] or 0
            expect((old ^ new) & (ACCESSED | DIRTY) == 0,
                   "after a split each page has the accessed and dirty bits of the 4 MiB page, which was written",
                   f"the PDE was {describe_entry(old, large=True)}, "
                   f"the PTE of {large + number * PAGE:#010x} is {describe_entry(new)}",
                   "Nobody knows which of the 1024 pages was written: it must count for all.")

    paging.then(check)
    paging.boot()
