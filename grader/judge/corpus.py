"""The corpus: submissions with the exact verdict that each must earn.

    corpus/good/   the reference                          corpus/bad/    one plausible mistake each
    corpus/alt/    other correct designs                 corpus/spoof/  attempts to earn points without the work

A case is a folder with verdict.toml and NN-name/ with whole files or patches against solutions/NN-name/:

    lab = "01-frames"
    what = "one sentence: the mistake, the design or the cheat, and how the grader sees it"
    [verdict]                          # tests that do not pass; every test not listed must pass
    "frames.double_free" = "fail"
    "heap.throughput" = { partial = [0.5, 2] }   # some of the points: at least 0.5, at most 2; or just "partial"
    "cow.program_chain" = "any"        # the fault spoils what the test stands on (its stack, the lists of free frames): chance decides how it ends
    # or: refused = "asm"              # refused before it boots; the message must contain this

A case in good/ earns all points. So does one in alt/, but that a correct design may be slower or waste more than the reference:
a test that measures may give it a part.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge import paths
from judge.build import BuildError, build
from judge.engine import Engine
from judge.lab import Lab, LabError, Test, find_lab
from judge.record import Record, mark_blocked
from judge.submission import Refused

SEED = 0xC0FFEE
KINDS = ("good", "alt", "bad", "spoof")


@dataclass(frozen=True)
class Wanted:
    """The verdict on one test."""

    status: str
    points: tuple[float, float] | None = None  # of a partial one: at least, at most

    def fits(self, record: Record) -> bool:
        if self.status == "any":
            return True
        return record.status == self.status and (self.points is None or self.points[0] <= record.points <= self.points[1])

    def __str__(self) -> str:
        return self.status if self.points is None else f"{self.status} with {self.points[0]:g} to {self.points[1]:g} points"


@dataclass(frozen=True)
class Case:
    """One submission and its verdict."""

    folder: Path
    lab: Lab
    what: str
    verdict: dict[str, Wanted]  # by test id, of the tests that do not pass
    refused: str  # what the refusal must say; "" when it is run

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"


def case_folders(corpus: Path | None = None) -> list[Path]:
    """All folders that should hold a case, whether or not they do."""
    root = corpus or paths.CORPUS
    return sorted(folder for kind in KINDS for folder in (root / kind).glob("*") if folder.is_dir())


def load_case(folder: Path) -> Case:
    """Reads verdict.toml strictly: a test id that does not exist would demand nothing."""
    file = folder / "verdict.toml"
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LabError(f"{paths.shown(file)}: {error}") from None
    for key, value in data.items():
        if key not in ("lab", "what", "verdict", "refused"):
            raise LabError(f"{paths.shown(file)}: unknown key {key!r}")
        if key != "verdict" and (not isinstance(value, str) or not value):
            raise LabError(f"{paths.shown(file)}: {key!r} must be a text")
    for key in ("lab", "what"):
        if key not in data:
            raise LabError(f"{paths.shown(file)}: {key!r} is missing")
    lab = find_lab(data["lab"])
    verdict = {test: _wanted(lab, test, value, file) for test, value in data.get("verdict", {}).items()}
    kind = folder.parent.name
    allowed = {"good": set(), "alt": {"partial"}}.get(kind)
    if allowed is not None and ("refused" in data or not {wanted.status for wanted in verdict.values()} <= allowed):
        raise LabError(f"{paths.shown(file)}: a case in {kind}/ earns all points" + (", or a part" if allowed else ""))
    if kind in ("bad", "spoof") and "refused" not in data and all(wanted.status == "any" for wanted in verdict.values()):
        raise LabError(f"{paths.shown(file)}: a case in {kind}/ must lose something")
    return Case(folder, lab, data["what"], verdict, data.get("refused", ""))


def _wanted(lab: Lab, test: str, value: Any, file: Path) -> Wanted:
    """What the verdict says of one test."""
    most = lab.test(test).points
    if isinstance(value, dict):
        limits = value.get("partial")
        if set(value) != {"partial"} or not isinstance(limits, list) or len(limits) != 2 \
                or not all(type(limit) in (int, float) for limit in limits) or not 0 <= limits[0] <= limits[1] < most:
            raise LabError(f"{paths.shown(file)}: {test} = {value!r}; write {{ partial = [least, most] }}, of {most:g} points")
        return Wanted("partial", (limits[0], limits[1]))
    if value not in ("fail", "partial", "blocked", "any"):
        raise LabError(f"{paths.shown(file)}: {test} = {value!r}; a verdict is fail, partial, blocked or any")
    return Wanted(value)


LIGHT_TICKS = 100_000_000  # the budget of a test that costs little more than its boot
ALTERNATIVES = 1 / 3  # of the tests, for each of the designs that are not the reference
FINDING = 6  # tests that must find the fault


def chosen_tests(case: Case, share: float) -> list[Test]:
    """The tests that the case is judged by: all with a share of 1.

    With less, `good` is run through all, and of the other designs, of which each lab has three or more, each through a third. A faulty one
    is run through those that must find the fault, six if there are more, and through a share of the others (those that it must pass, and
    those that are blocked). What is drawn, the names of case and test decide: in each case others, and the same ones every time. Tests with
    a large budget are drawn less often, so that the share is one of the work rather than of the number."""
    kind = case.folder.parent.name
    if kind == "good" or share >= 1:
        return list(case.lab.tests)
    if kind == "alt":
        return [test for test in case.lab.tests if random.Random(f"{case.name} {test.id}").random() < ALTERNATIVES]
    may_find = sorted(test for test, wanted in case.verdict.items() if wanted.status in ("fail", "partial"))
    finding = set(random.Random(case.name).sample(may_find, min(FINDING, len(may_find))))

    def is_chosen(test: Test) -> bool:
        if test.id in may_find:
            return test.id in finding
        if test.id in case.verdict and not finding.intersection(test.needs):
            return False  # blocked by a blocked one, which may not be run
        return random.Random(f"{case.name} {test.id}").random() < share * min(1, LIGHT_TICKS / test.ticks)

    return [test for test in case.lab.tests if is_chosen(test)]


def chosen_profiles(case: Case, tests: Sequence[Test]) -> list[str]:
    """The profiles that `tests` ask for. A case that must be refused is built for all: none may let it through."""
    asked = {test.profile for test in tests}
    return [profile for profile in case.lab.profiles if case.refused or profile in asked]


def judge_case(case: Case, engine: Engine, scratch: Path, share: float = 1.0) -> list[str]:
    """Judges one case; returns the differences from its verdict, one a line, none if it is exact.

    share  of the tests that a faulty case must pass: how many of them are run (chosen_tests())"""
    tests = chosen_tests(case, share)
    try:
        made = build(case.lab, case.folder, SEED, scratch, chosen_profiles(case, tests))
    except (Refused, BuildError) as error:
        if case.refused and isinstance(error, Refused) and case.refused in str(error):
            return []
        wanted = f"refused with {case.refused!r}" if case.refused else "to be built and run"
        return [f"expected {wanted}, seen {type(error).__name__}: {error}"]
    if case.refused:
        return [f"expected to be refused with {case.refused!r}, but it builds"]
    records = mark_blocked(case.lab, [engine.run_test(made, test) for test in tests])
    return differences(case, records)


def differences(case: Case, records: Sequence[Record]) -> list[str]:
    """What is not as the verdict says."""
    found = []
    for record in records:
        wanted = case.verdict.get(record.id, Wanted("pass"))
        if not wanted.fits(record):
            points = f" with {record.points:g} points" if record.status == "partial" else ""
            found.append(f"{record.id}: expected {wanted}, seen {record.status}{points}"
                         + (f" ({record.seen or record.blocked_by})" if record.status != "pass" else ""))
    return found
