"""The tests of lab 06-faults about pages of objects: files and shared memory, and what a read brings along."""

from __future__ import annotations

from labs.faults import FaultsScenario, pages
from oracle.faults import DATA_BEGIN, NEIGHBOURHOOD, PAGE, USER_BEGIN

BLOCK = NEIGHBOURHOOD * PAGE


def test_object_shared(faults: FaultsScenario) -> None:
    """A shared area shows the object's own frames, with the area's rights: what one space writes the other reads."""
    rng = faults.random
    memory, file = faults.shared_memory(12), faults.file(pages(6))
    one, other = faults.space(), faults.space()
    here, there = one.map(faults.place(12), 12, object_=memory, shared=True), other.map(faults.place(12), 12, object_=memory, shared=True)
    reader = other.map(faults.place(12), 12, "r--", object_=memory, shared=True, note="the same once more, to read only")
    text = one.map(faults.place(6), 6, "r--", object_=file, shared=True)
    for number in rng.sample(range(12), 6):
        one.resolve(faults.inside(here + pages(number)), rng.choice(("read", "write")))
        one.poke(here + pages(number) + rng.randrange(PAGE))
        other.resolve(faults.inside(there + pages(number)), rng.choice(("read", "write")))
        other.read(faults.inside(reader + pages(number)))
        one.write(faults.inside(here + pages(number)), note="possible already, also after a read")
    other.write(faults.inside(there + pages(1)))
    one.read(faults.inside(text + pages(2)))
    one.write(faults.inside(text + pages(2)), note="the area forbids it")
    faults.expect_reads(file)
    faults.state("shared")
    one.destroy(note="the other's pages stay")
    faults.state("without the first")
    faults.boot()


def test_object_private(faults: FaultsScenario) -> None:
    """A private area shows the object's frame read-only to who reads, and a copy to who writes; the object never changes."""
    rng = faults.random
    file = faults.file(pages(40))
    space, second = faults.space(), faults.space()
    begin = space.map(faults.place(40), 40, object_=file)
    chosen = rng.sample(range(40), 9)
    for number in chosen:
        space.write(faults.inside(begin + pages(number)), note="the first write")
        space.poke(begin + pages(number) + rng.randrange(PAGE))
    # Areas of one page: nothing can come along with a read.
    alone = [second.map(faults.place(1), 1, rng.choice(("rw-", "r--")) if number == chosen[0] else "rw-", object_=file, first_page=number) for number in chosen[:6]]
    for at in alone[:4]:
        second.read(faults.inside(at), note="what the file has, not what the first space wrote")
    faults.state("written and read")
    for at in alone[2:]:
        second.write(faults.inside(at), note="after a read or a first look")
    faults.expect_reads(file)
    faults.state("both have copies")
    faults.boot()


