"""The tests of lab 05-spaces about areas that come, merge, and are found."""

from __future__ import annotations

from judge.scenario import expect
from labs.spaces import WHOLE, SpaceSet, SpacesScenario, pages
from oracle.areas import PAGE, READ, USER_BEGIN, USER_END, WRITE, attributes


def edges(areas: SpaceSet, *addresses: int) -> None:
    """find() and find_from() right before, at, and right behind each address."""
    for address in addresses:
        for at in (address - 1, address, address + 1):
            if 0 <= at < 1 << 32:
                areas.find(at)
                areas.find_from(at)


def test_empty(spaces: SpacesScenario) -> None:
    """A set without areas: nothing is found in it, nothing shown, and there is place everywhere."""
    areas = spaces.create()
    areas.list()
    edges(areas, 0, USER_BEGIN, spaces.address(), USER_END, 0xFFFF_FFFF)
    begin = spaces.address()
    areas.remove(begin, begin + pages(5), note="nothing is there")
    areas.protect(begin, begin + pages(5), READ, note="nothing is there")
    areas.list()
    areas.destroy()
    spaces.boot()


def test_insert(spaces: SpacesScenario) -> None:
    """Areas at any addresses, in any order, with any attributes: the list shows them from the lowest to the highest."""
    rng = spaces.random
    for order in ("ascending", "descending", "any"):
        areas = spaces.create(note=order)
        begins = rng.sample(range(USER_BEGIN // PAGE // 64, USER_END // PAGE // 64), 20)
        if order != "any":
            begins.sort(reverse=order == "descending")
        for number, begin in enumerate(begins):
            at = begin * pages(64) + pages(rng.randrange(20))
            object_ = spaces.object() if rng.random() < 0.4 else 0
            areas.insert(at, at + pages(rng.randrange(1, 40)), spaces.attributes(), object_, rng.randrange(1 << 20) if object_ else 0)
            if number % 5 == 0:
                areas.list()
        areas.list()
    spaces.boot()


def test_find(spaces: SpacesScenario) -> None:
    """find() and find_from() at both ends of areas, inside, between them, below and above all, and at addresses of the kernel."""
    rng = spaces.random
    areas = spaces.create()
    at = spaces.address(pages(2000), high=0x8000_0000)
    corners = [0, 0xFFF, USER_BEGIN, USER_END, 0xFFFF_F000, 0xFFFF_FFFF]
    for _ in range(16):
        size = pages(rng.choice((1, 1, 2, rng.randrange(3, 30))))
        areas.insert(at, at + size, spaces.attributes())
        corners += [at, at + size, at + rng.randrange(size)]
        at += size + pages(rng.choice((0, 0, 1, rng.randrange(2, 30))))
    edges(areas, *corners)
    last = areas.plan.areas[len(areas.plan.areas) // 2]
    areas.remove(last.begin, last.end, note="and without this one")
    edges(areas, last.begin, last.end)
    spaces.boot()


def test_overlap(spaces: SpacesScenario) -> None:
    """A range that shares a page with an area is refused, wherever that page lies; nothing has changed then. One that only touches areas is fine."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(200))
    first, gap, second = rng.randrange(6, 20), rng.randrange(4, 20), rng.randrange(6, 20)
    left = (begin, begin + pages(first))
    right = (left[1] + pages(gap), left[1] + pages(gap + second))
    for area in (left, right):
        areas.insert(*area, attributes(READ | WRITE, 1))
    one, some = pages(1), pages(2)
    for low, high in (left, (left[0] + one, left[1] - one), (left[0] - one, left[1] + one), (left[0] - some, left[0] + one), (left[1] - one, left[1] + some),
                      (left[0], left[0] + one), (left[1] - one, left[1]), (left[1] - one, right[0] + one), (left[0] - one, right[1] + one), right,
                      (left[1], right[0] + one), (right[0] - one, right[0] + one), (right[1] - one, right[1] + pages(40)), WHOLE):
        areas.insert(low, high, rng.choice((attributes(READ | WRITE, 1), attributes(READ, 0))), note="overlaps")
        areas.list()
    areas.insert(left[1], right[0], attributes(READ, 3), note="just fills the gap")
    areas.list()
    spaces.boot()


def test_bad_ranges(spaces: SpacesScenario) -> None:
    """Empty ranges, ends inside a page, null, kernel addresses, and ranges that wrap are refused by insert(), remove() and protect(), and change nothing."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(64), 0x2000_0000, 0xB000_0000)
    areas.insert(begin, begin + pages(20), attributes(READ | WRITE))
    areas.insert(USER_BEGIN, USER_BEGIN + pages(3), attributes(READ), note="the first pages")
    areas.insert(USER_END - pages(3), USER_END, attributes(READ), note="the last pages")
    areas.list()
    inside = begin + pages(rng.randrange(2, 10))
    odd = rng.randrange(1, PAGE)
    bad = [(inside, inside), (0, 0), (inside, inside + odd), (inside + odd, inside + pages(3)), (inside + odd, inside + pages(2) + odd), (inside + 1, inside + 1),
           (0, pages(1)), (0, begin + pages(2)), (0x10_0000, 0x40_0000), (USER_BEGIN - PAGE, USER_BEGIN), (USER_BEGIN - PAGE, USER_BEGIN + PAGE),
           (USER_END - PAGE, USER_END + PAGE), (USER_END, USER_END + PAGE), (0xFFFF_F000, 0), (0xD000_0000, 0xD000_1000),
           (inside + pages(3), inside), (begin + pages(20), begin), (inside, 0), (USER_END, USER_BEGIN), (0xFFFF_F000, begin + pages(2)), (inside, 0xFFFF_F000)]
    for low, high in bad:
        areas.insert(low, high, attributes(READ | WRITE, 1))
        areas.remove(low, high)
        areas.protect(low, high, READ)
        areas.list()
    areas.remove(USER_BEGIN, USER_END, note="the whole user range")
    areas.insert(USER_BEGIN, USER_END, attributes(READ), note="the whole user range")
    areas.list()
    edges(areas, USER_BEGIN, USER_END)
    spaces.boot()


def test_merge(spaces: SpacesScenario) -> None:
    """An area that continues its left neighbour, its right one, or both, becomes one with them, whatever came first; pages of an object too."""
    rng = spaces.random
    for object_ in (0, spaces.object()):
        areas = spaces.create()
        kind, first = spaces.attributes(), rng.randrange(1 << 20) if object_ else 0
        at = spaces.address(pages(600))
        for order in ((0, 1), (1, 0), (0, 2, 1), (2, 0, 1), (2, 1, 0), tuple(rng.sample(range(9), 9))):
            sizes = [rng.randrange(1, 9) for _ in order]
            begins = [at + pages(sum(sizes[:i])) for i in range(len(sizes))]
            for i in order:
                areas.insert(begins[i], begins[i] + pages(sizes[i]), kind, object_, first + (begins[i] - at) // PAGE if object_ else 0)
                areas.list()
            edges(areas, begins[-1])
            at += pages(sum(sizes) + rng.randrange(1, 5))
    spaces.boot()


def test_no_merge(spaces: SpacesScenario) -> None:
    """Neighbours that differ in one attribute stay apart, whichever it is; so do those that show pages of an object which do not follow each other."""
    rng = spaces.random
    one, other, first = spaces.object(), spaces.object(), rng.randrange(100, 1 << 20)
    base = attributes(READ | WRITE, 2)
    size = rng.randrange(2, 9)
    pairs = [((base, 0, 0), (attributes(protection, 2), 0, 0)) for protection in (READ, WRITE, READ | WRITE | 4, 0)]
    pairs += [((attributes(READ, 2), 0, 0), (attributes(READ | 4, 2), 0, 0))]
    pairs += [((base, 0, 0), (attributes(READ | WRITE, kind), 0, 0)) for kind in (0, 1, 3)]
    pairs += [((base, 0, 0), (attributes(READ | WRITE, 2, shared=True), 0, 0))]
    pairs += [((base, one, first), (base, other, first + size)), ((base, one, first), (base, 0, 0)), ((base, 0, 0), (base, one, first))]
    pairs += [((base, one, first), (base, one, page)) for page in (first, first + size - 1, first + size + 1, 0)]
    areas = spaces.create()
    at = spaces.address(pages(2000))
    for left, right in pairs:
        for mirrored in (False, True):
            middle = at + pages(size)
            parts = [(at, middle, *left), (middle, middle + pages(size), *right)]
            for part in parts[::-1] if mirrored else parts:
                areas.insert(*part)
            at += pages(2 * size + 3)
        areas.list()
        areas.remove(*WHOLE, silent=True)
    spaces.boot()


def test_remove(spaces: SpacesScenario) -> None:
    """An area loses its head, its tail, or all of itself; the visitor is shown what is taken out, with the object's page that belongs to it."""
    rng = spaces.random
    for object_ in (0, spaces.object()):
        areas = spaces.create()
        at = spaces.address(pages(1000))
        for part in ("head", "tail", "all", "more than all", "one page at the front", "one page at the back", "from both ends"):
            size = rng.randrange(6, 30)
            begin, end = at, at + pages(size)
            areas.insert(begin, end, spaces.attributes(), object_, rng.randrange(1 << 20) if object_ else 0, note=part)
            cut = pages(rng.randrange(2, size - 2))
            low, high = {"head": (begin - pages(2), begin + cut), "tail": (end - cut, end + pages(2)), "all": (begin, end), "more than all": (begin - PAGE, end + PAGE),
                         "one page at the front": (begin, begin + PAGE), "one page at the back": (end - PAGE, end), "from both ends": (begin, begin + cut)}[part]
            areas.remove(low, high, note=part)
            if part == "from both ends" and cut + PAGE < end - begin:
                areas.remove(end - PAGE, end, note=part)
            areas.list()
            edges(areas, low, high)
            at += pages(size + rng.randrange(6, 20))
        areas.remove(*WHOLE, silent=True, note="without a visitor")
        areas.list()
    spaces.boot()


def test_split(spaces: SpacesScenario) -> None:
    """A hole in the middle makes two areas of one: both keep the attributes, and the upper one shows the pages of the object that it showed before."""
    rng = spaces.random
    areas = spaces.create()
    at = spaces.address(pages(1000))
    for object_ in (0, spaces.object(), 0, spaces.object()):
        size, first = rng.randrange(20, 60), rng.randrange(1 << 20)
        begin, end = at, at + pages(size)
        areas.insert(begin, end, spaces.attributes(), object_, first if object_ else 0)
        for _ in range(3):
            low = rng.randrange(begin // PAGE + 1, end // PAGE - 5) * PAGE
            high = low + pages(rng.randrange(1, 4))
            areas.remove(low, high)
            areas.list()
            edges(areas, low, high)
        areas.insert(begin + pages(size), begin + pages(size + 4), areas.plan.areas[-1].attributes, object_, first + size if object_ else 0, note="continues the last part")
        areas.list()
        at += pages(size + rng.randrange(8, 20))
    spaces.boot()


def test_several(spaces: SpacesScenario) -> None:
    """A range over several areas and holes takes out what is there, lowest address first. Where nothing is, nothing happens."""
    rng = spaces.random
    areas = spaces.create()
    for _ in range(6):
        at = begin = spaces.address(pages(300))
        areas.remove(*WHOLE, silent=True, note="once more from the start")
        for _ in range(9):
            size = pages(rng.randrange(2, 9))
            areas.insert(at, at + size, spaces.attributes(), object_ := rng.choice((0, spaces.object())), rng.randrange(1 << 20) if object_ else 0)
            at += size + pages(rng.choice((0, 1, rng.randrange(2, 9))))
        low, high = begin + pages(rng.randrange(0, 6)), at - pages(rng.randrange(5, 16))
        areas.remove(low, high, note="from the middle of one to the middle of another")
        areas.list()
        areas.remove(low, high, note="once more: nothing is there")
        edges(areas, low, high)
        if areas.plan.areas:  # chance may have taken all
            lowest = areas.plan.areas[0].begin
            areas.remove(lowest - pages(8), lowest, note="touches an area from below")
        areas.list()
    spaces.boot()


def test_readers(spaces: SpacesScenario) -> None:
    """A visitor may read the set in the middle of remove() and protect(): an area that these have nothing to do with is found, and the list is in order."""
    rng = spaces.random
    areas = spaces.create()
    begin = spaces.address(pages(400))
    for i in range(12):
        areas.insert(begin + pages(8 * i), begin + pages(8 * i + 8), attributes(READ | WRITE if i % 2 else READ, i % 3))
    watched = begin + pages(8 * 11 + rng.randrange(8)) + rng.randrange(PAGE)
    spaces.op("areas.nosy", areas.slot, watched, note="from here on the visitor reads the set")
    low, high = begin + pages(rng.randrange(1, 8)), begin + pages(8 * 9 + rng.randrange(1, 8))
    areas.protect(low, high, 0)
    changed = spaces.op("areas.nosy", areas.slot, watched)
    areas.remove(low + pages(9), high - pages(9))
    removed = spaces.op("areas.nosy", "off")
    areas.list()
    spaces.boot()
    for op, what in ((changed, "protect()"), (removed, "remove()")):
        calls, well = op.values
        expect(calls > 0 and well == calls, f"a visitor of {what} may read the set: for_each() shows areas in order, as many as count() says, and find() knows the one at {watched:#x}",
               f"in {calls - well} of {calls} calls that was not so", "Have the set in order whenever you call somebody: change first, then tell.", operation=op.number)


def test_many_sets(spaces: SpacesScenario) -> None:
    """Sets know nothing of each other: the same addresses in many sets are different areas, and a set that goes takes nothing along."""
    rng = spaces.random
    sets = [spaces.create() for _ in range(8)]
    begin = spaces.address(pages(100))
    for round_ in range(3):
        for areas in rng.sample(sets, len(sets)):
            for _ in range(4):
                at = begin + pages(rng.randrange(60))
                areas.insert(at, at + pages(rng.randrange(1, 10)), spaces.attributes())
            at = begin + pages(rng.randrange(60))
            areas.remove(at, at + pages(rng.randrange(1, 10)))
        for areas in sets:
            areas.list()
        gone = sets.pop(rng.randrange(len(sets)))
        gone.destroy()
        for areas in sets:
            areas.list(note="another set was destroyed")
        if round_ == 1:
            sets.append(spaces.create(note="perhaps in the memory of the one that went"))
    spaces.boot()

