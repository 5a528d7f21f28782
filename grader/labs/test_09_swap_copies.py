"""The tests of lab 09-swap about copies: slots that pages in memory still have, so that they need not be written again."""

from __future__ import annotations

from judge.scenario import expect
from labs.swap import SwapScenario, pages


def test_clean(swap: SwapScenario) -> None:
    """A page that came back and was only read is not written when it goes again; nor one that was written ahead by clean()."""
    space, begin = swap.filled(24)
    swap.out(space, begin, 20)
    swap.read(begin, 20)
    again = swap.out(space, begin + pages(3), 9)
    swap.state("clean-out")
    swap.write(begin + pages(16) + swap.offset(), 8)
    ahead = swap.random.sample(range(16, 24), 5)
    for at in ahead:
        swap.clean(space, begin + pages(at))
    for at in ahead:
        swap.pick(space, begin + pages(at))
    cleaned = swap.out()
    swap.state("cleaned-out")
    swap.read(begin, 24)
    swap.boot()
    for op in (again, cleaned):
        expect(op.values[4] == 0, "nothing is written", f"{op.values[4]} pages were", operation=op.number)


def test_dirty(swap: SwapScenario) -> None:
    """A page that was changed since it came back, or since it was written ahead, is written again, into the slot that it has. Its neighbours are not."""
    space, begin = swap.filled(20)
    swap.out(space, begin, 20)
    swap.read(begin, 20)
    for at in swap.random.sample(range(20), 7):
        swap.write(begin + pages(at) + swap.offset())
    swap.out(space, begin, 20)
    swap.state("out-again")
    swap.read(begin, 20)
    swap.write(begin + pages(4) + swap.offset(), 5)
    for at in range(4, 9):
        swap.clean(space, begin + pages(at))
    swap.write(begin + pages(5) + swap.offset(), 3)
    swap.out(space, begin, 12)
    swap.state("cleaned-and-changed")
    swap.read(begin, 20)
    swap.boot()


def test_dirty_before(swap: SwapScenario) -> None:
    """A page that was changed through an entry that is gone is dirty all the same: the process that wrote has ended, or has unmapped it."""
    parent, begin = swap.filled(16)
    swap.out(parent, begin, 16)
    swap.write(begin + swap.offset(), 10)
    child = swap.fork(parent)
    swap.unmap(parent, begin, 4)
    swap.out(child, begin, 4, note="the parent wrote, and has unmapped them")
    swap.state("unmapped")
    swap.destroy(parent)
    swap.out(child, begin + pages(4), 12, note="the parent wrote to some, and is gone")
    swap.state("parent-gone")
    swap.activate(child)
    swap.read(begin, 16)
    swap.boot()


def test_kept_slots(swap: SwapScenario) -> None:
    """Where no slot is free, those of copies that nobody has an entry of are taken. The copies stay pages like all others, and are written when they go."""
    slots = swap.random.randrange(30, 40)
    swap.area(slots)
    space, begin = swap.filled(slots - 1)
    swap.out(space, begin, slots - 1)
    swap.read(begin, 12)
    more = swap.map(space, 20)
    swap.write(more + swap.offset(), 20)
    swap.out(space, more, 7, note="twelve slots are copies', and none is free")
    swap.state("taken")
    swap.out(space, begin, 12, note="there is room for five")
    swap.state("full")
    swap.out(space, more + pages(7), 3, note="there is no room")
    swap.read(begin, slots - 1)
    swap.read(more, 7)
    swap.state("all-in")
    swap.boot()


def test_forget(swap: SwapScenario) -> None:
    """When a page that is a slot's copy goes for good, the slot is free: unmapped, destroyed, or copied by the last one who shared it."""
    swap.watch_books()
    parent, begin = swap.filled(16)
    swap.out(parent, begin, 16)
    swap.read(begin, 16)
    swap.unmap(parent, begin + pages(2), 3)
    swap.state("unmapped")
    child = swap.fork(parent)
    swap.unmap(child, begin + pages(5), 3)
    swap.write(begin + pages(9) + swap.offset(), 3)
    swap.state("copied")
    swap.activate(child)
    swap.write(begin + pages(9) + swap.offset(), 3, note="the last owner")
    swap.destroy(parent)
    swap.state("parent-gone")
    swap.destroy(child)
    swap.state("all-gone")
    swap.boot()


def test_write_ahead(swap: SwapScenario) -> None:
    """clean() writes a page that stays: to the slot that it has, or a free one, whose copy it is then. Without a slot it answers an error, and nothing changes."""
    swap.watch_books()
    swap.watch_references()
    slots = swap.random.randrange(24, 34)
    swap.area(slots)
    space, begin = swap.filled(slots + 4)
    swap.clean(space, begin + pages(1))
    swap.clean(space, begin + pages(2))
    swap.state("cleaned")
    swap.write(begin + pages(2) + swap.offset())
    swap.clean(space, begin + pages(2), note="changed since")
    swap.out(space, begin, 4)
    swap.state("out")
    swap.out(space, begin + pages(4), slots - 5)
    swap.clean_fails(space, begin + pages(slots + 1), note="every slot has entries")
    swap.state("full")
    swap.boot()


def test_shrink(swap: SwapScenario) -> None:
    """shrink() gives back the frames of copies that only entries own, and of no others, as many as it is asked for. What they held can be read again."""
    swap.watch_books()
    swap.watch_references()
    parent, begin = swap.filled(32)
    swap.out(parent, begin, 32)
    child = swap.fork(parent)
    swap.read(begin + pages(4), 16, note="the child's entries remain")
    swap.read(begin + pages(24))
    swap.unmap(parent, begin + pages(swap.random.randrange(5, 16)), 3, note="only entries own their copies now")
    swap.state("copies")
    before = swap.frames_in_use()
    some = swap.shrink(2)
    swap.state("two-less")
    rest = swap.shrink(1000)
    after = swap.frames_in_use()
    swap.state("none-left")
    swap.activate(child)
    swap.read(begin, 32)
    swap.boot()
    given = some.value + rest.value
    expect(before.value - after.value == given, f"shrink() has given back {given} frames", f"{before.value - after.value} fewer are in use", operation=rest.number)
