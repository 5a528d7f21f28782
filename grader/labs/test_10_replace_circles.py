"""The tests of lab 10-replace about Clock and WorkingSet: a circle of pages, and a hand."""

from __future__ import annotations

from labs.replace import ReplaceScenario
from oracle.replacement import WINDOW


def test_clock(replace: ReplaceScenario) -> None:
    """The first page from the hand on that was not accessed leaves; the others have lost their bits, and come next time."""
    area = replace.begin_with_pages("clock", 12)
    replace.choose("all were accessed: once round")
    replace.choose("nobody has been since")
    for _ in range(12):
        present = replace.in_memory(area)
        replace.use(area, replace.random.sample(present, len(present) // 2), write=False)
        replace.take(replace.random.randrange(1, 3))
        if len(replace.in_memory(area)) < 5:
            replace.use(area, range(12), write=False)
    replace.boot()


def test_clock_hand(replace: ReplaceScenario) -> None:
    """Who comes stands directly behind the hand, and is looked at last."""
    area = replace.begin_with_pages("clock", 8)
    more = replace.map(12)
    replace.choose("all lose their bits")
    for number in range(12):
        if number % 3 == 0:
            replace.use(area, replace.random.sample(replace.in_memory(area), 2), write=False)
        replace.take(1)
        replace.use(more, [number], note="comes behind the hand")
        if number % 4 == 1:
            replace.choose()
    replace.take_all()
    replace.boot()


def test_clock_gone(replace: ReplaceScenario) -> None:
    """When the page at the hand goes by itself, the hand points at the next one; other pages that go do not move it."""
    area = replace.begin_with_pages("clock", 20)
    replace.choose("all lose their bits")
    for round_ in range(7):
        victim = replace.model.policy.pages[0]
        if round_ % 2 == 0:
            replace.discard(victim.area, victim.number)
        else:
            replace.discard(area, replace.random.choice([number for number in replace.in_memory(area) if number != victim.number]))
        if round_ == 4:
            replace.discard(area, replace.model.policy.pages[-1].number)
        replace.choose("the hand after a page has gone")
        replace.use(area, [replace.random.choice(replace.in_memory(area))], write=False)
    replace.take_all()
    replace.use(area, range(4), note="the first pages of an empty circle")
    replace.discard(area, 0)
    replace.take_all()
    replace.boot()


def test_bits(replace: ReplaceScenario) -> None:
    """A page that is used again right after its bit was cleared has it again: nothing remembered in the TLB keeps the CPU from setting it. One
    question clears the bit, and one answer counts."""
    area = replace.begin_with_pages("clock", 10)
    for _ in range(6):
        replace.choose()
        replace.use(area, replace.random.sample(range(10), 6), write=False, note="by translations that the CPU may know still")
        replace.choose()
        replace.choose("nobody was used in between")
    replace.take(3)
    replace.boot()


def aged(replace: ReplaceScenario, count: int, ages: list[int]) -> int:
    """An area of `count` clean pages whose ages differ as `ages` says, the last one 0, none accessed, in a working set."""
    area = replace.begin_with_pages("working-set", count)
    replace.take_all()
    replace.use(area, range(count), write=False, note="they come back, and are clean")
    replace.choose("their times are now")
    for age in ages:
        replace.pass_time(age)
        replace.use(area, replace.random.sample(range(count), max(count // 4, 1)), write=False)
        replace.choose()
    return area


def test_working_set(replace: ReplaceScenario) -> None:
    """A clean page that was not used within the window leaves, one that was does not. An age of exactly the window is within it."""
    area = aged(replace, 9, [])
    replace.pass_time(WINDOW)
    replace.choose("all are exactly as old as the window")
    replace.use(area, [5, 6], write=False)
    replace.choose()
    replace.pass_time(1)
    replace.take(4, "all but two are older than the window")
    replace.pass_time(WINDOW)
    replace.use(area, [7], write=False)
    replace.take(3)
    replace.use(area, range(9), write=False)
    for _ in range(8):
        replace.pass_time(replace.random.randrange(20, WINDOW))
        replace.use(area, replace.random.sample(range(9), 2), write=False)
        replace.take(1)
    replace.boot()


def test_cleaning(replace: ReplaceScenario) -> None:
    """Old dirty pages are cleaned as the hand passes, at most eight in one search, and leave later; pages within the window are not."""
    area = replace.begin_with_pages("working-set", 21)
    replace.choose("their times are now")
    replace.dirty_is_right(area)
    replace.pass_time(WINDOW + 1)
    replace.use(area, range(4), write=True)
    replace.choose("eight old pages are cleaned, and the first of them leaves next")
    replace.dirty_is_right(area)
    replace.take(3)
    replace.use(area, replace.random.sample(replace.in_memory(area), 2), write=True, note="dirty again")
    replace.dirty_is_right(area)
    for _ in range(5):
        replace.pass_time(replace.random.choice((20, WINDOW + 1)))
        replace.take(2)
        replace.dirty_is_right(area)
    replace.boot()


def test_fallback(replace: ReplaceScenario) -> None:
    """When all pages belong to the working set, the clean page of the greatest age leaves; without a clean one, the one of the greatest age."""
    area = aged(replace, 12, [3, 4, 5, 2])
    replace.choose("clean pages of several ages, none above the window")
    soiled = replace.random.sample(range(12), 5)
    replace.use(area, soiled, write=True)
    replace.choose()
    replace.pass_time(6)
    replace.use(area, [number for number in range(12) if number not in soiled], write=False)
    replace.choose("the dirty ones are of the greatest age, a clean one leaves")
    replace.pass_time(2)
    replace.take(3)
    replace.dirty_is_right(area)
    replace.use(area, range(12), write=True)
    replace.pass_time(3)
    replace.choose("no page is clean; all are of one age: the first from the hand on")
    replace.use(area, replace.random.sample(range(12), 5), write=True)
    replace.pass_time(4)
    replace.choose("no page is clean")
    replace.take(5)
    replace.dirty_is_right(area)
    replace.boot()


def test_owners(replace: ReplaceScenario) -> None:
    """Time is the owner's: a page whose owner has not run has not grown older. Of several owners the one that has run most counts; when he is gone,
    so is his time, and no age is below 0."""
    first, second = replace.create(), replace.create()
    areas = [replace.map(5, first), replace.map(5, second)]
    replace.pass_time(1000, second)
    replace.begin("working-set")
    for area in areas:
        replace.use(area, range(5))
    replace.take_all()
    for number in range(5):
        for area in replace.random.sample(areas, 2):
            replace.use(area, [number], write=False)
    replace.choose("all times are now, each in its owner's time")
    replace.pass_time(WINDOW + 5, first)
    replace.pass_time(WINDOW - 5, second)
    replace.take(2, "the first owner's are old, the second's are not")
    for number in replace.in_memory(areas[0]):
        replace.discard(areas[0], number)
    child = replace.fork(second)
    replace.pass_time(3000, child)
    replace.pass_time(10, second)
    replace.use(areas[1], range(5), write=False, through=child)
    replace.choose("shown by two, of which one has run for long: their times are now")
    replace.pass_time(WINDOW + 1, second)
    replace.choose("the other one's time goes on, and does not count")
    replace.destroy(child)
    replace.use(areas[1], [replace.model.policy.pages[0].number], write=False)
    replace.choose("the child's time is gone with it, and no age is below 0")
    replace.pass_time(2100, second)
    replace.take_all()
    replace.boot()
