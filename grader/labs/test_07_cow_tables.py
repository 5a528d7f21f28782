"""The tests of lab 07-cow about page tables: which the child gets, what entries say, where areas begin and end, and what the CPU remembers."""

from __future__ import annotations

from judge.scenario import fail
from labs.cow import SLOT, CowScenario, pages
from labs.cow_state import ACCESSED, DIRTY, State
from oracle.cow import PAGE


def touch(cow: CowScenario, address: int) -> None:
    """A page of one's own, small also where 4 MiB would fit: a read of the page behind it brings a page table."""
    cow.load(address + PAGE)
    cow.store(address + cow.offset())


def test_page_tables(cow: CowScenario) -> None:
    """The child gets a page table for each 4 MiB in which the parent has a page of the area, and none for the others: areas that nobody has touched, and untouched
    parts of large ones."""
    cow.watch_tables()
    parent = cow.create()
    wide = cow.place(slots=9)
    begin = cow.map(parent, 8 * 1024, at=wide + pages(cow.random.randrange(8, 900)))
    for slot in sorted(cow.random.sample(range(1, 8), 3)):
        touch(cow, wide + slot * SLOT + pages(cow.random.randrange(1023)))
    touch(cow, begin)
    cow.map(parent, 2000, at=cow.place(slots=3) + pages(cow.random.randrange(900)))
    emptied = cow.map(parent, 9)
    cow.store(emptied, count=9)
    cow.unmap(parent, emptied + pages(1), 8)
    cow.map(parent, 8, "r--", at=emptied + pages(1))
    memory = cow.shared_memory(4)
    mixed = cow.map(parent, 4, shared=True, thing=memory)
    cow.map(parent, 8, at=mixed + pages(5))
    cow.store(mixed, count=4, note="in the page table of a private area that nobody has touched")
    cow.state("before")
    child = cow.fork(parent)
    cow.state("forked")
    cow.activate(child)
    touch(cow, begin + pages(40))
    touch(cow, begin + pages(6 * 1024 + 2))
    grandchild = cow.fork(child)
    cow.destroy(child)
    cow.state("the-grandchild")
    cow.activate(grandchild)
    cow.unmap(grandchild, begin, 8 * 1024)
    cow.state("unmapped")
    cow.boot()


def test_borders(cow: CowScenario) -> None:
    """share() is about one area: its pages up to the last one, whichever page tables they lie in, and none of the areas beside it in the same page table."""
    parent = cow.create()
    middle = cow.place(slots=4) + SLOT
    low, high = cow.random.randrange(1, 6), cow.random.randrange(1, 6)
    areas = [(middle - pages(low + 7), 7, "r--"), (middle - pages(low), 1024 + low + high, "rw-"), (middle + SLOT + pages(high), 5, "r--"),
             (middle + SLOT + pages(high + 5), 4, "rw-")]
    for begin, count, _ in areas:
        cow.map(parent, count, at=begin)
    cow.load(middle + pages(512), note="brings a page table, where a write would bring 4 MiB")
    for begin, count, _ in areas:
        for page in {0, count - 1, cow.random.randrange(count), cow.random.randrange(count)}:
            cow.store(begin + pages(page) + cow.offset())
    for page in (middle - PAGE, middle, middle + SLOT - PAGE, middle + SLOT):
        cow.store(page + cow.offset())
    for begin, count, protection in areas:
        if protection != "rw-":
            cow.protect(parent, begin, count, protection)
    cow.state("before")
    child = cow.fork_bare(parent)
    for number in cow.random.sample(range(4), 4):
        begin, count, _ = areas[number]
        cow.share(parent, child, begin, count)
        cow.state(f"area-{number}")
    cow.boot()


