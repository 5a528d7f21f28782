"""Lab 04's scores: the traces, the formula, and what a heap earns that is slow, wasteful, or quick because it is wrong."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from judge import paths
from judge.build import build, prepare_kernel
from judge.engine import Engine
from judge.lab import Lab, find_lab
from judge.record import Record
from judge.scenario import Failure, Scenario
from labs.heap_score import FULL, NO_SPEED, NO_UTILISATION, give_points, mean, share, traces_of
from traces.generate import KINDS, make_seeded, seeded_random
from traces.trace import FOLDER, BadTrace, Operation, Trace, checked_in, module_of

# -- traces ------------------------------------------------------------------------------------------------------------------


def test_the_files_are_what_the_script_writes() -> None:
    done = subprocess.run([FOLDER / "generate.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [trace.name for trace in checked_in()] == sorted(KINDS)


def test_a_run_adds_a_trace_of_its_seed() -> None:
    assert [trace.name for trace in traces_of(7)] == [*sorted(KINDS), "seeded"]
    assert traces_of(7) == traces_of(7) and traces_of(7)[-1] != traces_of(8)[-1]
    done = subprocess.run([FOLDER / "generate.py", "--show", "0x7"], capture_output=True, text=True)
    assert Trace.parse("seeded", done.stdout) == traces_of(7)[-1]
    for seed in range(100):
        assert 500 < len(make_seeded(seeded_random(seed)).operations) < 3072  # and none is a BadTrace


@pytest.mark.parametrize("trace", traces_of(1), ids=lambda trace: trace.name)
def test_every_trace_frees_what_it_allocates_and_asks_for_more_than_is_ever_in_use(trace: Trace) -> None:
    """A heap that never gives a block out twice needs at least half as much again."""
    assert trace.payload[-1] == 0 and 8_000 < trace.peak < 2 << 20
    assert sum(operation.size for operation in trace.operations) > 1.2 * trace.peak


def test_a_trace_survives_its_text() -> None:
    trace = Trace("t", (Operation("a", 3, 100), Operation("a", 0, 20), Operation("r", 3, 250), Operation("f", 0), Operation("f", 3)))
    assert trace.text == "a 3 100\na 0 20\nr 3 250\nf 0\nf 3\n" and Trace.parse("t", "# words\n\n" + trace.text) == trace
    assert trace.payload == [100, 120, 270, 250, 0] and trace.peak == 270
    assert [operation.word for operation in trace.operations] == [3 << 19 | 100, 20, 2 << 30 | 3 << 19 | 250, 1 << 30, 1 << 30 | 3 << 19]
    assert module_of([trace, trace]) == f"t t\n{trace.text}t t\n{trace.text}".encode()


@pytest.mark.parametrize("text", [
    "", "f 1\n", "a 1 5\n", "a 1 5\na 1 5\nf 1\n", "r 1 5\n", "a 1 5\nf 1\nf 1\n", "a 1 0\nf 1\n", "a 1024 5\nf 1024\n", f"a 1 {1 << 19}\nf 1\n",
    "a 1\nf 1\n", "a 1 5 6\nf 1\n", "b 1 5\nf 1\n", "a -1 5\nf -1\n", "a x 5\nf x\n", "a 1 5\nf 1 5\n", "a  1 5\nf 1\n"])
def test_a_trace_that_no_caller_could_follow_is_refused(text: str) -> None:
    with pytest.raises(BadTrace, match="^t"):
        Trace.parse("t", text)


# -- the formula ---------------------------------------------------------------------------------------------------------------


def test_the_points_lie_on_a_line_between_the_marks() -> None:
    for low in (NO_SPEED, NO_UTILISATION):
        assert [share(score, low) for score in (0, low, FULL, 1)] == [0, 0, 1, 1]
        assert share((low + FULL) / 2, low) == pytest.approx(0.5, abs=1e-3)


def test_the_mean_is_geometric_and_being_better_pays_for_nothing() -> None:
    assert mean([1, 1, 1]) == 1 and mean([0.25, 1]) == pytest.approx(0.5) and mean([0.25, 100]) == pytest.approx(0.5)
    assert mean([0, 1]) < 0.01


def scenario() -> Scenario:
    return Scenario("heap.trial", 1, None)  # type: ignore[arg-type]


def test_a_part_of_the_points_says_how_much_there_was_and_how_much_it_takes() -> None:
    full, half = scenario(), scenario()
    give_points(full, 3, [0.9, 0.75], 0.2, "a speed")
    assert full.earned is None
    give_points(half, 3, [0.5, 0.5], 0.2, "a speed")
    assert half.earned is not None and half.earned.points == 1.5
    assert half.earned.why == "a speed of 0.500 of the reference's; all points from 0.8 on, none at 0.2"
    with pytest.raises(Failure, match="a speed of more than 0.2 of the reference's; seen: 0.100"):
        give_points(scenario(), 3, [0.1, 0.1], 0.2, "a speed")


def test_the_handout_says_the_same_marks() -> None:
    text = (paths.LABS / "04-heap" / "README.md").read_text()
    assert f"All points from {FULL:g} of the reference's speed on, none at {NO_SPEED:g}." in text
    assert f"All points from {FULL:g} of the reference's utilisation on, none at {NO_UTILISATION:g}." in text
    for test in find_lab("heap").tests[-2:]:
        assert test.rests_on in text and test.points == 3


# -- on the machine --------------------------------------------------------------------------------------------------------------

needs_reference = pytest.mark.skipif(not paths.SOLUTIONS.is_dir(), reason="the heaps here are made from the reference")


@pytest.fixture(scope="module")
def machine() -> Iterator[Engine]:
    prepare_kernel()
    with Engine() as engine:
        yield engine


@pytest.fixture
def judge(machine: Engine, tmp_path: Path) -> Callable[..., dict[str, Record]]:
    """judge(function, statements, before) -> the two records of the reference with statements put in front of a function's own."""

    def run(function: str = "", statements: str = "", before: str = "") -> dict[str, Record]:
        lab: Lab = find_lab("heap")
        scores = tuple(test for test in lab.tests if test.id in ("heap.throughput", "heap.utilisation"))
        lab = dataclasses.replace(lab, tests=scores)
        place = tmp_path / lab.name
        place.mkdir()
        for name in lab.files:
            text = (paths.SOLUTIONS / lab.name / name).read_text()
            if name == "kmalloc.cpp" and function:
                text, count = re.subn(rf"^Result<\S+> {function}\(.*?\) {{", lambda head: f"{before}\n{head[0]}\n{statements}\n", text, flags=re.MULTILINE)
                assert count == 1
            (place / name).write_text(text)
        made = build(lab, tmp_path, 0x5EED, tmp_path / "out")
        return {test.id: machine.run_test(made, test) for test in scores}

    return run


