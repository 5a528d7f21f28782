"""The tests of lab 05-spaces about protect()."""

from __future__ import annotations

from labs.spaces import WHOLE, SpacesScenario, pages
from labs.test_05_spaces import edges
from oracle.areas import PAGE, PROTECTION, READ, WRITE, attributes


def test_protect(spaces: SpacesScenario) -> None:
    """The head, the tail, the middle or all of an area gets another protection. What had it already is not shown to the visitor."""
    rng = spaces.random
    for object_ in (0, spaces.object()):
        areas = spaces.create()
        at = spaces.address(pages(1000))
        for part in ("head", "tail", "middle", "all", "one page"):
            size = rng.randrange(8, 30)
            before = spaces.attributes()
            areas.insert(at, at + pages(size), before, object_, rng.randrange(1 << 20) if object_ else 0, note=part)
            cut, more = pages(rng.randrange(1, 4)), pages(rng.randrange(4, size - 1))
            low, high = {"head": (at, at + cut), "tail": (at + more, at + pages(size)), "middle": (at + cut, at + more), "all": (at, at + pages(size)),
                         "one page": (at + more, at + more + PAGE)}[part]
            protection = spaces.other_protection(before)
            areas.protect(low, high, protection, note=part)
            areas.list()
            areas.protect(low, high, protection, note="again: nothing changes")
            areas.list()
            edges(areas, low, high)
            at += pages(size + rng.randrange(1, 9))
        low = areas.plan.areas[0].begin
        areas.protect(low, low + PAGE, spaces.other_protection(areas.plan.areas[0].attributes), silent=True, note="without a visitor")
        areas.list()
    _several(spaces)
    spaces.boot()


def _several(spaces: SpacesScenario) -> None:
    """A range over several areas: each part that had another protection is shown, lowest address first; all else stays as it was."""
    rng = spaces.random
    areas = spaces.create()
    for _ in range(6):
        at = begin = spaces.address(pages(300))
        areas.remove(*WHOLE, silent=True, note="once more from the start")
        for _ in range(8):
            size = pages(rng.randrange(2, 9))
            areas.insert(at, at + size, spaces.attributes(), object_ := rng.choice((0, spaces.object())), rng.randrange(1 << 20) if object_ else 0)
            at += size
        low, high = begin + pages(rng.randrange(0, 5)), at - pages(rng.randrange(0, 5))
        areas.protect(low, high, spaces.protection())
        areas.list()
        middle = low + pages((high - low) // PAGE // 2)
        areas.protect(middle - PAGE, middle + PAGE, spaces.protection())
        areas.list()
        areas.protect(begin, at, spaces.protection())
        areas.list()


def test_protect_merges(spaces: SpacesScenario) -> None:
    """Areas that continue each other after the change are one: inside the range, and with the neighbours below and above it."""
    rng = spaces.random
    rw = READ | WRITE
    for object_ in (0, spaces.object()):
        areas = spaces.create()
        first = rng.randrange(1 << 20) if object_ else 0
        at = spaces.address(pages(400))
        for sizes in ([rng.randrange(2, 9) for _ in range(3)] for _ in range(6)):
            begins = [at, at + pages(sizes[0]), at + pages(sizes[0] + sizes[1]), at + pages(sum(sizes))]
            kind = rng.randrange(4)
            for i, protection in enumerate((READ, rw, READ)):
                areas.insert(begins[i], begins[i + 1], attributes(protection, kind), object_, first + (begins[i] - at) // PAGE if object_ else 0)
            areas.list()
            way = rng.choice(("middle", "sides", "border", "there and back"))
            if way == "middle":
                areas.protect(begins[1], begins[2], READ, note="the middle as its sides")
            elif way == "sides":
                areas.protect(begins[0], begins[1], rw, note="the left side as the middle")
                areas.protect(begins[2], begins[3], rw, note="the right side as the middle")
            elif way == "border":
                areas.protect(begins[1], begins[1] + PAGE, READ, note="the border moves up")
                areas.protect(begins[2], begins[2] + PAGE, rw, note="and the other one")
            else:
                areas.protect(begins[0] + PAGE, begins[2], PROTECTION)
                areas.list()
                areas.protect(begins[0] + PAGE, begins[2], READ, note="all one at last")
            areas.list()
            edges(areas, *begins)
            at = begins[3] + pages(rng.randrange(1, 9))
    spaces.boot()


def test_protect_holes(spaces: SpacesScenario) -> None:
    """Where any page of the range is in no area, protect() refuses with NotMapped, and nothing has changed: neither before the hole nor behind it."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(100))
    sizes = [rng.randrange(4, 9) for _ in range(4)]
    parts = []
    at = begin
    for i, size in enumerate(sizes):
        areas.insert(at, at + pages(size), attributes(READ | WRITE, i % 2))
        parts.append((at, at + pages(size)))
        at += pages(size + (1 if i == 1 else 0))  # a hole of one page behind the second
    hole = parts[1][1]
    for low, high in ((begin, at), (begin + PAGE, at - PAGE), (parts[1][0], hole + PAGE), (hole, hole + PAGE), (hole, at), (hole - PAGE, hole + pages(2)), (begin - PAGE, begin + PAGE),
                      (begin - PAGE, begin), (at - PAGE, at + PAGE), (at, at + PAGE), (begin - pages(5), at + pages(5)), WHOLE):
        areas.protect(low, high, READ, note="a page is missing")
        areas.list()
    areas.protect(begin, hole, READ, note="up to the hole")
    areas.protect(hole + PAGE, at, READ, note="from behind it")
    areas.list()
    spaces.boot()
