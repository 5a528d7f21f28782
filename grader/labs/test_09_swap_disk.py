"""The tests of lab 09-swap about the disk: commands, reading ahead, errors; and about frames that cannot be had."""

from __future__ import annotations

from judge.scenario import expect
from labs.swap import SwapScenario, pages


def test_clusters(swap: SwapScenario) -> None:
    """Pages that leave together go to slots in a row, as far as such are free, and are written with one command for kCluster of them."""
    swap.watch_commands()
    space, begin = swap.filled(50)
    one = swap.out(space, begin, 8)
    two = swap.out(space, begin + pages(8), 16)
    swap.unmap(space, begin + pages(9), 2)
    swap.unmap(space, begin + pages(13), 1)
    swap.out(space, begin + pages(24), 26, note="some of the slots are scattered")
    swap.state("out")
    swap.boot()
    for op, commands in ((one, 1), (two, 2)):
        expect(op.values[2] <= commands, f"{8 * commands} pages into an empty area: {commands} commands", f"{op.values[2]} commands", operation=op.number)


def test_read_ahead(swap: SwapScenario) -> None:
    """What must be read comes with its neighbours in the same block of kCluster slots: one command, and the neighbours' pages find copies afterwards."""
    swap.watch_commands()
    swap.watch_books()
    space, begin = swap.filled(40)
    swap.out(space, begin, 40)
    for at in swap.random.sample(range(40), 4):
        swap.read(begin + pages(at))
        swap.state(f"page-{at}")
    swap.read(begin, 40)
    swap.state("all-in")
    swap.boot()


def test_read_ahead_borders(swap: SwapScenario) -> None:
    """Neighbours are read as far as slots in a row have entries and no copy: not what is free, not what has a copy, which stays what it is, not past the end of the area."""
    swap.watch_commands()
    swap.watch_books()
    slots = swap.random.choice((29, 30, 31, 33, 35))
    swap.area(slots)
    parent, begin = swap.filled(slots - 1)
    swap.out(parent, begin, slots - 1)
    child = swap.fork(parent)
    for first in (3, 12, 20):
        swap.unmap(parent, begin + pages(first), 1)
        swap.unmap(child, begin + pages(first), 1)
    swap.activate(child)
    swap.read(begin + pages(swap.random.choice((5, 6, 7))))
    swap.state("one")
    swap.unmap(child, begin + pages(slots - 4), 1)
    swap.activate(parent)
    swap.shrink(1)
    swap.state("a-copy-less")
    swap.write(begin + pages(swap.random.choice((13, 14))) + swap.offset())
    swap.read(begin + pages(slots - 2))
    swap.state("two")
    for at in (*range(3), *range(4, 12), *range(13, 20), *range(21, slots - 1)):
        swap.read(begin + pages(at))
    swap.state("all-in")
    swap.boot()


def test_write_error(swap: SwapScenario) -> None:
    """A page whose slot cannot be written stays in memory as it was; those that were to be written with it go, each by itself. The slot is never used again."""
    swap.watch_books()
    slots = swap.random.randrange(40, 56)
    swap.area(slots)
    broken = swap.random.randrange(1, slots)
    space, begin = swap.filled(slots)
    swap.break_slot(broken)
    swap.out_failing(space, begin, slots - 1, stay=1)
    swap.state("one-stays")
    swap.faults("-")
    swap.then(lambda: swap.model.broken.clear())
    swap.then(lambda: swap.model.area.retired.add(broken))
    swap.write(begin + swap.offset(), slots)
    swap.read(begin, slots)
    swap.out(space, begin, slots, note="the disk works again")
    swap.state("out-again")
    swap.boot()


def test_write_error_own_slot(swap: SwapScenario) -> None:
    """A changed page whose own slot cannot be written has no slot any more, and goes to another one the next time; clean() and store() answer an error, and change nothing else."""
    swap.watch_references()
    space, begin = swap.filled(12)
    swap.out(space, begin, 12)
    at, other = swap.random.sample(range(12), 2)
    swap.write(begin + swap.offset(), 12)
    thing = swap.page()
    swap.faults("write:1+")
    swap.out_failing(space, begin + pages(at), 1, stay=1)
    swap.clean_fails(space, begin + pages(other), retires=True, note="the disk fails")
    swap.store_fails(thing, "DeviceError")
    swap.faults("-")
    swap.state("stayed")
    swap.out(space, begin, 12)
    swap.store(thing, changed=True)
    swap.state("out")
    swap.read(begin, 12)
    swap.load(thing)
    swap.state("in")
    swap.boot()


