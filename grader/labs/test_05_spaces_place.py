"""The tests of lab 05-spaces about place()."""

from __future__ import annotations

import math

from judge.scenario import expect
from labs.spaces import WHOLE, SpaceSet, SpacesScenario, pages
from oracle.areas import PAGE, READ, USER_BEGIN, USER_END, Placement, attributes

PLACES_LINE = 4096
BUCKETS = 16


def some_areas(spaces: SpacesScenario, areas: SpaceSet, begin: int, window: int, count: int) -> None:
    """Areas at random in a window of so many pages."""
    rng = spaces.random
    for at in rng.sample(range(window), min(count, window)):
        size = rng.randrange(1, max(window // count // 2, 2))
        areas.insert(begin + pages(at), begin + pages(min(at + size, window)), attributes(READ, rng.randrange(4)), note="some are refused")


def test_place(spaces: SpacesScenario) -> None:
    """Without guard pages and chance: the highest begin that is possible. Gaps that just fit are taken, smaller ones are not; the window's ends are pages like any
    other; where nothing is possible, Error::OutOfMemory."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(200))
    end = begin + pages(64)
    for wanted in (1, 5, 64, 65, 1 << 20, 0xFFFF_FFFF):
        areas.place(Placement(wanted, begin, end, guard_pages=0), note="an empty window")
    areas.insert(begin + pages(10), begin + pages(20), attributes(READ))
    areas.insert(begin + pages(40), begin + pages(64 + rng.randrange(1, 9)), attributes(READ), note="reaches over the window's end")
    areas.insert(begin - pages(3), begin + pages(2), attributes(READ), note="reaches into the window from below")
    for wanted in (1, 7, 8, 9, 19, 20, 21, 64):
        areas.place(Placement(wanted, begin, end, guard_pages=0))
    for low, high in ((2, 10), (3, 10), (2, 9), (10, 20), (9, 21), (0, 64), (20, 40), (15, 45)):
        areas.place(Placement(8, begin + pages(low), begin + pages(high), guard_pages=0), note="another window")
    areas.insert(begin + pages(2), begin + pages(10), attributes(READ, 1))
    areas.insert(begin + pages(20), begin + pages(40), attributes(READ, 1))
    areas.place(Placement(1, begin, end, guard_pages=0), note="the window is full")
    for it in (Placement(1, *WHOLE, guard_pages=0), Placement(rng.randrange(1000, 5000), *WHOLE, guard_pages=0)):
        areas.place(it, note="nearly all of the user range")
    areas.list(note="place() changes nothing")
    spaces.boot()


def test_place_guards(spaces: SpacesScenario) -> None:
    """guard_pages pages stay free towards areas, below and above, and those may lie outside the window; towards the window's ends none are needed."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(400))
    window = rng.randrange(50, 60)
    end = begin + pages(window)
    for guard in (1, rng.randrange(2, 6), window + 5, 0xFFFF_FFFF):
        areas.place(Placement(window, begin, end, guard_pages=guard), note="no area anywhere near")
        areas.place(Placement(1, begin, end, guard_pages=guard))
    areas.insert(end, end + PAGE, attributes(READ), note="right behind the window")
    areas.insert(begin - pages(2), begin - PAGE, attributes(READ), note="a page below the window")
    for guard in (0, 1, 2, 3):
        for wanted in (1, window - guard - max(guard - 1, 0), window - guard - max(guard - 1, 0) + 1):
            areas.place(Placement(wanted, begin, end, guard_pages=guard))
            areas.place(Placement(wanted, begin, end, guard_pages=guard, random=0xFFFF_FFFF))
    areas.insert(begin + pages(20), begin + pages(25), attributes(READ))
    for guard in (0, 1, 2, 4, window, 1 << 20, 0xFFFF_FFFF):
        for number in (0, 1, 7, 19, 0xFFFF_FFFF):
            areas.place(Placement(rng.randrange(1, 9), begin, end, guard_pages=guard, random=number))
    for guard in (1, 3):  # gaps that are just large enough, or a page too small
        for gap in (2 * guard, 2 * guard + 1, 2 * guard + 2):
            at = spaces.address(pages(100))
            areas.insert(at, at + pages(10), attributes(READ))
            areas.insert(at + pages(10 + gap), at + pages(20 + gap), attributes(READ))
            areas.place(Placement(1, at, at + pages(20 + gap), guard_pages=guard), note=f"a gap of {gap} pages")
            areas.place(Placement(2, at, at + pages(20 + gap), guard_pages=guard), note=f"a gap of {gap} pages")
    spaces.boot()


def test_place_alignment(spaces: SpacesScenario) -> None:
    """Begins are multiples of the alignment, counted from address 0 and not from the window or the gap; guard pages and ends need not be aligned."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(4096), high=0x8000_0000)
    end = begin + pages(rng.randrange(600, 1000))
    for round_ in range(3):
        for shift in (0, 1, 3, 6, 8, 10, 19):
            alignment = PAGE << shift
            wanted = rng.randrange(1, 20)
            for number in (0, 1, rng.randrange(1, 50), 0xFFFF_FFFF):
                areas.place(Placement(wanted, begin, end, alignment, random=number, guard_pages=rng.randrange(3)))
        some_areas(spaces, areas, begin, (end - begin) // PAGE, 8 * (round_ + 1))
    areas.place(Placement(1, *WHOLE, 0x8000_0000), note="one begin in all of the address space")
    areas.place(Placement(1, USER_BEGIN, 0x8000_0000, 0x8000_0000), note="and none in this window")
    spaces.boot()


def test_place_hint(spaces: SpacesScenario) -> None:
    """The hint is taken when it is possible: in the window, aligned, free, with guard pages. Else chance decides, as if there were no hint."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(400), 0x2000_0000)
    end = begin + pages(80)
    areas.insert(begin + pages(20), begin + pages(30), attributes(READ))
    areas.insert(begin + pages(60), begin + pages(70), attributes(READ))
    for guard in (0, 1, 3):
        for hint in (0, begin, end - pages(5), end - pages(4), begin - PAGE, begin + pages(20), begin + pages(25), begin + pages(15 - guard), begin + pages(16 - guard),
                     begin + pages(30 + guard), begin + pages(29 + guard), begin + pages(55 - guard), begin + pages(56 - guard), begin + pages(40) + rng.randrange(1, PAGE),
                     end, USER_END - PAGE, USER_END, 0xFFFF_F000, PAGE, 0xFFFF_FFFF):
            areas.place(Placement(5, begin, end, hint=hint, random=rng.getrandbits(32), guard_pages=guard))
    for hint in (begin + pages(40), begin + pages(41), (begin + pages(47)) // pages(8) * pages(8), (begin + pages(47)) // pages(8) * pages(8) + PAGE):
        areas.place(Placement(2, begin, end, pages(8), hint=hint, random=rng.getrandbits(32)), note="a multiple of 8 pages, or none")
    areas.place(Placement(81, begin, end, hint=begin, random=3), note="more than the window")
    areas.place(Placement(0xFFFF_FFFF, begin, end, hint=begin + pages(40)), note="more than there is")
    areas.place(Placement(2, begin, end, hint=begin + pages(40), guard_pages=0xFFFF_FFFF))
    spaces.boot()


def test_place_random(spaces: SpacesScenario) -> None:
    """random counts the possible begins from the highest down and starts again after the last: every one of them, over all gaps."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(200))
    areas.insert(begin + pages(4), begin + pages(5), attributes(READ), note="the contract's example")
    for number in range(7):
        areas.place(Placement(3, begin, begin + pages(10), random=number))
    for count, window in ((3, 40), (6, 60), (12, 400), (30, 5000)):
        at = spaces.address(pages(6000))
        end = at + pages(window)
        some_areas(spaces, areas, at, window, count)
        it = Placement(rng.randrange(1, 6), at, end, guard_pages=rng.randrange(3))
        total = sum(map(len, areas.plan.possible_begins(it)))
        numbers = [*range(min(total, 12)), total - 1, total, total + 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF, *(rng.getrandbits(32) for _ in range(20))]
        for number in numbers:
            areas.place(Placement(it.pages, at, end, random=max(number, 0), guard_pages=it.guard_pages))
        areas.place(Placement(it.pages, at, end, 4 * PAGE, random=rng.getrandbits(32), guard_pages=it.guard_pages))
    for number in (0, 1, 0xFFFF_FFFF, rng.getrandbits(32)):
        areas.place(Placement(rng.randrange(1, 100), *WHOLE, random=number), note="nearly all of the user range")
    areas.list(note="place() changes nothing")
    spaces.boot()


def test_place_spread(spaces: SpacesScenario) -> None:
    """Over thousands of random numbers each part of a window is hit as often as it has possible begins: places cannot be guessed."""
    rng = spaces.random
    areas = spaces.create()
    window = 16 * 1024
    begin = spaces.address(pages(window), high=0x9000_0000) & -pages(1024)
    calls = PLACES_LINE
    sizes = rng.randrange(1, 9)

    def scatter() -> object:
        return spaces.op("areas.scatter", areas.slot, sizes, PAGE, begin, begin + pages(window), rng.getrandbits(31) | 1, calls, 1, BUCKETS)

    free = scatter()
    wall = begin + pages(window // 4)
    areas.insert(wall, wall + pages(window // 2), attributes(READ), note="half of the window, in its middle")
    some = scatter()
    spaces.boot()
    rows = []
    for op, what in ((free, "a free window"), (some, "half of it taken")):
        failed, *hits = op.values
        expect(failed == 0, f"place() finds one of thousands of possible begins in {what}", f"{failed} of {calls} calls failed or left the window", operation=op.number)
        parts = [i for i in range(BUCKETS) if op is free or not BUCKETS // 4 <= i < 3 * BUCKETS // 4]
        expected = calls / len(parts)
        outside = sum(hit for i, hit in enumerate(hits) if i not in parts)
        expect(outside <= 2, f"{what}: begins lie where no area is", f"{outside} of {calls} do not", operation=op.number)
        # Binomial: five standard deviations and the pages lost at the edges are room enough for chance.
        room = 5 * math.sqrt(expected) + expected * 0.02
        worst = max(parts, key=lambda i: abs(hits[i] - expected))
        expect(abs(hits[worst] - expected) <= room, f"{calls} random numbers hit each {len(parts)}th of {what} about {expected:.0f} times, give or take {room:.0f}",
               f"part {worst} of {BUCKETS} was hit {hits[worst]} times; all: {' '.join(map(str, hits))}",
               "Every possible begin has the same chance: count them over all gaps, then take number random modulo that count.", operation=op.number)
        entropy = -sum(hit / calls * math.log2(hit / calls) for hit in hits if hit)
        rows.append([what, calls, len(parts), round(entropy, 3), round(math.log2(len(parts)), 3)])
    spaces.table("Chance in place()", ["window", "calls", "parts that are free", "entropy of the part hit, bits", "most possible, bits"], rows)


def test_place_arguments(spaces: SpacesScenario) -> None:
    """place() looks at what it is asked: pages, alignment, window."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(100), 0x2000_0000, 0xB000_0000)
    end = begin + pages(50)
    areas.insert(begin + pages(10), begin + pages(12), attributes(READ))
    bad = [Placement(0, begin, end), Placement(0, begin, end, hint=begin + pages(20)), Placement(1, begin, begin), Placement(1, 0, 0)]
    bad += [Placement(1, begin, end, alignment) for alignment in (0, 1, 2, 2048, 4095, 4097, 3 * PAGE, PAGE + 2048, 0xFFFF_FFFF, 0xC000_0000)]
    bad += [Placement(1, begin + 1, end), Placement(1, begin, end - rng.randrange(1, PAGE)), Placement(1, begin + 2048, end + 2048)]
    bad += [Placement(1, 0, pages(1)), Placement(1, 0, end), Placement(1, USER_BEGIN - PAGE, end), Placement(1, begin, USER_END + PAGE), Placement(1, begin, 0xFFFF_F000),
            Placement(1, begin, 0), Placement(1, end, begin), Placement(1, USER_END, USER_BEGIN), Placement(1, 0xFFFF_F000, 0), Placement(1, 0xD000_0000, 0xD100_0000)]
    for it in bad:
        areas.place(it)
    areas.place(Placement(1, begin, end), note="and this is fine")
    areas.place(Placement(1, USER_BEGIN, USER_END), note="so is all of the user range")
    areas.place(Placement(1, USER_BEGIN, USER_BEGIN + PAGE, guard_pages=3), note="its lowest page")
    areas.place(Placement(1, USER_END - PAGE, USER_END, guard_pages=3), note="its highest page")
    areas.list()
    spaces.boot()
