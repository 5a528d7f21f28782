"""The tests of lab 09-swap about pages that several have: families of processes, and owners that are no page."""

from __future__ import annotations

from judge.scenario import expect
from labs.swap import SwapScenario, pages


def test_family(swap: SwapScenario) -> None:
    """A page that several spaces show goes out once: one slot, one write, a swap entry in each of them."""
    parent, begin = swap.filled(20)
    family = [parent] + [swap.fork(parent) for _ in range(swap.random.randrange(2, 5))]
    swap.activate(family[1])
    swap.write(begin + pages(5) + swap.offset(), 3)
    swap.unmap(family[2], begin + pages(10), 3)
    out = swap.out(parent, begin, 20)
    swap.state("out")
    swap.pick(family[1], begin + pages(5), 3)
    swap.out()
    swap.state("copies-out")
    for space in swap.random.sample(family, len(family)):
        swap.activate(space)
        swap.read(begin + pages(3), 7)
    swap.boot()
    expect(out.values[4] == 20, "twenty pages are written, each once", f"{out.values[4]} were", operation=out.number)


def test_family_in(swap: SwapScenario) -> None:
    """Who shared a page before it went out shares it when it is back: the second one gets the first one's frame, and nothing is read for him."""
    swap.watch_references()
    parent, begin = swap.filled(16)
    child = swap.fork(parent)
    grandchild = swap.fork(child)
    swap.out(parent, begin, 16)
    swap.activate(child)
    swap.read(begin + pages(2), 9)
    swap.state("one")
    swap.activate(grandchild)
    swap.read(begin + pages(4), 9)
    swap.state("two")
    swap.activate(parent)
    swap.read(begin, 16)
    swap.state("three")
    swap.boot()


def test_write_after(swap: SwapScenario) -> None:
    """A page that is back may be written at once when nobody else has it. While its slot has entries, or others show it, the writer gets a copy, and the
    others' stays what it was."""
    parent, begin = swap.filled(16)
    child = swap.fork(parent)
    swap.out(parent, begin, 16)
    swap.write(begin + swap.offset(), 6, note="the child has entries still")
    swap.state("copied")
    swap.read(begin + pages(6), 4)
    swap.state("read-only")
    swap.activate(child)
    swap.read(begin, 10)
    swap.write(begin + pages(6) + swap.offset(), 4)
    swap.state("the-child-has-written")
    swap.unmap(child, begin + pages(12), 4)
    swap.activate(parent)
    swap.read(begin + pages(12), 4)
    swap.state("alone")
    swap.write(begin + pages(5) + swap.offset(), 11)
    swap.out(parent, begin, 16)
    swap.state("out")
    swap.boot()


def test_fork_swapped(swap: SwapScenario) -> None:
    """fork() of a space whose pages are in the swap area: both have entries of the same slots; each can come and go by himself."""
    swap.watch_books()
    swap.watch_references()
    parent, begin = swap.filled(20)
    swap.out(parent, begin, 16)
    child = swap.fork(parent)
    swap.state("forked")
    swap.write(begin + pages(2) + swap.offset(), 5)
    swap.fork(child)
    swap.unmap(child, begin + pages(10), 4)
    swap.state("grandchild")
    swap.activate(child)
    swap.read(begin, 8)
    swap.destroy(parent)
    swap.state("parent-gone")
    swap.destroy(child)
    swap.state("child-gone")
    swap.boot()


def test_ends(swap: SwapScenario) -> None:
    """The last one who has a page, in memory or in the swap area, is the one who gives frame and slot back, in whatever order they go. A copy goes with the last entry."""
    swap.watch_books()
    swap.watch_references()
    parent, begin = swap.filled(14)
    family = [parent] + [swap.fork(parent) for _ in range(3)]
    swap.out(parent, begin, 14)
    swap.activate(family[1])
    swap.read(begin + pages(3), 8)
    swap.activate(family[2])
    swap.write(begin + pages(5) + swap.offset(), 4)
    swap.destroy(family[1])
    swap.state("who-read-it-is-gone")
    rest = swap.random.sample([family[0], family[2], family[3]], 3)
    for i, space in enumerate(rest):
        swap.destroy(space)
        swap.state(f"gone-{i}")
    swap.boot()


def test_copy_of_entries(swap: SwapScenario) -> None:
    """A copy that no page shows any more, and entries own, can be asked to go as well: it is not written, and its slot keeps its entries."""
    swap.watch_books()
    parent, begin = swap.filled(12)
    child = swap.fork(parent)
    swap.out(parent, begin, 12)
    swap.read(begin, 12)
    swap.pick(parent, begin + pages(2), 5)
    swap.unmap(parent, begin + pages(2), 5)
    swap.state("nobody-shows-them")
    out = swap.out()
    swap.state("out")
    swap.activate(child)
    swap.read(begin, 12)
    swap.boot()
    expect(out.values[7] == 0xFFFF_FFFB, "five frames have come back", f"{-out.values[7] & 0xFFFF_FFFF} have", operation=out.number)


def test_rights(swap: SwapScenario) -> None:
    """A page that is back has the rights that its area grants now: read-only where the area is, for a page whose process is the only one too."""
    space, begin = swap.filled(15)
    swap.protect(space, begin, 5, "r--")
    swap.out(space, begin, 15)
    swap.protect(space, begin + pages(3), 7, "r--")
    swap.protect(space, begin, 2, "rw-")
    swap.state("out")
    swap.read(begin, 15)
    swap.state("in")
    swap.protect(space, begin, 15, "rw-")
    swap.write(begin + swap.offset(), 15)
    swap.out(space, begin, 15)
    swap.state("out-again")
    swap.boot()


def test_objects(swap: SwapScenario) -> None:
    """store(), load(), share() and release(), for who keeps slots as others keep frames: entries and references are exchanged one for one."""
    swap.watch_books()
    swap.watch_references()
    first, second, third = (swap.page() for _ in range(3))
    for thing in (first, second, third):
        swap.store(thing, changed=False)
    swap.state("stored")
    other = swap.share(first)
    swap.release(second)
    swap.state("shared-and-released")
    swap.load(first)
    swap.state("loaded")
    swap.load(other)
    swap.load(third)
    swap.state("loaded-twice")
    swap.release(other)
    clean = swap.store(first, changed=False, note="equal still")
    swap.write_page(third)
    swap.store(third, changed=True)
    swap.state("stored-again")
    swap.load(first)
    swap.release(first, third)
    swap.state("all-gone")
    swap.boot()
    expect(clean.values[4] == 0, "a page that is equal to its slot is not written", f"{clean.values[4]} pages were", operation=clean.number)
