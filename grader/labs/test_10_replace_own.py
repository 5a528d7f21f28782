"""The tests of lab 10-replace about Own: the student's own policy."""

from __future__ import annotations

from judge.scenario import expect
from labs.replace import ReplaceScenario
from labs.replace_score import give_points, run_own, show

POINTS = 4  # of the score, as in lab.toml


def test_own(replace: ReplaceScenario) -> None:
    """Own names pages of the set, each until it goes, and no others; what it chooses by is its own affair."""
    replace.create()
    area = replace.map(20)
    replace.begin("own")
    nobody = replace.op("replace.choose", note="there is no page")
    begin = replace.address(area, 0)
    come = replace.op("replace.touch", "w", begin, 20)
    choices = [replace.op("replace.choose") for _ in range(2)]
    taken = [replace.op("replace.take", 1) for _ in range(8)]
    replace.op("replace.tick", 3)
    count = replace.op("replace.count")
    replace.op("replace.touch", "r", begin, 20, note="all are in memory again")
    gone = replace.random.sample(range(20), 5)
    for number in gone:
        replace.op("space.discard", 0, replace.address(area, number), 1)
    rest = replace.op("replace.count")
    last = [replace.op("replace.take", 1) for _ in range(15)]
    nobody_left = replace.op("replace.choose", note="all are gone")
    replace.boot()
    for op in (nobody, nobody_left):
        expect(op.error == "NotFound", "choose_victim() answers Error::NotFound when there is no page", op.says, operation=op.number)
    expect(come.ok, "twenty pages come", come.says, operation=come.number)
    pages = {begin + number * 4096 for number in range(20)}
    for op in choices:
        expect(op.value in pages, "the victim is a page of the set", f"{op.value:#x}", operation=op.number)
    for memory, ops in ((set(pages), taken), (pages - {begin + number * 4096 for number in gone}, last)):
        for op in ops:
            expect(op.value in memory, "the victim is a page of the set, and is in memory", f"a page at {op.value:#x}", operation=op.number)
            memory.remove(op.value)
    for op, wanted in ((count, 12), (rest, 15)):
        expect(op.value == wanted, f"count() is {wanted}, the pages in the set", str(op.value), operation=op.number)


def test_score(replace: ReplaceScenario) -> None:
    """Runs six strings of the seed's own with Own in 16 frames, and one of them in six numbers of frames, and compares the page faults with
    those of FIFO and of Belady's MIN. What is measured is the kernel's; the other policies' figures are the model's, to which the tests above
    hold them victim by victim."""
    strings, curves = run_own(replace)
    ratios = show(replace, strings, curves)
    give_points(replace, POINTS, ratios["own"], ratios["fifo"])
