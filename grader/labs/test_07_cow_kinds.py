"""The tests of lab 07-cow about what pages show: shared memory, files, zeros, large pages; and about the kernel as the writer."""

from __future__ import annotations

from labs.cow import SLOT, CowScenario, pages


def test_shared(cow: CowScenario) -> None:
    """In a shared area both write to the same frames, before and after fork(), and nothing is copied or made read-only. A private area of the same object
    is private all the same."""
    cow.watch_references()
    parent = cow.create()
    memory = cow.shared_memory(10)
    shared = cow.map(parent, 10, shared=True, thing=memory)
    private = cow.map(parent, 10, thing=memory)
    offset = cow.offset()
    cow.store(shared + offset, count=8)
    cow.load(private + offset, count=8)
    child = cow.fork(parent)
    cow.state("forked")
    cow.store(shared + offset, count=3, note="by the parent, which wrote there before")
    cow.activate(child)
    cow.load(shared + offset, count=8)
    cow.store(shared + pages(2) + offset, count=4)
    cow.store(private + pages(1) + offset, count=3)
    cow.state("the-child-has-written")
    cow.activate(parent)
    cow.load(shared + offset, count=8)
    cow.load(private + offset, count=8)
    cow.store(shared + pages(4) + cow.offset(), count=6)
    cow.state("the-parent-has-written")
    cow.boot()


def test_object_pages(cow: CowScenario) -> None:
    """A private page of a file that was read shows the object's frame. Who writes to it gets a copy, also where nobody else has mapped the file: the object's
    page stays what the file says."""
    cow.watch_references()
    parent = cow.create()
    file = cow.file(12)
    begin = cow.map(parent, 12, thing=file)
    cow.load(begin + cow.offset(), count=10)
    first, second, third = cow.random.sample(range(10), 3)
    cow.write(parent, begin + pages(first))
    cow.store(begin + pages(second) + cow.offset(), note="by a page fault")
    cow.state("before-fork")
    child = cow.fork(parent)
    cow.state("forked")
    cow.activate(child)
    cow.store(begin + pages(third) + cow.offset())
    cow.store(begin + pages(first) + cow.offset(), note="the parent's own before fork()")
    cow.load(begin + pages(8), count=4)
    cow.state("the-child-has-written")
    cow.destroy(parent)
    cow.activate(child)
    cow.store(begin + cow.offset(), count=12)
    other = cow.create()
    again = cow.map(other, 12, thing=file)
    cow.load(again, count=12)
    cow.state("the-file-is-as-it-was")
    cow.boot()


def test_zero_frame(cow: CowScenario) -> None:
    """Pages of zeros that were only read show everybody's frame of zeros. A write brings a zeroed frame of one's own, before and after fork(); the frame
    of zeros stays zero, and is copied however few pages show it."""
    cow.watch_references()
    parent = cow.create()
    begin = cow.map(parent, 12)
    cow.soil_memory()
    lonely = cow.random.randrange(12)
    cow.load(begin + pages(lonely), note="the only page that shows the frame of zeros")
    cow.write(parent, begin + pages(lonely))
    cow.state("copied")
    cow.load(begin, count=12)
    child = cow.fork(parent)
    cow.state("forked")
    for space in cow.random.sample((parent, child), 2):
        cow.activate(space)
        for page in cow.random.sample(range(12), 5):
            cow.store(begin + pages(page) + cow.offset())
        cow.load(begin + cow.offset(), count=12)
        cow.state(f"space-{space}-has-written")
    cow.boot()


def test_kernel_writes(cow: CowScenario) -> None:
    """The kernel's own writes to user memory, as those of read() into a buffer, break sharing like user code's: across pages, in whole and in part."""
    parent = cow.create()
    begin = cow.map(parent, 16)
    cow.store(begin + cow.offset(), count=13)
    child = cow.fork(parent)
    cow.copy_to(begin + pages(1) + cow.offset(), pages(2), note="into the parent")
    cow.state("the-parent")
    cow.activate(child)
    cow.copy_to(begin + pages(6) + cow.offset(), 4 * cow.random.randrange(1025, 2048), note="into the child")
    cow.copy_to(begin + pages(2) + cow.offset(), 8 + pages(1), note="into pages that the parent has copied")
    cow.copy_to(begin + pages(12) + cow.offset(), pages(3), note="into a page that is shared, and some that are not there")
    cow.state("the-child")
    cow.boot()


def test_large(cow: CowScenario) -> None:
    """Before fork() shares a large page, the kernel takes it apart into small ones: each of the 1024 is shared, copied and regained by itself."""
    cow.small_machine(64)
    cow.watch_tables()
    parent = cow.create()
    slot = cow.place(slots=3)
    low, high = cow.random.randrange(1, 20), cow.random.randrange(1, 20)
    begin = cow.map(parent, 1024 + low + high, at=slot + SLOT - pages(low))
    inside = slot + SLOT + pages(cow.random.randrange(1000))
    cow.store(inside + cow.offset(), note="brings 4 MiB")
    cow.store(begin + cow.offset(), count=low)
    cow.state("a-large-page", contents=24)
    child = cow.fork(parent)
    cow.state("forked", contents=24)
    cow.activate(child)
    cow.store(inside + cow.offset(), count=3)
    cow.store(begin + cow.offset(), count=low + 2)
    cow.state("written", contents=24)
    cow.activate(parent)
    cow.store(inside + cow.offset(), count=5)
    cow.state("regained", contents=24)
    cow.boot()
