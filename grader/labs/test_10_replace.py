"""The tests of lab 10-replace about the set of pages and about FIFO."""

from __future__ import annotations

from judge.scenario import expect
from labs.replace import ReplaceScenario
from oracle.replacement import count_faults

MODELLED = ("fifo", "clock", "aging", "two-lists", "working-set")
BELADY = (1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5)


def test_set(replace: ReplaceScenario) -> None:
    """Pages come, are counted and named, and go; a victim stays until it goes; frames that are in no set change nothing."""
    replace.create()
    area = replace.map(24)
    replace.begin("fifo")
    replace.choose("there is no page")
    replace.count_is_right()
    replace.use(area, range(1 + replace.random.randrange(3)))
    replace.count_is_right()
    replace.choose()
    replace.choose("again: it stays until page_out()")
    replace.use(area, replace.random.sample(range(24), 9))
    replace.count_is_right()
    replace.tell_of_strangers(0, 200)
    replace.count_is_right()
    replace.take(4)
    replace.discard(area, replace.random.choice(replace.in_memory(area)))
    replace.count_is_right()
    replace.choose()
    replace.take_all()
    replace.choose("all are gone")
    replace.tell_of_strangers(300, 200)
    replace.use(area, replace.random.sample(range(24), 5), write=False, note="they come back")
    replace.take_all()
    replace.boot()


def test_fifo(replace: ReplaceScenario) -> None:
    """Who came first leaves first, whatever was used since."""
    replace.create()
    area = replace.map(12)
    replace.begin("fifo", 4 + replace.random.randrange(3))
    for _ in range(70):
        replace.use(area, [replace.random.randrange(12)], write=replace.random.random() < 0.5)
    replace.boot()


def test_gaps(replace: ReplaceScenario) -> None:
    """FIFO, while pages go in the middle because their owner gives them up or ends. A frame that is used again holds another page."""
    first, other = replace.create(), replace.create()
    area, strangers = replace.map(16, first), replace.map(6, other)
    replace.begin("fifo")
    for number in range(16):
        replace.use(area, [number])
        if number % 3 == 0:
            replace.use(strangers, [number // 3])
    gone = replace.random.sample(range(16), 6)
    for number in gone:
        replace.discard(area, number)
    replace.count_is_right()
    replace.choose()
    replace.use(area, gone[:3], note="in frames that were others'")
    replace.take(4)
    replace.destroy(other)
    replace.count_is_right()
    replace.discard(area, replace.in_memory(area)[0])
    replace.use(area, gone[3:])
    replace.cannot_leave(area, replace.random.choice(replace.in_memory(area)))
    replace.take_all()
    replace.boot()


def test_memory(replace: ReplaceScenario) -> None:
    """initialize() takes what it needs once; pages that come and go, and another initialize(), take nothing."""
    replace.create()
    looks = []
    for kind in ("fifo", *MODELLED, *MODELLED):
        replace.begin(kind)
        area = replace.map(20)
        replace.use(area, range(20))
        replace.unmap(area, 0, 20)
        looks.append((kind, replace.op("replace.look", note=f"after {kind}")))
    replace.boot()
    first = looks[0][1].value
    for kind, look in looks[1:]:
        expect(look.value == first, f"with {kind}, as many frames are in use as before, when all pages are gone: {first}", str(look.value),
               "Memory is taken once, in the first initialize().", operation=look.number)


def test_restart(replace: ReplaceScenario) -> None:
    """initialize() begins anew with another kind: nothing of the old set is left, and its pages, which are in memory still, are in no set."""
    replace.create()
    kinds = replace.random.sample(MODELLED, 5)
    old = None
    for kind in [*kinds, kinds[0]]:
        area = replace.map(10)
        replace.begin(kind)
        replace.count_is_right()
        replace.choose("there is no page")
        replace.use(area, range(5))
        replace.pass_time(60)
        replace.choose()
        replace.use(area, [1, 2, 7])
        replace.tick()
        if old is not None:
            replace.unmap(old, 0, 10)
            replace.count_is_right()
        replace.take(3)
        old = area
    replace.boot()


def test_belady(replace: ReplaceScenario) -> None:
    """Belady's anomaly: with FIFO there are strings that lead to more page faults in more memory. Aging, which comes near to LRU, does better there."""
    replace.create()
    strings = [(BELADY, 3), *(anomaly(replace) for _ in range(2))]
    rows, runs = [], []
    for string, frames in strings:
        for kind in ("fifo", "aging"):
            pair = []
            for number in (frames, frames + 1):
                area = replace.map(12)
                pair.append(replace.run_string(kind, string, number, area, tick=1))
                replace.unmap(area, 0, 12)
            runs.append((kind, frames, pair))
    replace.boot()
    for kind, frames, (few, many) in runs:
        rows.append([kind, len(few.string), frames, few.faults, frames + 1, many.faults])
        if kind == "fifo":
            expect(many.faults > few.faults, "more faults with one frame more", f"{few.faults} and {many.faults}", operation=many.op.number)
        else:
            expect(many.faults <= few.faults, "no more faults with one frame more", f"{few.faults} and {many.faults}", operation=many.op.number)
    replace.table("replace.belady: faults with some frames, and with one more", ["policy", "references", "frames", "faults", "frames more", "faults then"], rows)


def anomaly(replace: ReplaceScenario) -> tuple[list[int], int]:
    """A string of the seed's own that has the anomaly with FIFO, and not with Aging."""
    while True:
        frames = replace.random.randrange(3, 6)
        string = [replace.random.randrange(frames + 2) for _ in range(30)]
        fifo, aging = ([count_faults(kind, string, number, 1) for number in (frames, frames + 1)] for kind in ("fifo", "aging"))
        if fifo[1] > fifo[0] and aging[1] <= aging[0]:
            return string, frames