def test_write_error_once(swap: SwapScenario) -> None:
    """An error that does not come again costs nobody anything: what failed together is written once more, slot by slot."""
    swap.watch_books()
    space, begin = swap.filled(20)
    swap.faults("write:1")
    out = swap.out_failing(space, begin, 13, stay=0)
    swap.faults("write:1")
    swap.out_failing(space, begin + pages(13), 1, stay=0)
    swap.state("out")
    swap.read(begin, 20)
    swap.boot()
    expect(out.values[6] == 1, "one command has failed", f"{out.values[6]} have", operation=out.number)


def test_read_error(swap: SwapScenario) -> None:
    """A slot that cannot be read: Error::DeviceError; the page keeps its entry, no frame is lost, and it can be read when the disk works again."""
    swap.watch_references()
    space, begin = swap.filled(16)
    thing = swap.page()
    swap.out(space, begin, 16)
    swap.store(thing, changed=False)
    before = swap.frames_in_use()
    swap.faults("read:1+")
    swap.then(lambda: swap.model.broken.update(range(swap.slots)))
    for at in swap.random.sample(range(16), 4):
        swap.swap_in(space, begin + pages(at))
    swap.load(thing)
    after = swap.frames_in_use()
    swap.state("nothing-has-changed")
    swap.faults("-")
    swap.then(lambda: swap.model.broken.clear())
    swap.read(begin, 16)
    swap.load(thing)
    swap.state("in")
    swap.boot()
    swap.expect_frames(after, before, "after reads that failed")


def test_read_error_neighbour(swap: SwapScenario) -> None:
    """Where only a neighbour cannot be read, the page itself is; the neighbour keeps its entry, and what it has is not touched."""
    swap.watch_references()
    space, begin = swap.filled(24)
    swap.out(space, begin, 24)
    at = swap.random.randrange(8, 15)
    swap.break_slots_of(space, begin + pages(at))
    swap.swap_in(space, begin + pages(at - 1))
    swap.state("before-it")
    swap.swap_in(space, begin + pages(at + 1))
    swap.state("after-it")
    swap.swap_in(space, begin + pages(at))
    swap.state("itself")
    swap.break_slots_of(space)
    swap.read(begin, 24)
    swap.state("in")
    swap.boot()


def test_no_frames(swap: SwapScenario) -> None:
    """Without a frame: Error::OutOfMemory, and nothing has changed. With one, the page alone; with a few, some of its neighbours. A copy needs none. Going out needs none."""
    swap.watch_references()
    swap.watch_books()
    parent, begin = swap.filled(32)
    child = swap.fork(parent)
    thing = swap.page()
    swap.out(parent, begin, 32)
    swap.store(thing, changed=False)
    swap.swap_in(parent, begin + pages(swap.random.randrange(32)), frames=0)
    swap.load(thing, frames=0)
    swap.state("nothing")
    at = swap.random.randrange(8, 16)
    swap.swap_in(parent, begin + pages(at), frames=1)
    swap.state("one-frame")
    swap.swap_in(child, begin + pages(at), frames=0, note="there is a copy")
    swap.swap_in(parent, begin + pages(at + 10), frames=swap.random.randrange(2, 4))
    swap.state("a-few-frames")
    swap.load(thing, frames=1)
    swap.state("at-last")
    swap.boot()


def test_resident_limit(swap: SwapScenario) -> None:
    """A space that may have no more pages present: Error::LimitReached, and the entry is the page's still; also for one who shares the slot."""
    swap.watch_references()
    swap.watch_counts()
    parent, begin = swap.filled(16)
    child = swap.fork(parent)
    swap.out(parent, begin, 16)
    first, second = swap.random.sample(range(16), 2)
    swap.swap_in(parent, begin + pages(first))
    swap.limit(parent, 1)
    swap.swap_in_refused(parent, begin + pages(second))
    swap.state("refused")
    swap.limit(child, 0)
    swap.swap_in_refused(child, begin + pages(first))
    swap.state("refused-a-copy")
    swap.destroy(child)
    swap.swap_in_refused(parent, begin + pages(second))
    swap.state("the-last-entry")
    swap.limit(parent, 1000)
    swap.read(begin, 16)
    swap.state("in")
    swap.boot()
