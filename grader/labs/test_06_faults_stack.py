"""The tests of lab 06-faults about stacks that grow."""

from __future__ import annotations

from labs.faults import FaultsScenario, Space, pages
from oracle.faults import BELOW_STACK_POINTER, DATA_BEGIN, PAGE, USER_BEGIN


def stack(faults: FaultsScenario, space: Space, size: int = 2, room: int = 300, protection: str = "rw-") -> int:
    """A stack of so many pages with room below. Its begin."""
    return space.map(faults.place(size + room) + pages(room), size, protection, kind="stack")


def test_stack_grows(faults: FaultsScenario) -> None:
    """A stack grows down to the page that is touched near its stack pointer: by the next page, and by many at once. It stays one area, and only touched
    pages are present."""
    rng = faults.random
    faults.soil_memory()
    space = faults.space()
    begin = stack(faults, space)
    space.write(begin + pages(2) - 4, stack_pointer=begin + pages(2))
    space.write(begin - 4, stack_pointer=begin, note="a push onto the next page")
    space.read(begin - PAGE + 8, stack_pointer=begin - PAGE, note="that page once more")
    for grown in (1, 16, rng.randrange(2, 30)):
        low = space.plan.areas[0].begin - pages(grown) + rng.randrange(1, PAGE // 4) * 4
        space.write(low, stack_pointer=low, who=rng.choice(("user", "kernel")), note=f"a local variable of {grown} pages")
        space.poke(low)
        for _ in range(3):
            at = rng.randrange(low, begin)
            space.write(at, stack_pointer=low, note="in the variable")
    faults.state("grown")
    below = space.plan.areas[0].begin
    space.read(below - 1, stack_pointer=below - 64, note="a read makes it grow, too")
    other = stack(faults, space, rng.randrange(1, 5))
    space.write(other - 1, stack_pointer=other - 1, note="another stack in the same space")
    faults.state("two stacks")
    faults.boot()


def test_stack_pointer(faults: FaultsScenario) -> None:
    """A stack grows for what lies above the stack pointer, or at most 32 bytes below it, as PUSHA does; one byte more is an access to nothing."""
    rng = faults.random
    space = faults.space()
    for _ in range(3):
        begin = stack(faults, space)
        at = begin - pages(rng.randrange(2, 9)) + rng.randrange(64, PAGE - 64)
        for below in (BELOW_STACK_POINTER + 1, BELOW_STACK_POINTER + 4, PAGE - 1, PAGE, PAGE + BELOW_STACK_POINTER, 0x1_0000):
            space.write(at, stack_pointer=at + below, note=f"{below} bytes below ESP")
        space.write(begin - 1, stack_pointer=begin + BELOW_STACK_POINTER, note="33 bytes below ESP, on the page below the stack")
        space.write(begin - 1, stack_pointer=begin + BELOW_STACK_POINTER - 1, note="32 bytes below ESP")
        space.resolve(at, rng.choice(("read", "write")), rng.choice(("user", "kernel")), stack_pointer=at + BELOW_STACK_POINTER, note="32 bytes below ESP")
    for pointer in (0, 1, 31, 32, USER_BEGIN, None):
        begin = stack(faults, space)
        at = faults.inside(begin - pages(rng.randrange(1, 200)))
        space.write(at, stack_pointer=at - rng.randrange(1 << 16) if pointer is None else pointer, note="anywhere above ESP")
    begin = stack(faults, space)
    for pointer in (0xFFFF_FFFF, 0xFFFF_FFF0, 0xC000_0000):
        space.write(begin - 8, stack_pointer=pointer, note="far below ESP")
    faults.state("as near as may be")
    faults.boot()


def test_stack_limit(faults: FaultsScenario) -> None:
    """A stack has at most as many pages as the limit says, all of it counted; not one more."""
    rng = faults.random
    space = faults.space()
    for limit in (2, rng.randrange(5, 40), 256):
        space.limits(stack=limit)
        size = rng.randrange(1, min(limit, 6))
        begin = stack(faults, space, size)
        top = begin + pages(size)
        lowest = top - pages(limit)
        space.write(lowest - 1, stack_pointer=lowest - 8, note="one page too many")
        space.write(faults.inside(lowest - pages(rng.randrange(2, 40))), stack_pointer=0)
        middle = rng.randrange(lowest, begin)
        space.write(middle, stack_pointer=middle)
        space.write(lowest - 1, stack_pointer=lowest - 8, note="still one page too many")
        space.write(lowest, stack_pointer=lowest, note="the last page that it may have")
        space.write(lowest - 4, stack_pointer=lowest, note="none is left")
    space.limits(stack=1)
    small = stack(faults, space, 3)
    space.write(small - 4, stack_pointer=small, note="larger than its limit already")
    space.write(small + 4, stack_pointer=small, note="what it has it may use")
    faults.state("at their limits")
    faults.boot()


def test_stack_guard(faults: FaultsScenario) -> None:
    """A page stays free below a grown stack, towards whatever area lies there and towards the end of the user range; the limit counts first, the space's
    limit of pages last."""
    rng = faults.random
    space = faults.space()
    for kind in ("mapping", "stack", "heap"):
        gap = rng.randrange(3, 20)
        place = faults.place(400)
        other = space.map(place, rng.randrange(1, 9), rng.choice(("rw-", "r--", "---")), kind=kind)
        end = space.plan.find(other).end
        begin = space.map(end + pages(gap), 2, kind="stack")
        space.write(end, stack_pointer=end - 8 if kind != "stack" else end, note="the page at the other area")
        space.write(end + PAGE - 1, stack_pointer=end, note="still that page")
        space.write(end + PAGE, stack_pointer=end, note="one page stays free")
        space.write(end + PAGE - 1, stack_pointer=0, note="and still does")
        space.limits(stack=gap)
        far = space.map(space.plan.find(begin).end + pages(gap), 2, kind="stack", note="right above")
        space.write(far - pages(gap) + 4, stack_pointer=0, note="past its limit, and without a free page below: the limit counts")
        space.limits()
    low = space.map(USER_BEGIN + pages(3), 2, "r--", kind="stack", note="near the begin of the user range")
    space.read(low - PAGE, stack_pointer=low - PAGE)
    space.read(USER_BEGIN, stack_pointer=0, note="its first page is the guard page of the range")
    space.read(USER_BEGIN + PAGE, stack_pointer=0)
    begin = stack(faults, space)
    space.limits(mapped=space.plan.mapped + 5)
    space.write(begin - pages(6), stack_pointer=0, note="the space has room for five pages more")
    space.write(begin - pages(4) - 1, stack_pointer=0)
    space.write(begin - pages(5) - 1, stack_pointer=0, note="and now for none")
    faults.state("guarded")
    faults.boot()


def test_stack_only(faults: FaultsScenario) -> None:
    """Only a stack grows, and only the next area above: not a mapping, a heap, an image, nor a stack behind one of these. Its protection is asked afterwards."""
    rng = faults.random
    space = faults.space()
    for kind in ("mapping", "heap", "image"):
        begin = space.map(faults.place(40) + pages(30), rng.randrange(1, 8), kind=kind)
        space.write(begin - 4, stack_pointer=begin, note=f"below an area of kind {kind}")
        space.write(begin - PAGE - 4, stack_pointer=begin - PAGE)
        end = space.plan.find(begin).end
        space.map(end + pages(5), 2, kind="stack")
        space.write(begin - 4, stack_pointer=begin - 4, note="the stack is not the next area")
        space.write(begin - pages(9), stack_pointer=0)
        space.write(end + PAGE + 4, stack_pointer=end, note="below the stack, above the other")
    begin = stack(faults, space, protection="r--")
    space.write(begin - 4, stack_pointer=begin, note="it grows, and may not be written")
    space.read(begin - pages(3), stack_pointer=0)
    space.resolve(begin - pages(5), "fetch", stack_pointer=0, note="nor executed")
    begin = stack(faults, space, protection="---")
    space.read(begin - 4, stack_pointer=0, note="nor read")
    begin = stack(faults, space)
    space.resolve(begin - 4, "fetch", stack_pointer=0)
    space.limits(resident=len(space.plan.pages))
    space.write(begin - pages(4), stack_pointer=0, note="it grows, and there is no room for the page")
    faults.state("only stacks")
    assert DATA_BEGIN <= begin
    faults.boot()
