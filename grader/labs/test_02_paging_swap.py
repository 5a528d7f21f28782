"""The test of lab 02-paging about swap entries: what the kernel wrote into page tables for pages that lie in the swap area."""

from __future__ import annotations

from labs.paging import Directory, PagingScenario
from oracle.paging import LARGE_PAGE, PAGE, READ_USER


def test_swap_entries(paging: PagingScenario) -> None:
    """A swap entry is no page, yet not nothing: map() replaces it, unmap() makes it 0, and it keeps its page table alive."""
    paging.watch_frames()
    paging.watch_swap_entries()
    a, b = paging.create(), paging.create()
    paging.activate(a)
    start = paging.user_address(slots=3)
    _pages_beside(paging, a, start)
    _table_of_swap_entries(paging, a, start)
    _ranges(paging, a, start)
    _under_a_large_page(paging, a, start + 2 * LARGE_PAGE)
    for page in (start, start + LARGE_PAGE):
        paging.map(b, page, paging.frames(3), 3)
        paging.swap_out(b, page + PAGE, note="in a directory that CR3 does not point to")
    paging.unmap(b, start, 3)
    paging.unmap(b, start + LARGE_PAGE)
    paging.unmap(b, start + LARGE_PAGE + 2 * PAGE)
    paging.state("in-the-other-directory")
    paging.destroy(b)
    paging.state("destroyed")
    paging.boot()


def _pages_beside(paging: PagingScenario, a: Directory, start: int) -> None:
    """Nothing is mapped where a swap entry is, and its neighbours are as they were."""
    paging.map(a, start, paging.frames(6), 6)
    swapped = (start + PAGE, start + 3 * PAGE)
    for page in swapped:
        paging.swap_out(a, page)
    paging.state("two-of-six")
    for page in range(start, start + 6 * PAGE, PAGE):
        paging.translate(a, page + paging.random.randrange(PAGE))
        paging.read(page)
    paging.protect(a, swapped[0], 1, READ_USER, note="a swap entry is not mapped")
    paging.protect(a, swapped[1], 2, READ_USER, note="nor is the first page of these")
    paging.state("protect-refused")


def _table_of_swap_entries(paging: PagingScenario, a: Directory, start: int) -> None:
    """The pages go first, then a page comes back, then the last swap entry goes."""
    paging.unmap(a, start)
    paging.unmap(a, start + 2 * PAGE)
    paging.unmap(a, start + 4 * PAGE, 1020)
    paging.state("two-swap-entries-alone")
    frame = paging.frames()
    paging.poke(frame, paging.word())
    paging.map(a, start + PAGE, frame, note="over a swap entry")
    paging.read(start + PAGE)
    paging.state("one-page-is-back")
    paging.unmap(a, start + PAGE)
    paging.state("one-swap-entry-alone")
    paging.unmap(a, start + 3 * PAGE, note="the swap entry")
    paging.state("empty")


def _ranges(paging: PagingScenario, a: Directory, start: int) -> None:
    """Ranges over the border of two page tables, with swap entries here and there."""
    base = start + LARGE_PAGE - 8 * PAGE
    paging.map(a, base, paging.frames(16), 16)
    for number in sorted({0, 15, *paging.random.sample(range(1, 15), 7)}):
        paging.swap_out(a, base + number * PAGE)
    paging.state("nine-of-sixteen")
    paging.unmap(a, base + PAGE, 14, note="pages and swap entries")
    paging.state("one-swap-entry-in-each-table")
    for number in sorted(paging.random.sample(range(1, 15), 5)):
        paging.swap_out(a, base + number * PAGE)
    paging.map(a, base, paging.frames(12), 12, note="over swap entries and where nothing is")
    paging.state("mapped-over-some")
    paging.unmap(a, base, 16)
    paging.state("nothing-left")


def _under_a_large_page(paging: PagingScenario, a: Directory, start: int) -> None:
    """A 4 MiB page replaces a page table that holds nothing but swap entries."""
    paging.map(a, start + 7 * PAGE, paging.frames(3), 3)
    for number in (7, 8, 9):
        paging.swap_out(a, start + number * PAGE)
    paging.state("a-table-of-swap-entries")
    paging.map(a, start, paging.large_frames(), 1, large=True)
    paging.state("large-page-instead")
    paging.unmap(a, start, 1024)