def test_many_areas(cow: CowScenario) -> None:
    """Dozens of small areas in one page table, and some thousand pages in several: each page is shared, and each can be written by itself."""
    cow.small_machine(48)
    cow.watch_tables()
    cow.watch_references()
    cow.watch_resident()
    parent = cow.create()
    begin = cow.place() + pages(cow.random.randrange(100))
    areas, at = [], begin
    for number in range(60):
        size = cow.random.randrange(1, 5)
        areas.append((cow.map(parent, size, at=at), size))
        if number % 3:
            cow.store(at + cow.offset(), count=size)
        at += pages(size + cow.random.randrange(1, 4))
    wide = cow.map(parent, 2500, at=cow.place(slots=4) + pages(cow.random.randrange(700, 1000)))
    for page in range(0, 2500, 400):
        cow.load(wide + pages(page))
    cow.store(wide + cow.offset(), count=2500)
    child = cow.fork(parent)
    cow.state("forked")
    cow.activate(child)
    for area, size in cow.random.sample(areas, 20):
        cow.store(area + cow.offset(), count=size)
    step = cow.random.randrange(5, 9)
    cow.store(wide + cow.offset(), count=2500 // step, step=step)
    cow.state("written")
    cow.destroy(parent)
    cow.activate(child)
    cow.store(wide + cow.offset(), count=2500)
    cow.state("the-child-alone")
    cow.boot()


def test_resident(cow: CowScenario) -> None:
    """Each space counts the pages that it has present: a child its shared ones, and a copy counts as what it replaces."""
    cow.watch_resident()
    parent = cow.create()
    begin = cow.map(parent, 30)
    memory = cow.shared_memory(5)
    shared = cow.map(parent, 5, shared=True, thing=memory)
    cow.store(begin + cow.offset(), count=cow.random.randrange(15, 25))
    cow.load(begin, count=cow.random.randrange(25, 30))
    cow.store(shared, count=4)
    child = cow.fork(parent)
    cow.state("forked")
    cow.activate(child)
    cow.store(begin + pages(cow.random.randrange(5)) + cow.offset(), count=20)
    cow.load(shared, count=5)
    cow.state("written")
    cow.unmap(child, begin + pages(3), 9)
    cow.fork(child)
    cow.state("a-grandchild")
    cow.boot()


def test_bits(cow: CowScenario) -> None:
    """What the CPU has noted in the parent's entries, accessed and dirty, stays there."""
    parent = cow.create()
    file = cow.file(16)
    every = cow.map(parent, 16, thing=file)
    cow.load(every, count=16)
    some = cow.map(parent, 16, thing=file)
    cow.load(some + pages(cow.random.randrange(16)), note="neighbours become present that nobody has looked at")
    begin = cow.map(parent, 12)
    cow.store(begin + cow.offset(), count=6)
    cow.load(begin + pages(6), count=6)
    before = cow.state("before")
    cow.fork(parent)
    after = cow.state("after")
    cow.then(lambda: _same_marks(parent, before, after))
    cow.boot()


def _same_marks(space: int, before: State, after: State) -> None:
    for at, entry in before.pages[space].items():
        old, new = (word & (ACCESSED | DIRTY) for word in (entry.word, after.pages[space][at].word))
        if old != new:
            fail(f"the parent's entry for page {at * PAGE:#010x} stays {_marks(old)}", f"it is {_marks(new)}",
                 "Of the parent's entry only the right to write goes: take the word as it is, without that bit. page_table::protect() does just so.")


def _marks(word: int) -> str:
    return " and ".join(name for name, bit in (("accessed", ACCESSED), ("dirty", DIRTY)) if word & bit) or "neither accessed nor dirty"


def test_tlb_share(cow: CowScenario) -> None:
    """The parent runs on after fork(): what it writes then must not go through a translation that the CPU remembers from before. With few pages and with many."""
    cow.watch_tlb()
    for count in (cow.random.randrange(2, 8), cow.random.randrange(60, 200)):
        parent = cow.create()
        begin, offset = cow.map(parent, count), cow.offset()
        cow.store(begin + offset, count=count)
        cow.load(begin + offset, count=count)
        child = cow.fork(parent)
        cow.state(f"{count}-pages")
        cow.store(begin + offset, count=count, note="by the parent, directly after fork()")
        cow.state(f"{count}-pages-written")
        cow.activate(child)
        cow.load(begin + offset, count=count, note="what the parent had before fork()")
    cow.boot()


def test_tlb_write(cow: CowScenario) -> None:
    """After resolve_write() the CPU uses the new frame: nothing of the old translation is left."""
    cow.watch_tlb()
    parent = cow.create()
    begin, offset = cow.map(parent, 12), cow.offset()
    cow.store(begin + offset, count=10)
    cow.load(begin + pages(10), count=2)
    child = cow.fork(parent)
    cow.load(begin + offset, count=12, note="the CPU remembers the shared frames")
    chosen = cow.random.sample(range(10), 4)
    for page in chosen:
        cow.write(parent, begin + pages(page))
    cow.write(parent, begin + pages(10 + cow.random.randrange(2)), note="shows the frame of zeros")
    cow.state("copied")
    for page in chosen:
        cow.write(child, begin + pages(page))
        cow.write_into(child, begin + pages(page) + offset, note="the child changes what is its own now")
        cow.load(begin + pages(page) + offset, note="in the parent")
    cow.store(begin + offset, count=12)
    cow.state("written")
    cow.boot()


def test_inactive(cow: CowScenario) -> None:
    """Neither parent nor child need be the active space: another one is, with pages of its own at the same addresses, and nothing happens to these."""
    cow.watch_tlb()
    parent = cow.create()
    begin, offset = cow.map(parent, 8), cow.offset()
    cow.store(begin + offset, count=8)
    other = cow.create()
    cow.map(other, 8, at=begin)
    cow.store(begin + offset, count=8)
    child = cow.fork(parent)
    cow.state("forked")
    first, second, third = cow.random.sample(range(8), 3)
    cow.write(child, begin + pages(first))
    cow.write(parent, begin + pages(first))
    cow.write(parent, begin + pages(second))
    cow.state("written")
    cow.store(begin + offset, count=8, note="by the space that is active")
    cow.activate(child)
    cow.store(begin + pages(third) + offset)
    cow.load(begin + offset, count=8)
    cow.activate(None)
    cow.fork(child, note="no space is active")
    cow.write(child, begin + pages(third))
    cow.state("none-active")
    cow.boot()