COUNTER = "namespace { constinit unsigned calls = 0; }"


@needs_reference
def test_the_reference_is_as_good_as_itself(judge: Callable[..., dict[str, Record]]) -> None:
    for record in judge().values():
        assert (record.status, record.points, record.boots) == ("pass", 3, 2)
        [table] = record.tables
        assert [row[0] for row in table.rows] == [*sorted(KINDS), "seeded"] and {row[-1] for row in table.rows} == {1.0}


@needs_reference
def test_a_heap_that_searches_loses_points_of_speed_alone(judge: Callable[..., dict[str, Record]]) -> None:
    """Some four times as slow: what a list of blocks that is looked through costs."""
    records = judge("kmalloc", "for (volatile int i = 0; i < 100; i = i + 1) {}")
    slow = records["heap.throughput"]
    assert records["heap.utilisation"].status == "pass" and slow.status == "partial" and 0.3 < slow.points < 2
    assert "of the reference's; all points from 0.8 on" in slow.seen


@needs_reference
def test_a_heap_that_rounds_up_to_powers_of_two_loses_points_of_utilisation_alone(judge: Callable[..., dict[str, Record]]) -> None:
    records = judge("kmalloc", "if (bytes < 1u << 18) { size_t size = 64; while (size < 2 * bytes) size *= 2; bytes = size; }")
    assert records["heap.utilisation"].status == "partial" and 1 < records["heap.utilisation"].points < 2.9
    assert records["heap.throughput"].points > 2


@needs_reference
@pytest.mark.parametrize("function, statements, before, seen", [
    ("kfree", "return {};", "", "frames"),  # gives nothing back
    ("kfree", "if (++calls % 4 == 0) return {};", COUNTER, "frames"),  # loses one block in four
    ("kmalloc", "alignas(8) static unsigned char arena[4096]; if (++calls > 20) return arena;", COUNTER, "inside the kernel's image"),
    ("krealloc", "return kmalloc(bytes, site);", "", "other contents"),  # forgets the contents
    ("kmalloc", "if (++calls > 3000) return Error::OutOfMemory;", COUNTER, "Error::OutOfMemory at operation"),
], ids=["leaks", "leaks-some", "in-the-image", "forgets", "refuses"])
def test_a_heap_that_is_wrong_earns_neither(judge: Callable[..., dict[str, Record]], function: str, statements: str, before: str, seen: str) -> None:
    records = judge(function, statements, before)
    for record in records.values():
        assert (record.status, record.points) == ("fail", 0) and seen in record.seen, record


@needs_reference
def test_a_heap_that_hands_a_block_out_twice_earns_neither(judge: Callable[..., dict[str, Record]]) -> None:
    """Every other small block is the one before it."""
    records = judge("kmalloc", """if (!inside && bytes <= 64) {
            if (kept) { void* const block = kept; kept = nullptr; return block; }
            inside = true; const auto made = kmalloc(64, site); inside = false;
            if (!made.is_error()) kept = made.value();
            return made;
        }""", "namespace { constinit void* kept = nullptr; constinit bool inside = false; }")
    for record in records.values():
        assert record.status == "fail" and "other contents" in record.seen
