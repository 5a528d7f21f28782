"""The tests of lab 10-replace about many pages: shared ones, long strings, cost, everything at random."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.machine import Machine
from judge.scenario import Op, expect
from labs.replace import ReplaceScenario
from labs.test_10_replace import MODELLED
from oracle import reference_strings
from oracle.replacement import KINDS

LENGTH, FRAMES = 300, 16  # of a string, and of the memory in which it is run
FEW, MANY = 256, 1280
FACTOR, FREE = 2, 300  # so much more may MANY pages cost than FEW, and so many ticks anyway


def test_shared(replace: ReplaceScenario) -> None:
    """A page that several processes show was used when any of them has used it."""
    parent = replace.create()
    area = replace.map(12, parent)
    replace.begin("clock")
    replace.use(area, range(12))
    family = [parent, replace.fork(parent)]
    family.append(replace.fork(family[1]))
    replace.choose("all lose their bits")
    for _ in range(5):
        for space in family:
            replace.use(area, [replace.random.choice(replace.in_memory(area))], write=False, through=space)
        replace.take(1)
    for space in replace.random.sample(family, 3):
        replace.use(area, range(12), write=False, through=space, note="some come back, for one after the other")
    replace.count_is_right()
    replace.choose()
    replace.use(area, range(3), write=False, through=family[2])
    replace.take(3)
    replace.boot()


def test_objects(replace: ReplaceScenario) -> None:
    """Pages of shared memory and of files are pages like others, whoever shows them, and at whatever address."""
    first, second = replace.create(), replace.create()
    memory, file = replace.shared_memory(8), replace.file(8)
    mine, theirs = replace.map(8, first, thing=memory, shared=True), replace.map(8, second, thing=memory, shared=True)
    text = replace.map(8, second, thing=file)
    own = replace.map(8, first)
    replace.begin("clock")
    for number in range(8):
        for area in replace.random.sample((mine, text, own), 3):
            replace.use(area, [number], write=area != text)
    replace.use(theirs, range(8), write=False)
    replace.count_is_right()
    replace.choose("all lose their bits")
    for _ in range(8):
        replace.use(theirs, [replace.random.choice(replace.in_memory(mine))], write=False)
        replace.use(text, [replace.random.randrange(8)], write=False)
        replace.use(own, [replace.random.randrange(8)])
        replace.take(2)
    replace.take_all()
    replace.boot()


def run_strings(replace: ReplaceScenario, *kinds: str) -> None:
    """Six strings of page numbers, read and written, for each policy; all victims must be the model's."""
    replace.create()
    strings = reference_strings.make_all(replace.random, LENGTH, FRAMES)
    rows = []
    for kind in kinds:
        for name, string in strings.items():
            area = replace.map(reference_strings.PAGES)
            rows.append((kind, name, replace.run_string(kind, string, FRAMES, area, write=[replace.random.random() < 0.3 for _ in string])))
            replace.unmap(area, 0, reference_strings.PAGES)
    replace.boot()


def test_strings_fifo(replace: ReplaceScenario) -> None:
    """FIFO and Clock over six strings: locality, loop, scan, Zipf, phases, mixed. Every victim is the model's."""
    run_strings(replace, "fifo", "clock")


def test_strings_aging(replace: ReplaceScenario) -> None:
    """Aging over the six strings, with a tick after every ten references."""
    run_strings(replace, "aging")


def test_strings_two_lists(replace: ReplaceScenario) -> None:
    """TwoLists over the six strings."""
    run_strings(replace, "two-lists")


def test_strings_working_set(replace: ReplaceScenario) -> None:
    """WorkingSet over the six strings, with one tick of the owner's time for each reference."""
    run_strings(replace, "working-set")


def test_cost(replace: ReplaceScenario) -> None:
    """With 1280 pages FIFO and Clock find a victim as quickly as with 256, if none was accessed; and pages come and go as quickly, whatever the kind."""
    replace.machine = Machine(32)
    replace.create()
    areas = [replace.map(FEW + 1) for _ in range(MANY // FEW)]  # too small for large pages, which stay in memory
    middle = replace.address(areas[0], FEW // 2)
    measured: list[tuple[str, str, Op, Op]] = []
    for kind in KINDS:
        replace.op("replace.policy", KINDS.index(kind), 0)
        few = measure(replace, kind, areas[:1], middle)
        many = measure(replace, kind, areas[1:], middle)
        for area in areas:
            replace.op("space.discard", 0, replace.address(area, 0), FEW)
        whats = ("page_out() and page_in() twenty times", "count()", "choose_victim()")
        measured += [(kind, what, *pair) for what, *pair in zip(whats, few, many)]
    replace.boot()
    for kind, what, few_op, many_op in measured:
        expect(many_op.ticks <= FACTOR * few_op.ticks + FREE, f"{kind}: {what} takes about as long with {MANY} pages as with {FEW} ({few_op.ticks} ticks)",
               f"{many_op.ticks} ticks", "A list that is linked in both directions needs no search.", operation=many_op.number)


def measure(replace: ReplaceScenario, kind: str, areas: Sequence[int], page: int) -> list[Op]:
    """More pages come; what is quick with few must be quick with many."""
    for area in areas:
        replace.op("replace.touch", "w", replace.address(area, 0), FEW)
    is_quick = kind in ("fifo", "clock")
    if is_quick:
        replace.op("replace.choose", note="all lose their bits")
    return [replace.op("replace.cycle", 0, page, 20, note=kind), replace.op("replace.count", note=kind),
            *([replace.op("replace.choose", note=kind)] if is_quick else [])]


def test_random(replace: ReplaceScenario) -> None:
    """Pages come, are used, leave, go and come back at random, under each policy in turn."""
    replace.create()
    for kind in replace.random.sample(MODELLED, len(MODELLED)):
        area = replace.map(40)
        replace.begin(kind)
        replace.use(area, replace.random.sample(range(40), 25))
        replace.mix(area, 120, ticks=kind == "aging" or replace.random.random() < 0.5, times=True)
        replace.count_is_right()
        replace.unmap(area, 0, 40)
        replace.count_is_right()
    replace.boot()
