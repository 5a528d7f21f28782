"""The tests of lab 05-spaces about memory, thousands of operations at random, and cost."""

from __future__ import annotations

from judge.scenario import Op, expect
from labs.spaces import SpaceSet, SpacesScenario, error_name, pages
from oracle.areas import PAGE, READ, USER_END, WRITE, Placement, attributes

FEW, MANY = 64, 4096  # areas between which the cost is compared
MOST_GROWTH = 6       # times; a balanced tree takes about twice as many steps
PROBES = 200
SOME = 1000            # enough to hold many frames


def test_memory(spaces: SpacesScenario) -> None:
    """What sets take from the heap comes back: of areas that are removed or merged, and all the rest when the set is destroyed."""
    rng = spaces.random
    before = spaces.warm_up()
    rounds = []
    for order in ("ascending", "descending", "scattered"):
        areas = spaces.create()
        begin = spaces.address(pages(8 * MANY))
        areas.build(begin, SOME, 2, 5, order)
        full = spaces.memory()
        cleared = spaces.op("areas.clear", areas.slot, begin, SOME, 2, 5, rng.choice(("ascending", "descending", "scattered")))
        areas.plan.areas = []
        spaces.then(lambda areas=areas: setattr(areas.model, "areas", []))
        areas.list(note="all are removed again")
        empty = spaces.memory()
        areas.build(begin, SOME // 4, 2, 4, order)
        for i in rng.sample(range(200), 30):  # merged, split, removed
            areas.insert(begin + pages(4 * i + 2), begin + pages(4 * i + 4))
            areas.remove(begin + pages(4 * i + 1), begin + pages(4 * i + 1 + rng.randrange(1, 9)), silent=True)
            areas.protect(begin + pages(4 * i + 8), begin + pages(4 * i + 9), READ)
        areas.list()
        areas.destroy()
        rounds.append((full, cleared, empty, spaces.memory("the set is destroyed")))
    made = spaces.op("areas.create_row", 100, 300)
    ended = spaces.op("areas.destroy_row", 100, 300)
    last = spaces.memory("after 300 sets")
    spaces.boot()
    for full, cleared, empty, after in rounds:
        expect(cleared.value == SOME, f"remove() takes {SOME} areas out one by one, and shows each", f"{cleared.value}", operation=cleared.number)
        taken, kept = full.values[1] - before.values[1], empty.values[1] - before.values[1]
        expect(kept <= taken // 8 + 2, f"what remove() cuts out goes back to the heap soon: {taken} frames held {SOME} areas, at most {taken // 8 + 2} are kept for none",
               f"{kept} frames are still held", "Free the memory of an area when it is removed.", operation=empty.number)
        spaces.expect_memory(after, before, "after destroy()")
    expect(made.values == [300, 0] and ended.value == 300, "300 sets are made and destroyed", f"{made.says}; {ended.says}", operation=made.number)
    spaces.expect_memory(last, before, "after 300 sets have come and gone")


def test_failures(spaces: SpacesScenario) -> None:
    """Without memory: create() and insert() fail, remove() and protect() fail only where they split; and every call that fails has changed nothing. Taking out whole
    areas, heads and tails always works."""
    rng = spaces.random
    before = spaces.warm_up()
    short_rounds: list[tuple[Op, int]] = []
    for frames in (0, 1, 2, 5):
        areas = spaces.create()
        begin = spaces.address(pages(8 * 20_000), high=0x9000_0000)
        for i in range(24):
            areas.insert(begin + pages(10 * i), begin + pages(10 * i + 9), attributes(READ | WRITE, i % 3))
        spaces.limit(frames)
        built = areas.build(begin + pages(300), 12_000, 2, 5, rng.choice(("ascending", "descending", "scattered")))
        row = iter(rng.sample(range(24), 24))
        for _ in range(3):
            _try_everything(spaces, areas, begin, [next(row) for _ in range(8)])
        spaces.limit(None)
        areas.list()
        areas.protect(begin + pages(2000 + 1), begin + pages(2000 + 2), READ, note="with memory again")
        areas.insert(USER_END - pages(18), USER_END - pages(16), attributes(READ))
        areas.list()
        areas.destroy()
        after = spaces.memory("all is destroyed")
        short_rounds.append((built, frames))
        spaces.then(lambda after=after, frames=frames: spaces.expect_memory(after, before, f"after a round in which memory ended ({frames} frames were left)"))
    spaces.limit(0)
    made = spaces.op("areas.create_row", 100, 400, note="until there is no memory")
    spaces.limit(None)
    spaces.op("areas.destroy_row", 100, 400)
    last = spaces.memory()
    spaces.boot()
    for built, frames in short_rounds:
        expect(built.values[0] < 12_000, f"areas take memory of the heap: with {frames} frames left insert() ends with Error::OutOfMemory", "12000 areas were inserted",
               "Areas in an array of the kernel's image are limited for no reason; take them from mm::slab or mm::kmalloc.", operation=built.number)
    expect(made.values[0] < 400 and made.values[1] == 1, "create() ends with Error::OutOfMemory when no memory is left", f"{made.values[0]} sets, then Error::{error_name(made.values[1])}",
           operation=made.number)
    spaces.expect_memory(last, before, "after sets that could not be made")


def _try_everything(spaces: SpacesScenario, areas: SpaceSet, begin: int, row: list[int]) -> None:
    """Calls that may need memory, some that must not, on areas of nine pages in the row."""
    at = [begin + pages(10 * i) for i in row]
    areas.protect(at[0] + pages(3), at[0] + pages(5), READ, note="two splits")
    areas.list()
    areas.remove(at[1] + pages(3), at[1] + pages(5), note="a split")
    areas.list()
    areas.remove(at[2], at[2] + pages(9), note="a whole area: needs no memory")
    areas.protect(at[3] + pages(3), at[3] + pages(5), READ, note="two splits, with room for one perhaps")
    areas.list()
    areas.remove(at[4] + pages(2), at[4] + pages(9), note="a tail: needs no memory")
    areas.remove(at[5], at[5] + pages(2), note="a head: needs no memory")
    areas.insert(at[2], at[2] + pages(2), attributes(READ), note="where the whole area was, perhaps")
    areas.protect(at[6], at[6] + pages(2), READ, note="one split")
    areas.protect(at[7], at[7] + pages(9), READ, note="a whole area")
    areas.list()


def _random_work(spaces: SpacesScenario, areas: SpaceSet, count: int, window: int, longest: int) -> None:
    """Operations at random in a window of so many pages."""
    rng = spaces.random
    base = spaces.address(pages(window))
    objects = [0, 0, spaces.object(), spaces.object()]
    palette = [attributes(READ | WRITE), attributes(READ), attributes(READ | WRITE, 1), attributes(READ, 2, shared=True)]

    def stretch() -> tuple[int, int]:
        low = rng.randrange(window)
        return base + pages(low), base + pages(min(low + rng.randrange(1, longest), window))

    for number in range(count):
        low, high = stretch()
        roll = rng.random()
        if roll < 0.42:
            object_ = rng.choice(objects)
            # Pages of an object show where they lie, so that neighbours often continue each other.
            areas.insert(low, high, rng.choice(palette), object_, (low - base) // PAGE + rng.choice((0, 0, 0, 1)) if object_ else 0)
        elif roll < 0.6:
            areas.remove(low, high, silent=rng.random() < 0.1)
        elif roll < 0.68 and areas.plan.areas:
            whole = rng.choice(areas.plan.areas)
            areas.remove(whole.begin, whole.end)
        elif roll < 0.8:
            areas.protect(low, high, rng.choice((READ, READ | WRITE)))
        elif roll < 0.88 and areas.plan.areas:
            first = rng.randrange(len(areas.plan.areas))
            run = [areas.plan.areas[first]]
            for area in areas.plan.areas[first + 1 : first + 4]:
                if area.begin != run[-1].end:
                    break
                run.append(area)
            areas.protect(run[0].begin + rng.choice((0, run[0].end - run[0].begin - PAGE)), run[-1].end, rng.choice((READ, READ | WRITE, 5)))
        elif roll < 0.94:
            rng.choice((areas.find, areas.find_from))(rng.choice((low, high, high - 1, low + rng.randrange(PAGE))))
        else:
            areas.place(Placement(rng.randrange(1, longest), base, base + pages(window), PAGE << rng.choice((0, 0, 1, 3)), hint=rng.choice((0, low)), random=rng.getrandbits(32),
                                  guard_pages=rng.choice((0, 1, 1, 2))))
        if number % 40 == 0:
            areas.list()
    areas.list()


def test_random(spaces: SpacesScenario) -> None:
    """Operations at random: on a few areas in a small window, where everything touches everything, and on hundreds."""
    before = spaces.warm_up()
    for window in (24, 60, 120):
        areas = spaces.create()
        _random_work(spaces, areas, 250, window, max(window // 6, 4))
        areas.destroy()
    _random_many(spaces)
    after = spaces.memory()
    spaces.boot()
    spaces.expect_memory(after, before, "after all sets are destroyed")


def _random_many(spaces: SpacesScenario) -> None:
    """Hundreds of areas, in two sets by turns."""
    sets = [spaces.create(), spaces.create()]
    begin = spaces.address(pages(8 * 400), high=0x8000_0000)
    for areas, order in zip(sets, ("descending", "scattered")):
        areas.build(begin, 300, 2, 4, order, attributes(READ | WRITE, 3))
    for _ in range(3):
        for areas in sets:
            _random_work(spaces, areas, 180, 1600, 12)
    for areas in sets:
        for at in range(60):
            areas.find_from(begin + pages(20 * at) + 1)
        areas.destroy()


def _measure(spaces: SpacesScenario, count: int, order: str) -> Op:
    """Ticks of find(), insert() and remove() in a set of so many areas that came in this order."""
    areas = spaces.create()
    begin = spaces.address(pages(8 * MANY))
    areas.build(begin, count, 2, 6, order)
    op = spaces.op("areas.cost", areas.slot, begin, count, 2, 6, PROBES, spaces.random.getrandbits(31) | 1, note=f"{count} areas, {order}")
    areas.destroy()
    return op


def _compare(spaces: SpacesScenario, orders: tuple[str, ...], functions: tuple[tuple[str, int], ...]) -> None:
    measured = {(count, order): _measure(spaces, count, order) for order in orders for count in (FEW, MANY)}
    spaces.boot()
    rows = []
    for order in orders:
        for name, index in functions:
            few, many = (measured[count, order].values[index] / PROBES for count in (FEW, MANY))
            rows.append([f"{name}(), {order}", round(few), round(many), round(many / max(few, 1), 1)])
    spaces.table("Ticks of a call, and how they grow", ["function and order", f"{FEW} areas", f"{MANY} areas", "times"], rows)
    for op in measured.values():
        expect(op.values[3] == 0, "each area is found, and an area between them can be inserted and removed", f"{op.values[3]} of {PROBES} times something went wrong",
               operation=op.number)
    for (what, few, many, times), op in zip(rows, [measured[MANY, order] for order in orders for _ in functions]):
        expect(times <= MOST_GROWTH, f"{what}: time grows with the logarithm of the number of areas, so {MANY} areas cost about twice as much as {FEW}, and at most {MOST_GROWTH} times",
               f"{few} ticks with {FEW} areas, {many} with {MANY}: {times} times as many",
               "A list is walked; a tree that is not balanced becomes one when areas come in order of their addresses.", operation=op.number)


def test_cost_find(spaces: SpacesScenario) -> None:
    """find() among thousands of areas takes a few steps more than among dozens, in whatever order they came."""
    _compare(spaces, ("ascending", "descending", "scattered"), (("find", 0),))


def test_cost_change(spaces: SpacesScenario) -> None:
    """So do insert(), and remove() of one area."""
    _compare(spaces, ("ascending", "descending", "scattered"), (("insert", 1), ("remove", 2)))

