"""The tests of lab 10-replace about Aging and TwoLists."""

from __future__ import annotations

from labs.replace import ReplaceScenario


def test_aging(replace: ReplaceScenario) -> None:
    """At each tick a counter moves right, and the accessed bit enters at the left; the smallest leaves."""
    area = replace.begin_with_pages("aging", 6)
    for _ in range(5):
        replace.tick()
        replace.use(area, replace.random.sample(range(6), 3), write=False)
        replace.choose("uses since the last tick do not count")
    replace.take(2)
    for _ in range(10):
        replace.tick(replace.random.randrange(1, 3))
        replace.use(area, replace.random.sample(range(6), 3), write=False)
        replace.take(1)
    replace.boot()


def test_aging_ties(replace: ReplaceScenario) -> None:
    """Of several pages with the smallest counter the one leaves that came first, whatever frame it is in and whatever was used meanwhile."""
    area = replace.begin_with_pages("aging", 14)
    for number in replace.random.sample(range(14), 9):
        replace.discard(area, number)
    replace.use(area, replace.random.sample(range(14), 14), note="in frames in any order")
    replace.choose("no tick yet: all came with the same counter")
    replace.tick()
    replace.choose("all were used")
    replace.use(area, replace.random.sample(range(14), 7), write=False)
    replace.tick()
    replace.take(3)
    replace.use(area, range(14), write=False)
    replace.tick(9)
    replace.choose("after nine ticks without a use all are 0")
    replace.take_all()
    replace.boot()


def test_aging_gone(replace: ReplaceScenario) -> None:
    """A page that goes takes its counter with it: whoever comes into its frame begins with 0x80, and comes last."""
    area = replace.begin_with_pages("aging", 12)
    replace.tick(3)
    for _ in range(6):
        replace.discard(area, replace.random.choice(replace.in_memory(area)))
        replace.cannot_leave(area, replace.random.choice(replace.in_memory(area)))
        replace.use(area, [next(number for number in range(12) if number not in replace.in_memory(area))])
        replace.tick()
        replace.use(area, replace.random.sample(replace.in_memory(area), 4), write=False)
        replace.choose()
    replace.take_all()
    replace.boot()


def test_two_lists(replace: ReplaceScenario) -> None:
    """A page becomes active with its second use, and is inactive until then; who is not used leaves from the tail of the inactive list."""
    area = replace.begin_with_pages("two-lists", 12)
    replace.choose("all were used once: each gets its mark")
    replace.use(area, replace.random.sample(range(12), 5), write=False, note="for the second time")
    replace.take(2)
    for _ in range(8):
        replace.use(area, replace.random.sample(replace.in_memory(area), 3), write=False)
        replace.take(1)
        replace.use(area, [replace.random.randrange(12)], write=False)
    replace.boot()


def test_thirds(replace: ReplaceScenario) -> None:
    """While fewer than a third are inactive, active pages are looked at from the tail: used ones begin again at the head, others become inactive."""
    size = 15 + replace.random.randrange(3)
    area = replace.begin_with_pages("two-lists", size)
    replace.choose()
    replace.use(area, range(size), write=False)
    replace.choose("all are active, until a third is inactive")
    for _ in range(6):
        present = replace.in_memory(area)
        replace.use(area, replace.random.sample(present, len(present) * 2 // 3), write=False)
        replace.choose()
        replace.use(area, replace.random.sample(present, len(present) * 2 // 3), write=False)
        replace.take(1)
    replace.take_all()
    replace.boot()


def test_two_lists_gone(replace: ReplaceScenario) -> None:
    """Pages go from both lists; one that comes back is inactive and has no mark."""
    area = replace.begin_with_pages("two-lists", 14)
    replace.choose()
    replace.use(area, replace.random.sample(range(14), 8), write=False)
    replace.choose()
    for _ in range(7):
        present = replace.in_memory(area)
        replace.discard(area, replace.random.choice(present))
        replace.cannot_leave(area, replace.random.choice(replace.in_memory(area)))
        replace.count_is_right()
        replace.use(area, [number for number in range(14) if number not in present][:1], note="comes anew")
        replace.use(area, replace.random.sample(replace.in_memory(area), 3), write=False)
        replace.take(1)
    replace.take_all()
    replace.boot()
