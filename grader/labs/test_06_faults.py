"""The tests of lab 06-faults about memory of zeros, and about accesses that are wrong."""

from __future__ import annotations

from labs.faults import PAGE, FaultsScenario, pages
from oracle.faults import USER_BEGIN, USER_END


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


def test_reject(faults: FaultsScenario) -> None:
    """Every access that an area forbids, and every address in no area, is refused with its reason, and nothing appears."""
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
