"""The tests of lab 06-faults about memory of zeros, and about accesses that are wrong."""

from __future__ import annotations

from labs.faults import FaultsScenario, Space, pages
from oracle.faults import DATA_BEGIN, PAGE, USER_BEGIN, USER_END


def test_zeroed(faults: FaultsScenario) -> None:
    """The first write to private memory brings a frame of zeros, writable, and nothing else."""
    faults.soil_memory()
    space = faults.space()
    begin = space.map(faults.place(20), 20)
    chosen = faults.random.sample(range(20), 6)
    for number in chosen:
        space.write(faults.inside(begin + pages(number)))
    faults.state("written")
    for number in chosen:
        space.poke(begin + pages(number) + faults.random.randrange(PAGE))
    for number in sorted(set(range(20)) - set(chosen))[:4]:
        space.write(faults.inside(begin + pages(number)), who="kernel", note="a system call fills a buffer")
    faults.state("by the kernel")
    faults.boot()


def test_zero_frame(faults: FaultsScenario) -> None:
    """A read of a page that nobody has written to shows everybody's frame of zeros, read-only, in every space."""
    rng = faults.random
    faults.soil_memory()
    frame = faults.op("fault.zero_frame")
    faults.then(lambda: faults.bound.setdefault(("zero", 0, 0), frame.value))
    for _ in range(2):
        space = faults.space()
        begin = space.map(faults.place(30), 30)
        constant = space.map(faults.place(8), 8, "r--")
        code = space.map(faults.place(8, USER_BEGIN, 0x2000_0000 - pages(64)), 8, "r-x")
        for area, count in ((begin, 30), (constant, 8), (code, 8)):
            for number in rng.sample(range(count), 4):
                space.resolve(faults.inside(area + pages(number)), "fetch" if area == code and rng.random() < 0.5 else "read", rng.choice(("user", "kernel")))
        faults.state("read")
    faults.boot()


def test_only_touched(faults: FaultsScenario) -> None:
    """Among many areas, only the pages that were touched are present, at the ends of areas too."""
    rng = faults.random
    space = faults.space()
    for _ in range(12):
        count = rng.randrange(1, 60)
        begin = space.map(faults.place(count), count)
        for number in {0, count - 1, rng.randrange(count)}:
            space.resolve(faults.inside(begin + pages(number)), rng.choice(("read", "write")))
    first = space.map(USER_BEGIN, 2, "r--", note="the first page of the user range")
    last = space.map(USER_END - pages(2), 2, note="its last page")
    space.read(first)
    space.write(last + pages(2) - 1)
    faults.state("touched")
    faults.boot()


def test_zero_then_write(faults: FaultsScenario) -> None:
    """A page that shows the zero frame becomes a page of its own when it is written: zeros, writable. Others keep the zero frame."""
    rng = faults.random
    faults.soil_memory()
    first, second = faults.space(), faults.space()
    begin, other = first.map(faults.place(16), 16), second.map(faults.place(16), 16)
    chosen = rng.sample(range(16), 6)
    for number in chosen:
        first.read(faults.inside(begin + pages(number)))
        second.read(faults.inside(other + pages(number)))
    faults.state("read")
    for number in chosen[:4]:
        first.write(faults.inside(begin + pages(number)), who=rng.choice(("user", "kernel")))
        first.poke(begin + pages(number) + rng.randrange(PAGE))
    faults.state("some are written")
    for number in chosen[:4]:
        first.write(faults.inside(begin + pages(number)), note="possible already")
    faults.state("nothing more")
    faults.boot()


def test_reject(faults: FaultsScenario) -> None:
    """Every access that an area forbids, and every address in no area, is refused with its reason, and no page appears."""
    rng = faults.random
    space = faults.space()
    areas = {protection: space.map(faults.place(6, *((USER_BEGIN, 0x2000_0000 - pages(64)) if "x" in protection else ())), 6, protection)
             for protection in ("r--", "rw-", "r-x", "--x", "---")}
    for protection, begin in areas.items():
        for access in ("read", "write", "fetch"):
            for who in ("user", "kernel"):
                refused = (protection == "---" or access == "write" and protection[1] != "w" or access == "fetch" and who == "user" and protection[2] != "x")
                if refused:
                    for number in rng.sample(range(6), 2):
                        space.resolve(faults.inside(begin + pages(number)), access, who)
    for begin in areas.values():
        for at in (begin - 1, begin - PAGE, begin - PAGE - 1, begin + pages(6), begin + pages(7) - 1):
            space.resolve(at, rng.choice(("read", "write", "fetch")), rng.choice(("user", "kernel")))
    for at in (USER_BEGIN, USER_END - 1):
        space.read(at)
    faults.state("refused")
    faults.boot()