def test_object_index(faults: FaultsScenario) -> None:
    """An area may begin anywhere in an object, and be cut in the middle: each page shows the page of the object that belongs there."""
    rng = faults.random
    file, memory = faults.file(pages(60)), faults.shared_memory(60)
    space = faults.space()
    for object_, shared in ((file, False), (memory, True), (file, True)):
        first, count = rng.randrange(1, 30), rng.randrange(14, 30)
        begin = space.map(faults.place(count), count, object_=object_, shared=shared, first_page=first)
        hole = rng.randrange(3, count - 4)
        space.unmap(begin + pages(hole), 2, note="two areas now")
        for number in {0, count - 1, hole - 1, hole + 2, *rng.sample(range(count), 4)}:
            at = faults.inside(begin + pages(number))
            space.resolve(at, rng.choice(("read", "write")) if shared else "write")
            if shared and object_ == memory and number not in (hole, hole + 1):
                space.poke(at)
        again = space.map(faults.place(6), 6, "r--", object_=object_, shared=True, first_page=first + count // 2)
        space.read(faults.inside(again + pages(rng.randrange(6))))
    faults.expect_reads(file)
    faults.state("in the right places")
    faults.boot()


def test_object_end(faults: FaultsScenario) -> None:
    """Behind the end of a file's last page there are zeros; behind its last page, and where it cannot be read, a signal, and nothing changes."""
    rng = faults.random
    size = pages(rng.randrange(3, 7)) + rng.randrange(1, PAGE - 64)
    last = size // PAGE
    file, broken, memory = faults.file(size), faults.file(pages(8), broken=3), faults.shared_memory(4)
    space = faults.space()
    for protection, shared in (("rw-", False), ("r--", False), ("rw-", True)):
        begin = space.map(faults.place(9), 9, protection, object_=file, shared=shared, first_page=last)
        accesses = ("read", "write") if protection == "rw-" else ("read",)
        for access in accesses:
            space.resolve(begin + PAGE - 1, access, note="the last page, behind the file's last byte")
            for number in (1, 2, 8):
                space.resolve(faults.inside(begin + pages(number)), access, rng.choice(("user", "kernel")), note="behind the last page")
        if not shared:
            at = space.map(faults.place(2), 2, protection, object_=broken, first_page=3)
            for access in accesses:
                space.resolve(faults.inside(at), access, rng.choice(("user", "kernel")), note="cannot be read")
            space.read(faults.inside(at + PAGE), note="this page can")
    at = space.map(faults.place(9), 9, object_=memory, shared=True)
    space.write(faults.inside(at + pages(4)), note="behind the end of the shared memory")
    space.write(faults.inside(at + pages(3)))
    far = space.map(faults.place(4), 4, object_=file, first_page=100)
    space.read(faults.inside(far))
    faults.expect_reads(file)
    faults.state("as far as the files go")
    faults.boot()


def test_around(faults: FaultsScenario) -> None:
    """A read in a private area brings along what the object has in memory: absent pages of the same aligned block of eight, in the area, and no others."""
    rng = faults.random
    file = faults.file(pages(80))
    space = faults.space()
    loaded = rng.sample(range(60), 36)
    faults.load(file, *loaded)
    for protection in ("rw-", "r--", "r-x"):
        count = rng.randrange(20, 40)
        where = (USER_BEGIN, DATA_BEGIN - pages(64)) if "x" in protection else ()
        begin = space.map(faults.place(count, *where), count, protection, object_=file, first_page=rng.randrange(30))
        written = rng.sample(range(count), 3) if protection == "rw-" else []
        for number in written:
            space.write(faults.inside(begin + pages(number)), note="the neighbours of a read leave it alone")
        for number in (0, count - 1, *rng.sample(range(count), 4)):
            space.resolve(faults.inside(begin + pages(number)), "fetch" if "x" in protection else "read", rng.choice(("user", "kernel")))
    faults.expect_reads(file)
    faults.state("with neighbours")
    faults.boot()


def test_around_not(faults: FaultsScenario) -> None:
    """Writes, shared areas and plain memory bring nothing along; a limit ends the search and not the fault; a neighbour can be written later like any page."""
    rng = faults.random
    file = faults.file(pages(32))
    faults.load(file, *range(32))
    one, other = faults.space(), faults.space()
    begin = one.map(faults.place(32, aligned=NEIGHBOURHOOD), 32, object_=file)
    shared = one.map(faults.place(16), 16, "r--", object_=file, shared=True)
    plain = one.map(faults.place(16), 16)
    one.write(faults.inside(begin + pages(rng.randrange(8))), note="a write: alone")
    one.read(faults.inside(shared + pages(rng.randrange(16))), note="shared: alone")
    one.read(faults.inside(plain + pages(rng.randrange(16))), note="no object: alone")
    one.read(faults.inside(begin + pages(8 + rng.randrange(8))), note="seven neighbours")
    one.write(faults.inside(begin + pages(8 + rng.randrange(8))), note="one of these pages")
    room = rng.randrange(1, 7)
    narrow = other.map(faults.place(32, aligned=NEIGHBOURHOOD), 32, object_=file)
    other.limits(resident=1 + room)
    other.read(faults.inside(narrow + pages(16 + rng.randrange(8))), note=f"room for {room} neighbours")
    other.read(faults.inside(narrow + pages(24)), note="no room even for itself")
    other.limits(resident=2 + room)
    other.read(faults.inside(narrow + pages(24 + rng.randrange(8))), note="room for itself alone")
    faults.state("as many as there is room for")
    faults.boot()
