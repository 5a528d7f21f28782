"""The tests of lab 07-cow about two spaces: sharing, copying, regaining."""

from __future__ import annotations

from labs.cow import CowScenario, pages


def test_share(cow: CowScenario) -> None:
    """fork() shows the same frames in parent and child, read-only in both, and copies none. Pages that nobody has touched are in neither."""
    parent = cow.create()
    begin = cow.map(parent, 12)
    for page in sorted(cow.random.sample(range(12), 7)):
        cow.store(begin + pages(page) + cow.offset())
    cow.state("before")
    cow.fork(parent)
    cow.state("after")
    cow.boot()


def test_write(cow: CowScenario) -> None:
    """A write to a page whose frame others show gives it a copy, writable, with the same contents; the others keep the frame."""
    parent = cow.create()
    begin = cow.map(parent, 12)
    cow.store(begin + cow.offset(), count=12)
    child = cow.fork(parent)
    first, second, third = cow.random.sample(range(12), 3)
    cow.write(child, begin + pages(first))
    cow.write(parent, begin + pages(second))
    cow.state("copied")
    cow.activate(child)
    cow.store(begin + pages(third) + cow.offset(), note="by a page fault")
    cow.store(begin + pages(first) + cow.offset())
    cow.state("written")
    cow.boot()
