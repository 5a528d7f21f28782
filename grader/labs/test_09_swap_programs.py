"""The tests of lab 09-swap with whole programs, which work on more memory than there is."""

from __future__ import annotations

from labs.swap import SwapScenario
from labs.swap_programs import SwapWork


def key_after(work: SwapWork, page: int, rounds: int) -> int:
    """What swapwork has written to a page last: in each round of a sweep every third page."""
    return work.key + next((r for r in range(rounds, 0, -1) if (page + r) % 3 == 0), 0)


def check_sweep(work: SwapWork, frames: int) -> None:
    assert work.ran is not None
    pid, pages = work.ran.pid, range(work.pages)
    filled, worked, halved = (work.audit(name) for name in ("filled", "worked", "halved"))
    work.uses_the_disk(filled, work.pages - frames)
    work.holds(filled, pid, {page: work.key for page in pages})
    work.uses_the_disk(worked, work.pages - frames)
    work.holds(worked, pid, {page: key_after(work, page, work.more) for page in pages})
    work.holds(halved, pid, {page: key_after(work, page, work.more) for page in pages[work.pages // 2:]})
    work.ended_well()


def test_program_sequential(swap: SwapScenario) -> None:
    """Twice as many pages as frames, one after the other: each is found where its page table says, and comes back as it was."""
    frames = swap.random.randrange(60, 90)
    work = SwapWork(swap, "sweep", 2 * frames, more=2, frames=frames)
    work.run("filled", "worked", "halved")
    swap.boot()
    check_sweep(work, frames)


