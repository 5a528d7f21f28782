"""The score of lab 10: how near the piece's own policy comes to the optimum.

Six strings of page references (oracle/reference_strings.py), made from the run's seed, are run on the submission's kernel with policy Own. No
policy can have fewer faults than Belady's MIN, which the host works out, for it knows the whole string; and FIFO is what needs no thought.

    ratio of a policy    geometric mean over the six strings of (its faults / the faults of MIN)
    gap closed           1 - log(ratio of Own) / log(ratio of FIFO): 0 is as good as FIFO, 1 is MIN

From FULL of the gap on there are all points, none at 0, in a straight line between them.

No policy knows the future. So the whole script is run a second time with another end of its first string: the victims before must be the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from judge.plot import Series
from judge.scenario import expect, fail
from labs.replace import ReplaceScenario, StringRun
from oracle import reference_strings
from oracle.replacement import POLICIES, count_faults, count_faults_of_min

FULL = 0.45  # of the way from FIFO to MIN: all points
LENGTH, FRAMES = 400, 16
CURVE = (6, 10, 14, 18, 24, 32)  # frames
CURVE_STRING = "mixed"
TITLES = {"fifo": "FIFO", "clock": "Clock", "aging": "Aging", "two-lists": "TwoLists", "working-set": "WSClock", "own": "Own", "min": "MIN"}


@dataclass(frozen=True)
class Curves:
    """The runs of Own in one boot: each string in FRAMES frames, and one string in several numbers of frames."""

    strings: dict[str, StringRun]
    curve: dict[int, StringRun]


def make_strings(seed: int) -> dict[str, list[int]]:
    """In an order that the seed decides."""
    random = Random(f"{seed:#x} replace.score")
    strings = reference_strings.make_all(random, LENGTH, FRAMES)
    return {name: strings[name] for name in random.sample(sorted(strings), len(strings))}


def with_another_end(string: Sequence[int], random: Random) -> tuple[list[int], int]:
    """The same string up to a place in its middle; the place."""
    cut = random.randrange(len(string) // 2, len(string) * 3 // 4)
    names = random.sample(range(reference_strings.PAGES), reference_strings.PAGES)
    return [*string[:cut], *(names[page] for page in string[cut:])], cut


def write_script(replace: ReplaceScenario, strings: Mapping[str, Sequence[int]]) -> Curves:
    """The same operations and random numbers for strings of the same lengths."""
    replace.create()

    def run(string: Sequence[int], frames: int) -> StringRun:
        area = replace.map(reference_strings.PAGES)
        done = replace.run_string("own", string, frames, area, judged=False)
        replace.unmap(area, 0, reference_strings.PAGES)
        return done

    return Curves({name: run(string, FRAMES) for name, string in strings.items()},
                  {frames: run(strings[CURVE_STRING], frames) for frames in CURVE})


def run_own(replace: ReplaceScenario) -> tuple[dict[str, list[int]], Curves]:
    """Boots twice. A policy that names what is no page, or knows what comes, is a Failure."""
    strings = make_strings(replace.seed)
    first = next(iter(strings))
    other_end, cut = with_another_end(strings[first], Random(f"{replace.seed:#x} another end"))
    curves = write_script(replace, strings)
    replace.boot()
    for run in (*curves.strings.values(), *curves.curve.values()):
        check_victims(run)
    twin = replace.reference_machine()
    twin.on_reference = False
    twin_curves = write_script(twin, strings | {first: other_end})
    twin.boot()
    before, again = ([victim for victim in one.strings[first].victims or [] if victim[0] < cut] for one in (curves, twin_curves))
    expect(before == again, f"victims do not depend on what has not happened yet: the same ones for the first {cut} references of a string, whatever its end is",
           "others when the string's end is another", "A policy knows the past only.", operation=curves.strings[first].op.number)
    return strings, curves


def check_victims(run: StringRun) -> None:
    """Each victim was in memory, and there were never more pages than frames."""
    assert run.victims is not None
    memory: set[int] = set()
    victims = iter([*run.victims, (len(run.string), -1)])
    at, victim = next(victims)
    for number, page in enumerate(run.string):
        while at == number:
            expect(victim in memory, f"Own's victim for reference {number + 1} of the string is a page in memory", f"page {victim}" if victim != 0xFFFF else "a frame without a page",
                   operation=run.op.number)
            memory.remove(victim)
            at, victim = next(victims)
        memory.add(page)
        expect(len(memory) <= run.frames, f"{run.frames} pages in memory at the most", f"{len(memory)} after reference {number + 1}",
               "count() must be right, and each page stay in the set until page_out().", operation=run.op.number)


def mean(ratios: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def gap_closed(own: float, fifo: float) -> float:
    return 1 - math.log(own) / math.log(fifo)


def share(gap: float) -> float:
    """The part of the points."""
    return round(min(max(gap / FULL, 0), 1), 3)


def give_points(replace: ReplaceScenario, most: float, own: float, fifo: float) -> None:
    """Passes the test, gives it a part of its points, or fails it."""
    gap = gap_closed(own, fifo)
    earned = round(most * share(gap), 2)
    if earned <= 0:
        fail("fewer faults than FIFO", f"{own:.2f} times those of MIN; FIFO has {fifo:.2f} times as many")
    if earned < most:
        replace.partial(earned, f"{own:.2f} times the faults of MIN (FIFO {fifo:.2f}): {gap:.0%} of the way from FIFO to MIN; all points from {FULL:.0%} on")


def show(replace: ReplaceScenario, strings: Mapping[str, Sequence[int]], curves: Curves) -> dict[str, float]:
    """Tables and the plot for the reports. Returns the ratio of each policy."""
    best = {name: count_faults_of_min(string, FRAMES) for name, string in strings.items()}
    faults = {kind: {name: count_faults(kind, string, FRAMES) for name, string in strings.items()} for kind in POLICIES}
    faults["own"] = {name: run.faults for name, run in curves.strings.items()}
    ratios = {kind: mean([counts[name] / best[name] for name in strings]) for kind, counts in faults.items()}
    names = sorted(strings, key=reference_strings.NAMES.index)
    rows: list[list[str | int | float]] = [[TITLES[kind], *(counts[name] for name in names), round(ratios[kind], 3)] for kind, counts in faults.items()]
    rows.append([TITLES["min"], *(best[name] for name in names), 1.0])
    replace.table(f"replace.score: faults over {LENGTH} references in {FRAMES} frames, and how many times those of MIN", ["policy", *names, "ratio"], rows)
    string = strings[CURVE_STRING]
    lines = {kind: [count_faults(kind, string, frames) for frames in CURVE] for kind in POLICIES}
    lines["own"] = [curves.curve[frames].faults for frames in CURVE]
    lines["min"] = [count_faults_of_min(string, frames) for frames in CURVE]
    replace.table(f"replace.score: faults over frames, string \"{CURVE_STRING}\"", ["policy", *map(str, CURVE)], [[TITLES[kind], *line] for kind, line in lines.items()])
    replace.plot(f"Faults over frames: {LENGTH} references of the string \"{CURVE_STRING}\"", "frames", "page faults",
                 [Series(TITLES[kind], tuple(zip(CURVE, line))) for kind, line in lines.items()])
    return ratios