def test_reject_order(faults: FaultsScenario) -> None:
    """The first reason counts: what the area forbids is refused before anybody looks whether the page is present, or where its contents are."""
    rng = faults.random
    space = faults.space()
    file = faults.file(2 * PAGE - rng.randrange(1, PAGE), broken=1)
    begin = space.map(faults.place(12), 12)
    for number in range(0, 12, 2):
        space.resolve(faults.inside(begin + pages(number)), "write" if number % 4 else "read")
    space.protect(begin, 4, "r--", note="some of its pages are present")
    space.protect(begin + pages(4), 4, "---")
    nothing = space.map(faults.place(8), 8, "---", object_=file)
    reading = space.map(faults.place(8), 8, "r--", object_=file)
    for number in rng.sample(range(8), 8):
        at = faults.inside(begin + pages(number))
        space.write(at, present=rng.random() < 0.5)
        if number >= 4:
            space.read(at)
            space.resolve(at, "fetch")
    for number in (0, 1, 2, 7):
        for access in ("read", "write", "fetch"):
            space.resolve(faults.inside(nothing + pages(number)), access, note="without any right, whatever the file has")
        space.write(faults.inside(reading + pages(number)), note="read-only, whatever the file has")
        space.resolve(faults.inside(reading + pages(number)), "fetch")
    faults.expect_reads(file)
    faults.state("refused")
    faults.boot()


def test_kernel(faults: FaultsScenario) -> None:
    """Faults by the kernel, which copies for user code, bring the same pages; where its instruction lies does not matter, as it never fetches from there."""
    rng = faults.random
    space = faults.space()
    file = faults.file(pages(6))
    begin = space.map(faults.place(12), 12)
    mapped, alone = space.map(faults.place(6), 6, object_=file), space.map(faults.place(1), 1, object_=file, first_page=1)
    constant = space.map(faults.place(6), 6, "r--")
    hidden = space.map(faults.place(2), 2, "---")
    for number in rng.sample(range(12), 8):
        space.resolve(faults.inside(begin + pages(number)), rng.choice(("read", "write")), "kernel")
    space.resolve(faults.inside(constant + pages(rng.randrange(6))), "fetch", "kernel", note="a read, of an address that is its own")
    space.resolve(faults.inside(begin + pages(rng.randrange(12))), "fetch", "kernel")
    space.resolve(faults.inside(alone), "fetch", "kernel")
    space.resolve(faults.inside(mapped + pages(3)), "write", "kernel")
    space.write(faults.inside(constant), who="kernel", note="the kernel may not write here either")
    space.read(faults.inside(hidden), who="kernel")
    space.read(faults.inside(begin - PAGE), who="kernel")
    faults.state("by the kernel")
    faults.boot()


