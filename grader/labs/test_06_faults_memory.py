"""The tests of lab 06-faults about large pages, limits, and memory that is short."""

from __future__ import annotations

from collections.abc import Callable

from judge.scenario import expect
from labs.faults import FaultsScenario, Space, pages
from oracle.faults import DATA_BEGIN, PAGE, SLOT

LARGE = SLOT * PAGE
DATA_SLOT = DATA_BEGIN + LARGE


def big(faults: FaultsScenario, slots: int) -> int:
    """Free 4 MiB of user addresses, so many in a row, with as many free around."""
    return faults.place(slots * SLOT, DATA_SLOT, aligned=SLOT, margin=SLOT)


def test_large(faults: FaultsScenario) -> None:
    """The first write to an untouched, aligned 4 MiB of a private area brings one large page of zeros; where they do not lie in the area whole, a small page."""
    rng = faults.random
    faults.machine = faults.machine_of(64)
    faults.soil_memory()
    space = faults.space()
    begin = big(faults, 4)
    edge = pages(rng.randrange(1, SLOT))
    area = space.map(begin + edge, 3 * SLOT - 5, note="its first and last 4 MiB are not whole")
    end = area + pages(3 * SLOT - 5)
    slots = [at for at in range(begin + LARGE, end, LARGE)]
    space.write(faults.inside(area), note="4 MiB that begin before the area")
    space.write(faults.inside(begin + LARGE - PAGE))
    for at in slots[:-1]:
        space.write(rng.randrange(at, at + LARGE), who=rng.choice(("user", "kernel")), note="whole")
    space.write(faults.inside(end - PAGE), note="4 MiB that end behind the area")
    space.write(faults.inside(slots[-1]))
    for offset in (0, 1, 511, SLOT - 1):
        space.poke(slots[0] + pages(offset) + rng.randrange(PAGE))
    faults.state("large where they fit")
    for at in slots[:-1]:
        space.resolve(rng.randrange(at, at + LARGE), rng.choice(("read", "write")), note="present already")
    exact = space.map(big(faults, 1), SLOT, note="just one")
    space.write(rng.randrange(exact, exact + LARGE))
    stack = space.map(big(faults, 1), SLOT, kind="stack")
    space.write(rng.randrange(stack, stack + LARGE), stack_pointer=stack, note="of whatever kind the area is")
    faults.state("and exactly so")
    faults.boot()


