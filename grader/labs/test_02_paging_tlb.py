"""The tests of lab 02-paging about what the CPU remembers: nothing stale after a change, and nothing forgotten without need."""

from __future__ import annotations

from labs.paging import POOL_FRAME, PagingScenario
from oracle.paging import (FULL_FLUSH_PAGES, LARGE_PAGE, PAGE, READ_GLOBAL, READ_KERNEL, READ_USER, SHARED_BEGIN, WRITE_GLOBAL,
                           WRITE_KERNEL, WRITE_USER)


def test_tlb_unmap(paging: PagingScenario) -> None:
    """After unmap() the CPU remembers nothing of the pages: one, several, and more than one INVLPG each would be worth."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=2) + LARGE_PAGE - 10 * PAGE
    paging.map(a, start, paging.frames(64), 64)
    touched = [start + number * PAGE for number in range(64)]
    for page in touched:
        paging.read(page)
    paging.unmap(a, start + 5 * PAGE)
    paging.read(start + 5 * PAGE)
    paging.state("one")
    paging.unmap(a, start + 7 * PAGE, 6)
    paging.read(start + 11 * PAGE)
    paging.state("six-over-two-tables")
    for page in touched[20:]:
        paging.read(page)
    paging.unmap(a, start + 20 * PAGE, 44)
    for page in touched[20::5]:
        paging.read(page)
    paging.state("forty-four")
    paging.boot()


def test_tlb_protect(paging: PagingScenario) -> None:
    """After rights are taken away, the CPU does not remember a page as writable or as the user's."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address()
    paging.map(a, start, paging.frames(50), 50)
    for number in range(50):
        paging.write(start + number * PAGE, paging.word())
    paging.protect(a, start, 1, READ_USER)
    paging.state("read-only")
    paging.protect(a, start + PAGE, 1, WRITE_KERNEL)
    paging.state("supervisor")
    paging.protect(a, start + 5 * PAGE, 40, READ_KERNEL)
    paging.state("forty")
    paging.map(a, start + 2 * PAGE, POOL_FRAME, 2, READ_USER)
    paging.state("mapped-again-read-only")
    paging.boot()


def test_tlb_remap(paging: PagingScenario) -> None:
    """After a page is mapped to another frame, the CPU reads the new one: one page, and many."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address()
    old, new = paging.frames(48), paging.frames(48)
    for number in range(0, 48, 3):
        paging.poke(old + number, paging.word())
        paging.poke(new + number, paging.word())
    paging.map(a, start, old, 48)
    for number in range(0, 48, 3):
        paging.read(start + number * PAGE)
    paging.map(a, start + 3 * PAGE, new + 3)
    paging.read(start + 3 * PAGE)
    paging.state("one")
    paging.map(a, start, new, 48)
    for number in range(0, 48, 3):
        paging.read(start + number * PAGE)
    paging.state("many")
    paging.boot()


def test_tlb_large(paging: PagingScenario) -> None:
    """The same for 4 MiB pages: the CPU forgets all of them when they are replaced, split or unmapped."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address()
    first, second = paging.large_frames(), paging.large_frames()
    places = sorted(paging.random.sample(range(1, 1023), 6))
    for number in places:
        paging.poke(first + number, paging.word())
        paging.poke(second + number, paging.word())

    def touch() -> None:
        for number in places:
            paging.read(start + number * PAGE)

    paging.map(a, start, first, 1, large=True)
    touch()
    paging.map(a, start, second, 1, large=True, note="large over large")
    touch()
    paging.state("replaced")
    paging.unmap(a, start + places[2] * PAGE, note="splits")
    touch()
    paging.protect(a, start + places[3] * PAGE, 1, READ_KERNEL)
    touch()
    paging.state("split")
    paging.map(a, start, first, 1, large=True, note="large over a table of small pages")
    touch()
    paging.state("large-again")
    paging.protect(a, start, 1024, READ_KERNEL)
    paging.state("read-only")
    paging.unmap(a, start, 1024)
    touch()
    paging.state("gone")
    paging.boot()


def test_tlb_global(paging: PagingScenario) -> None:
    """Global pages outlive a reload of CR3, so a change of them must be forgotten explicitly, few or many."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = SHARED_BEGIN + paging.random.randrange(3, 60) * LARGE_PAGE
    old, new = paging.frames(60), paging.frames(60)
    for number in range(0, 60, 4):
        paging.poke(old + number, paging.word())
        paging.poke(new + number, paging.word())

    def touch() -> None:
        for number in range(0, 60, 4):
            paging.read(start + number * PAGE)

    paging.map(paging.kernel, start, old, 60, WRITE_GLOBAL)
    touch()
    paging.map(paging.kernel, start + 4 * PAGE, new + 4, 1, WRITE_GLOBAL)
    touch()
    paging.unmap(paging.kernel, start + 8 * PAGE)
    touch()
    paging.state("one")
    paging.map(paging.kernel, start, new, 60, WRITE_GLOBAL)
    touch()
    for number in range(0, 60, 4):
        paging.write(start + number * PAGE, paging.word())
    paging.state("many-replaced")
    paging.protect(paging.kernel, start, 60, READ_GLOBAL)
    paging.state("many-read-only")
    paging.activate(paging.kernel)
    touch()
    paging.unmap(paging.kernel, start, 60)
    touch()
    paging.state("many-unmapped")
    paging.boot()


def test_tlb_exact(paging: PagingScenario) -> None:
    """A change of up to 32 pages flushes nothing but these pages: hundreds of later accesses would pay for it."""
    paging.watch_tlb()
    a, b = paging.create(), paging.create()
    paging.activate(a)
    start = paging.user_address(slots=2) + LARGE_PAGE - 16 * PAGE
    shared = SHARED_BEGIN + paging.random.randrange(3, 60) * LARGE_PAGE
    before = paging.state("before")
    for count in (1, 2, FULL_FLUSH_PAGES):
        for directory, page, up, down in ((a, start, WRITE_USER, READ_USER), (b, start, WRITE_USER, READ_USER),
                                          (paging.kernel, shared, WRITE_GLOBAL, READ_GLOBAL)):
            paging.map(directory, page, paging.frames(count), count, up)
            paging.protect(directory, page, count, down)
            paging.map(directory, page, paging.frames(count), count, up, note="replaces")
            paging.unmap(directory, page, count)
    small = paging.state("small-pages")
    paging.no_full_flush(before, small)
    large = paging.user_address()
    paging.map(a, large, paging.large_frames(), 1, large=True)
    before_splits = paging.state("before-the-splits")
    paging.protect(a, large + 5 * PAGE, 1, READ_USER, note="splits a 4 MiB page")
    paging.unmap(a, large + 9 * PAGE, 2)
    paging.no_full_flush(before_splits, paging.state("after-the-splits"))
    paging.boot()
