"""The tests of lab 07-cow about memory that runs out, and about cost."""

from __future__ import annotations

from judge.scenario import Op, expect, fail
from labs.cow import SLOT, CowScenario, pages

COST_POINTS = 1  # of each test about cost, as in lab.toml


def test_share_failure(cow: CowScenario) -> None:
    """share() without memory, after each number of page tables: it answers Error::OutOfMemory; the child is destroyed, every frame comes back, and the parent has all that it had."""
    cow.watch_references()
    cow.watch_resident()
    cow.watch_tables()
    parent = cow.create()
    wide = cow.place(slots=4)
    areas = [(cow.map(parent, 2 * 1024 + 100, at=wide + pages(900)), 2 * 1024 + 100), (cow.map(parent, 20), 20), (cow.map(parent, 30), 30)]
    for begin, count in areas:
        for page in (0, count // 2, count - 1):
            cow.load(begin + pages(page))
            cow.store(begin + pages(page) + cow.offset())
    tables = cow.model.spaces[parent].tables
    cow.destroy(cow.fork(parent))
    before = cow.frames_in_use()
    counts = []
    for frames in range(tables):
        cow.fork_short(parent, frames)
        counts.append(cow.frames_in_use(f"after a fork() with {frames} frames"))
        cow.state(f"failed-with-{frames}")
        begin, count = cow.random.choice(areas)
        cow.store(begin + pages(count // 2) + cow.offset(), note="the parent goes on")
    child = cow.fork(parent)
    cow.state("at-last")
    cow.destroy(child)
    counts.append(cow.frames_in_use("after a fork() that went well"))
    cow.boot()
    for now in counts:
        cow.expect_frames(now, before, "when the child is gone")


def test_write_failure(cow: CowScenario) -> None:
    """resolve_write() without a frame for the copy answers OutOfMemory, and nothing has changed: the page still shows what it showed, read-only, and can be
    written later. The last owner needs no memory."""
    cow.watch_references()
    parent = cow.create()
    file = cow.file(4)
    begin, mapped = cow.map(parent, 10), cow.map(parent, 4, thing=file)
    cow.store(begin + cow.offset(), count=8)
    cow.load(begin + pages(8), count=2)
    cow.load(mapped, count=4)
    child = cow.fork(parent)
    for space in (child, parent):
        cow.write_short(space, begin + pages(cow.random.randrange(8)))
        cow.write_short(space, begin + pages(8 + cow.random.randrange(2)), note="shows the frame of zeros")
        cow.write_short(space, mapped + pages(cow.random.randrange(4)), note="shows the file's frame")
    cow.store_short(begin + pages(cow.random.randrange(8)) + cow.offset())
    cow.state("nothing-has-changed")
    first = cow.random.randrange(8)
    cow.write(parent, begin + pages(first), frames=1)
    cow.write(child, begin + pages(first), frames=0, note="the last owner")
    cow.state("with-one-frame")
    cow.activate(child)
    cow.store(begin + cow.offset(), count=10)
    cow.store(mapped + cow.offset(), count=3)
    cow.state("with-all")
    cow.boot()


def test_cost_share(cow: CowScenario) -> None:
    """The ticks of share() for some hundred pages, against the reference's in the same run."""
    def script(cow: CowScenario) -> tuple[Op, int]:
        count = cow.random.randrange(700, 900)
        parent = cow.create()
        begin = cow.map(parent, count)
        cow.store(begin, count=count)
        return cow.op("cow.fork", parent, 1), count

    (own, count), (reference, _) = _measured(cow, script)
    _give(cow, "share(), a page", own.ticks / count, reference.ticks / count, full=2.5, none=60)


def test_cost_sparse(cow: CowScenario) -> None:
    """The ticks of share() for a few pages in an area of hundreds of megabytes: 4 MiB without a page table cost next to nothing."""
    def script(cow: CowScenario) -> tuple[Op, int]:
        parent = cow.create()
        slots = cow.random.randrange(60, 90)
        begin = cow.map(parent, slots * 1024, at=cow.place(slots=slots + 1) + pages(5))
        for slot in cow.random.sample(range(1, slots), 3):
            cow.load(begin + slot * SLOT)
        return cow.op("cow.fork", parent, 1), slots

    (own, slots), (reference, _) = _measured(cow, script)
    _give(cow, f"share() of an area of {slots} times 4 MiB with three pages", own.ticks, reference.ticks, full=4, none=40)


def _measured(cow: CowScenario, script: object) -> list[tuple[Op, int]]:
    """The script on the submission's kernel and on the reference's."""
    made = []
    for scenario in (cow, cow.reference_machine()):
        made.append(script(scenario))  # type: ignore[operator]
        scenario.boot()
    for op, _ in made:
        expect(op.ok, "fork() succeeds", op.says, operation=op.number)
    return made


def _give(cow: CowScenario, what: str, own: float, reference: float, *, full: float, none: float) -> None:
    """Passes the test, gives it a part of its points, or fails it."""
    ratio = own / reference
    cow.table(f"{cow.test}: {what}, in ticks", ["yours", "reference", "times"], [[round(own), round(reference), round(ratio, 2)]])
    if ratio >= none:
        fail(f"{what} takes less than {none:g} times the reference's {reference:.0f} ticks", f"{own:.0f} ticks: {ratio:.1f} times")
    if ratio > full:
        earned = round(COST_POINTS * (none - ratio) / (none - full), 2)
        cow.partial(max(earned, 0.01), f"{what} takes {own:.0f} ticks, {ratio:.1f} times the reference's {reference:.0f}; all points up to {full:g} times, none from {none:g}")