def test_large_not(faults: FaultsScenario) -> None:
    """Small pages stay small: where anything of the 4 MiB was touched before, for reads, and for pages of objects. Emptied again, they are as untouched."""
    rng = faults.random
    faults.machine = faults.machine_of(64)
    space = faults.space()
    area = space.map(big(faults, 3), 3 * SLOT)
    for at in (area, area + LARGE):
        space.read(rng.randrange(at, at + LARGE), note="a read: the zero frame")
        space.write(rng.randrange(at, at + LARGE), note="a page is there")
        space.write(rng.randrange(at, at + LARGE))
    space.discard(area, SLOT)
    space.write(rng.randrange(area, area + LARGE), note="untouched again")
    memory = faults.shared_memory(SLOT)
    shared = space.map(big(faults, 1), SLOT, object_=memory, shared=True)
    private = space.map(big(faults, 1), SLOT, object_=memory)
    space.write(rng.randrange(shared, shared + LARGE), note="shared memory")
    space.write(rng.randrange(private, private + LARGE), note="a private copy of it")
    half = big(faults, 1)
    space.map(half, SLOT // 2)
    space.map(half + LARGE // 2, SLOT // 2, "r--", note="two areas share the 4 MiB")
    space.write(rng.randrange(half, half + LARGE // 2))
    faults.state("small")
    faults.boot()


def test_large_short(faults: FaultsScenario) -> None:
    """Where no run of 1024 frames is at hand, or the limit of resident pages leaves no room for it, it is the one small page, and the run has gone back."""
    rng = faults.random
    faults.machine = faults.machine_of(64)
    space = faults.space()
    area = space.map(big(faults, 5), 5 * SLOT)
    room = rng.randrange(1, SLOT)
    space.limits(resident=room)
    space.write(rng.randrange(area, area + LARGE), note="no room for 1024 pages")
    space.limits(resident=SLOT)
    space.write(rng.randrange(area + LARGE, area + 2 * LARGE), note="one too few")
    space.limits(resident=SLOT + 2)
    space.write(rng.randrange(area + 2 * LARGE, area + 3 * LARGE), note="just enough")
    space.write(faults.inside(area), note="and now for none")
    space.limits()
    faults.state("by the limit")
    faults.take_runs()
    space.write(rng.randrange(area + 3 * LARGE, area + 4 * LARGE), note="no run is left")
    space.write(rng.randrange(area + 3 * LARGE, area + 4 * LARGE))
    faults.limit(0)
    space.write(rng.randrange(area + 4 * LARGE, area + 5 * LARGE), note="nor a frame")
    faults.limit(None)
    faults.state("without runs")
    faults.boot()


def test_memory(faults: FaultsScenario) -> None:
    """Without memory a fault is answered OutOfMemory, whichever frame is the one that is missing, and nothing has changed; with memory it goes well."""
    rng = faults.random
    space = faults.space()
    faults.watch_calls()
    file, memory = faults.file(pages(12)), faults.shared_memory(8)

    def starve(access: str, at: int, most: int = 4, **more: int) -> None:
        for frames in range(most):
            faults.limit(frames)
            space.resolve(at, access, rng.choice(("user", "kernel")), **more, note=f"{frames} frames can be had")
            faults.limit(None)
        faults.state(f"{access} of {at:#x}")

    plain = space.map(faults.place(12), 12)
    starve("read", faults.inside(plain))
    starve("write", faults.inside(plain + pages(1)))
    starve("write", faults.inside(space.map(faults.place(12, aligned=SLOT), 12)))
    for access in ("read", "write"):
        starve(access, faults.inside(space.map(faults.place(1, aligned=SLOT), 1, object_=file, first_page=rng.randrange(8))))
    starve("write", faults.inside(space.map(faults.place(8, aligned=SLOT), 8, object_=memory, shared=True) + pages(rng.randrange(8))))
    starve("write", faults.inside(plain))
    faults.boot()


def test_memory_stack(faults: FaultsScenario) -> None:
    """The same for stacks: one that has grown stays so, without the page; where it could not grow, nothing has changed."""
    rng = faults.random
    space = faults.space()
    for _ in range(3):
        begin = space.map(faults.place(40, aligned=SLOT) + pages(38), 2, kind="stack")
        at = faults.inside(begin - pages(rng.randrange(1, 30)))
        for frames in (0, 1, 2, 3, 40):
            faults.limit(frames)
            space.resolve(at, "write", rng.choice(("user", "kernel")), stack_pointer=at - 8, note=f"{frames} frames can be had")
            faults.limit(None)
        space.write(at, stack_pointer=at, note="there is memory again")
        faults.state(f"a stack at {begin:#x}")
    faults.boot()


def test_resident(faults: FaultsScenario) -> None:
    """A space that has as many pages present as it may gets no more: OutOfMemory, and no frame or reference is lost. What is present stays usable."""
    rng = faults.random
    space, other = faults.space(), faults.space()
    file, memory = faults.file(pages(8)), faults.shared_memory(8)
    plain, mapped = space.map(faults.place(20), 20), space.map(faults.place(8), 8, object_=file)
    shared = space.map(faults.place(8), 8, object_=memory, shared=True)
    faults.load(file, 0, 1, 2)
    most = rng.randrange(4, 9)
    space.limits(resident=most)
    numbers = rng.sample(range(20), 14)
    for number in numbers[:most]:
        space.resolve(faults.inside(plain + pages(number)), rng.choice(("read", "write")))
    for number in numbers[most:]:
        space.resolve(faults.inside(plain + pages(number)), rng.choice(("read", "write")), note="one too many")
    for access in ("read", "write"):
        for number in (1, 2, 5):
            space.resolve(faults.inside(mapped + pages(number)), access, note="one too many")
            space.resolve(faults.inside(shared + pages(number)), access, note="one too many")
    for number in numbers[:most]:
        space.write(faults.inside(plain + pages(number)), note="is present: its own frame, or a copy for the zero frame")
    faults.state("full")
    begin = other.map(faults.place(4), 4)
    other.write(faults.inside(begin), note="another space has a limit of its own")
    space.limits(resident=most + 1)
    space.write(faults.inside(plain + pages(numbers[most])))
    space.write(faults.inside(plain + pages(numbers[most + 1])))
    faults.state("one more")
    faults.boot()


def test_all_back(faults: FaultsScenario) -> None:
    """When spaces and objects are gone, whatever faults happened in them, as many frames are in use as before."""
    rng = faults.random
    faults.machine = faults.machine_of(64)
    _life(faults, "warm", lambda space, at, access: space.resolve(at, access))
    before = faults.op("areas.memory")
    for name in ("first", "second"):
        _life(faults, name, lambda space, at, access: space.resolve(at, access, rng.choice(("user", "kernel")), stack_pointer=at))
    after = faults.op("areas.memory")
    faults.boot()
    more = after.values[1] - before.values[1]
    expect(more == 0, "after the last space has gone, as many frames are in use as before the first", f"{more} more",
           "Each reference that a page does not keep must go back: those of page(), of allocate(), of share().", operation=after.number)


def _life(faults: FaultsScenario, name: str, touch: Callable[[Space, int, str], object]) -> None:
    """A space with everything, its faults, and its end."""
    rng = faults.random
    space = faults.space(note=name)
    file, memory = faults.file(pages(8), broken=6), faults.shared_memory(8)
    plain, large = space.map(faults.place(20), 20), space.map(big(faults, 1), SLOT)
    mapped, shared = space.map(faults.place(12), 12, object_=file), space.map(faults.place(12), 12, object_=memory, shared=True)
    stack = space.map(faults.place(60) + pages(50), 4, kind="stack")
    for begin, count in ((plain, 20), (large, SLOT), (mapped, 12), (shared, 12)):
        for i, number in enumerate(rng.sample(range(count), 10)):
            # Of the file's pages only the first is read: no other is there yet that could come along.
            touch(space, faults.inside(begin + pages(number)), "write" if begin == mapped and i else rng.choice(("read", "write")))
    for number in (1, 9, 70):
        touch(space, faults.inside(stack - pages(number)), "write")
    space.limits(resident=len(space.plan.pages) + 1)
    for number in range(12):
        touch(space, faults.inside(plain + pages(number)), "write")
    space.destroy()
    for number in (file, memory):
        faults.op("object.release", number)