def test_spurious(faults: FaultsScenario) -> None:
    """A fault that somebody else has resolved already is tried again: nothing changes, whatever the CPU saw then."""
    rng = faults.random
    faults.machine = faults.machine_of(64)
    space = faults.space()
    file, memory = faults.file(pages(8)), faults.shared_memory(8)
    places = [(space.map(faults.place(10), 10), "write"), (space.map(faults.place(10), 10), "read"), (space.map(faults.place(1), 1, "r--", object_=file), "read"),
              (space.map(faults.place(8), 8, object_=file), "write"), (space.map(faults.place(8), 8, object_=memory, shared=True), "write"),
              (space.map(faults.place(1024, aligned=1024), 1024), "write")]
    for begin, access in places:
        area = space.plan.find(begin)
        numbers = rng.sample(range(min(8, (area.end - begin) // PAGE)), 1 if area.end - begin == PAGE else 3)
        for number in numbers:
            space.resolve(faults.inside(begin + pages(number)), access)
        for number in numbers:
            for present in (False, True):
                space.resolve(faults.inside(begin + pages(number)), access, rng.choice(("user", "kernel")), present=present, note="once more")
                space.read(faults.inside(begin + pages(number)), present=present, note="once more")
    faults.state("resolved once")
    hollow = places[0][0]
    space.discard(hollow, 10)
    space.write(faults.inside(hollow), present=True, note="the CPU saw a page that is gone by now")
    faults.state("and afterwards")
    faults.boot()


def test_hand_over(faults: FaultsScenario) -> None:
    """What becomes of a write to a page that is present, private and read-only says copy_on_write::resolve_write(), and nobody asks it about anything else."""
    rng = faults.random
    faults.watch_calls()
    parent = faults.space()
    file = faults.file(pages(4))
    begin = parent.map(faults.place(20), 20)
    mapped = parent.map(faults.place(1), 1, object_=file)
    other = parent.map(faults.place(3), 3, object_=file, first_page=1)
    for number in range(0, 16, 2):
        parent.resolve(faults.inside(begin + pages(number)), "write" if number % 4 else "read")
        parent.poke(begin + pages(number)) if number % 4 else None
    parent.read(faults.inside(mapped))
    child = parent.fork(note="both show the same frames")
    faults.state("shared")
    for number in rng.sample(range(0, 16, 2), 6):
        for space in rng.sample((parent, child), 2):
            space.write(faults.inside(begin + pages(number)), note="the first copies; what the second does is no business of this lab")
            space.poke(begin + pages(number) + rng.randrange(PAGE))
            space.write(faults.inside(begin + pages(number)), note="possible by now")
            space.read(faults.inside(begin + pages(number)))
    child.write(faults.inside(mapped), note="a page of a file, read before")
    child.write(faults.inside(other), note="one that was never read")
    parent.write(faults.inside(begin + pages(17)))
    faults.state("after writes")
    child.destroy()
    faults.state("without the child")
    faults.boot()


def test_once(faults: FaultsScenario) -> None:
    """In the address space that is active, each access of the kernel's copies causes one fault where one is needed, and no other."""
    rng = faults.random
    space = faults.space()
    file = faults.file(pages(9))
    begin, mapped = space.map(faults.place(24), 24), space.map(faults.place(9), 9, object_=file)
    space.activate()
    for number in rng.sample(range(24), 16):
        space.access(faults.inside(begin + pages(number)) & ~3, rng.choice(("read", "write")))
    for number in rng.sample(range(9), 6):
        space.access(faults.inside(mapped + pages(number)) & ~3, "write")
    for number in rng.sample(range(24), 12):
        space.access(faults.inside(begin + pages(number)) & ~3, rng.choice(("read", "write")))
    faults.state("used")
    faults.boot()


def test_random(faults: FaultsScenario) -> None:
    """Thousands of faults in three spaces with areas of every kind, between changes of the areas, against the model."""
    rng = faults.random
    objects = [faults.file(pages(14) - rng.randrange(PAGE), broken=rng.randrange(4, 14)), faults.file(pages(30) + 5), faults.shared_memory(20)]
    spaces = [faults.space() for _ in range(3)]
    for space in spaces:
        space.limits(stack=40)
    places = [_random_area(faults, space, objects) for space in spaces for _ in range(12)]
    for number in range(2000):
        space, begin, count, kind = rng.choice(places)
        page = rng.randrange(count) if rng.random() < 0.93 else rng.choice((-1, -2, count, count + 1))
        at = faults.inside(begin + pages(page))
        low = at - rng.randrange(64) if kind == "stack" and rng.random() < 0.5 else None
        space.resolve(at, rng.choice(("read", "write", "write", "fetch")), rng.choice(("user", "user", "kernel")),
                      stack_pointer=low, present=rng.choice((None, None, False, True)))
        if number % 60 == 59:
            _random_change(faults, *rng.choice(places))
            faults.load(objects[1], rng.randrange(31))  # somebody else has read it
        if number % 400 == 399:
            faults.state(f"after {number + 1}")
    for file in objects[:2]:
        faults.expect_reads(file)
    faults.boot()


def _random_area(faults: FaultsScenario, space: Space, objects: list[int]) -> tuple[Space, int, int, str]:
    """Space, begin, pages and kind of a new area."""
    rng = faults.random
    count = rng.randrange(1, 33)
    kind = rng.choice(("mapping", "mapping", "object", "object", "shared", "stack"))
    protection = rng.choice(("rw-", "rw-", "rw-", "r--", "r-x", "---"))
    place = faults.place(count + 10, *((USER_BEGIN, DATA_BEGIN - pages(64)) if "x" in protection else ()), margin=2)
    object_ = rng.choice(objects) if kind in ("object", "shared") else None
    # A stack has room to grow below it.
    begin = space.map(place + pages(rng.randrange(10)), count, protection, kind="stack" if kind == "stack" else "mapping", shared=kind == "shared",
                      object_=object_, first_page=rng.randrange(12))
    return space, begin, count, kind


def _random_change(faults: FaultsScenario, space: Space, begin: int, count: int, kind: str) -> None:
    """What a program does to its memory now and then."""
    rng = faults.random
    first = rng.randrange(count)
    length = rng.randrange(1, count - first + 1)
    at = begin + pages(first)
    if rng.random() < 0.5 and at >= DATA_BEGIN:
        space.protect(at, length, rng.choice(("rw-", "rw-", "r--", "---")))
    elif kind in ("mapping", "stack"):
        space.discard(at, length)
    resident = len(space.plan.pages)
    space.limits(resident=resident + rng.randrange(40) if rng.random() < 0.3 else 1 << 20, stack=rng.randrange(30, 50))
