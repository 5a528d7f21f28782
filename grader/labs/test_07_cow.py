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


def test_last_owner(cow: CowScenario) -> None:
    """When nobody else shows the frame any more, a write makes the page writable again: nothing is copied, nothing allocated."""
    parent = cow.create()
    begin = cow.map(parent, 10)
    cow.store(begin + cow.offset(), count=10)
    child = cow.fork(parent)
    first, second, third, fourth, fifth = cow.random.sample(range(10), 5)
    cow.write(child, begin + pages(first))
    cow.write(parent, begin + pages(first), note="the child has a copy")
    cow.write(parent, begin + pages(second))
    cow.write(child, begin + pages(second), note="the parent has a copy")
    cow.state("both-have-written")
    cow.unmap(child, begin + pages(third), 1)
    cow.write(parent, begin + pages(third), note="the child has unmapped it")
    cow.destroy(child)
    cow.write(parent, begin + pages(fourth), frames=0, note="the child is gone, and so is all memory")
    cow.store(begin + pages(fifth) + cow.offset(), note="by a page fault")
    cow.state("alone")
    cow.boot()


def test_isolation(cow: CowScenario) -> None:
    """What one writes, the other does not see, in both directions, whoever writes first; a read finds one's own."""
    parent = cow.create()
    begin = cow.map(parent, 16)
    offset = cow.offset()
    cow.store(begin + offset, count=16)
    child = cow.fork(parent)
    for round_ in range(4):
        for space in cow.random.sample((parent, child), 2):
            cow.activate(space)
            for page in cow.random.sample(range(16), 5):
                cow.store(begin + pages(page) + cow.random.choice((offset, cow.offset())))
            cow.load(begin + offset, count=16)
        cow.state(f"round-{round_}")
    cow.boot()


def test_references(cow: CowScenario) -> None:
    """The count of every frame is the number of pages that show it; copies, last owners and frames are as many as there must be."""
    cow.watch_references()
    parent = cow.create()
    begin = cow.map(parent, 20)
    cow.store(begin + cow.offset(), count=16)
    first = cow.fork(parent)
    second = cow.fork(parent)
    cow.state("three")
    for space in (first, parent, second, first, parent):
        cow.activate(space)
        for page in cow.random.sample(range(20), 5):
            cow.store(begin + pages(page) + cow.offset())
    cow.state("written")
    cow.destroy(cow.random.choice((first, second)))
    cow.state("two")
    cow.activate(parent)
    cow.store(begin + cow.offset(), count=20)
    cow.state("all-written")
    cow.boot()


def test_read_only(cow: CowScenario) -> None:
    """Pages of areas that may not be written are shared as they are: code of a file, and data that was protected. They stay read-only; when their area may be
    written again, the first write copies."""
    parent = cow.create()
    program = cow.file(6)
    code = cow.map(parent, 6, "r-x", thing=program)
    data = cow.map(parent, 8)
    cow.load(code, count=6)
    cow.store(data + cow.offset(), count=8)
    cow.protect(parent, data, 8, "r--")
    child = cow.fork(parent)
    cow.state("shared")
    cow.protect(child, data + pages(2), 4, "rw-")
    cow.state("the-child-may-write")
    cow.activate(child)
    cow.store(data + pages(2) + cow.offset(), count=3)
    cow.load(code, count=6)
    cow.state("the-child-has-written")
    cow.protect(parent, data, 8, "rw-")
    cow.activate(parent)
    cow.store(data + cow.offset(), count=8)
    cow.state("both-have-written")
    cow.boot()


def test_no_rights(cow: CowScenario) -> None:
    """Pages of an area that grants nothing keep their contents, and stay out of user code's reach, in both; given rights again, their first write copies."""
    parent = cow.create()
    begin = cow.map(parent, 9)
    cow.store(begin + cow.offset(), count=9)
    cow.protect(parent, begin + pages(3), 4, "---")
    child = cow.fork(parent)
    cow.state("shared")
    for space in cow.random.sample((parent, child), 2):
        cow.protect(space, begin + pages(3), 4, "rw-")
        cow.state(f"rights-for-space-{space}")
        cow.activate(space)
        cow.store(begin + pages(2) + cow.offset(), count=4)
    cow.state("written")
    cow.boot()
