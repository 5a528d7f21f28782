"""The tests of lab 09-swap about pages on their way out and back, and about the slots that they go to."""

from __future__ import annotations

from labs.swap import SwapScenario, pages


def test_out_and_in(swap: SwapScenario) -> None:
    """A page that goes out has a swap entry, and its contents lie in the slot that the entry names; when it is used again, it is what it was."""
    space, begin = swap.filled(12)
    first, second, third = swap.random.sample(range(12), 3)
    swap.out(space, begin + pages(first))
    swap.state("one-out")
    swap.out(space, begin, 12, note="all others")
    swap.state("all-out")
    swap.read(begin + pages(first))
    swap.write(begin + pages(second) + swap.offset())
    swap.swap_in(space, begin + pages(third))
    swap.state("three-in")
    swap.read(begin, 12)
    swap.write(begin + swap.offset(), 12)
    swap.state("all-in")
    swap.boot()


def test_many(swap: SwapScenario) -> None:
    """swap_out() takes any number of frames, from anywhere and in any order; each page comes back from its own slot."""
    spaces = [swap.filled(swap.random.randrange(20, 34)) for _ in range(3)]
    for round_ in range(3):
        for space, begin in swap.random.sample(spaces, 3):
            for at in swap.random.sample(range(20), 13):
                swap.pick(space, begin + pages(at))
        swap.out()
        swap.state(f"out-{round_}")
        for space, begin in spaces:
            swap.activate(space)
            for at in swap.random.sample(range(20), 8):
                swap.read(begin + pages(at)) if at % 2 else swap.write(begin + pages(at) + swap.offset())
    swap.state("at-last")
    swap.boot()


def test_bad_slots(swap: SwapScenario) -> None:
    """No page ever goes to slot 0, to a slot that the header calls bad, or past the end: when the area is full, it is full."""
    slots = swap.random.randrange(60, 90)
    swap.area(slots, tuple(sorted(swap.random.sample(range(2, slots - 1), 9)) + [slots - 1]))
    count = slots - 11 + swap.random.randrange(3, 9)
    space, begin = swap.filled(count)
    swap.out(space, begin, count)
    swap.state("full")
    swap.read(begin, count)
    swap.state("all-in")
    swap.boot()


def test_full(swap: SwapScenario) -> None:
    """When no slot is free, pages stay where they are, as they were, and swap_out() says how many went. They go when there is room again."""
    slots = swap.random.randrange(40, 60)
    swap.area(slots)
    space, begin = swap.filled(slots + 12)
    swap.out(space, begin, slots - 5)
    swap.out(space, begin + pages(slots - 5), 12, note="there is room for four")
    swap.state("full")
    swap.out(space, begin + pages(slots), 10, note="there is no room")
    swap.write(begin + pages(slots + 2) + swap.offset(), 10)
    swap.state("still-full")
    swap.unmap(space, begin + pages(3), 7)
    swap.out(space, begin + pages(slots), 12, note="there is room for seven")
    swap.state("full-again")
    swap.fork(space)
    swap.read(begin, 2)
    swap.pick(space, begin + pages(slots), 12)
    swap.pick(space, begin, 2)
    swap.out(note="there is no room but for two pages whose slots have entries still")
    swap.state("their-own-slots")
    swap.read(begin, 3)
    swap.read(begin + pages(slots), 12)
    swap.boot()


def test_slots_come_back(swap: SwapScenario) -> None:
    """The slot of a page that is unmapped, or whose space is destroyed, is free again: the same few slots serve for ever."""
    swap.watch_books()
    slots = swap.random.randrange(24, 40)
    swap.area(slots)
    for round_ in range(5):
        space, begin = swap.filled(slots - 1)
        swap.out(space, begin, slots - 1)
        swap.unmap(space, begin + pages(swap.random.randrange(10)), swap.random.randrange(3, 10))
        if round_ == 2:
            swap.state("some-unmapped")
        if round_ % 2:
            swap.read(begin + pages(slots - 4), 3)
        swap.destroy(space)
    swap.state("all-free")
    swap.boot()


def test_counts(swap: SwapScenario) -> None:
    """Every space counts its pages that are present, and those that are in the swap area."""
    swap.watch_counts()
    space, begin = swap.filled(18)
    other, its_begin = swap.filled(9)
    swap.out(space, begin + pages(2), 11)
    swap.out(other, its_begin, 4)
    swap.state("out")
    child = swap.fork(space)
    swap.out(space, begin + pages(14), 4, note="both show these")
    swap.state("shared-out")
    swap.activate(child)
    swap.read(begin + pages(1), 6)
    swap.unmap(child, begin + pages(4), 10)
    swap.state("some-in")
    swap.boot()


def test_tlb(swap: SwapScenario) -> None:
    """After swap_out() the CPU remembers no page that went, whoever's swap_out() it was; so the next access faults, and finds the page again."""
    swap.watch_tlb()
    space, begin = swap.filled(16)
    swap.out(space, begin + pages(3), 6)
    swap.state("out")
    swap.read(begin, 16)
    child = swap.fork(space)
    swap.fork(child)
    swap.activate(child)
    swap.read(begin, 16)
    swap.out(space, begin + pages(5), 9, note="the child is the active one, and shows them as its parent and its own child do")
    swap.state("shared-out")
    swap.read(begin + pages(5), 9)
    swap.write(begin + pages(4) + swap.offset(), 8)
    swap.clean(child, begin + pages(6))
    swap.out(child, begin + pages(4), 4)
    swap.state("out-again")
    swap.boot()


def test_statistics(swap: SwapScenario) -> None:
    """entries(), slot_of(), holds() and statistics() say what there is: after each kind of change."""
    swap.watch_books()
    swap.area(swap.random.randrange(60, 100), (7, 8, 20))
    space, begin = swap.filled(20)
    swap.state("nothing")
    swap.out(space, begin, 14)
    swap.state("out")
    swap.read(begin + pages(5), 4)
    swap.state("in")
    child = swap.fork(space)
    swap.state("forked")
    swap.activate(child)
    swap.read(begin + pages(1), 12)
    swap.state("child-in")
    swap.write(begin + pages(2) + swap.offset(), 5)
    swap.out(child, begin, 10)
    swap.state("out-again")
    swap.destroy(space)
    swap.state("parent-gone")
    swap.boot()
