"""What the kernel builds around the heap: pools, what is left without memory debugging, and the heap itself when frames run out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from profiles import built_with
from scripted import Boots, Run, Script, boots

UNGUARDED = "no-memory-debugging"
PROFILES = ["grading", UNGUARDED]
TROUBLES = ["none", "another error than OutOfMemory", "a frame is lost", "an object is lost", "it cannot be undone", "never succeeds"]


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("heap"))


@pytest.fixture(scope="module")
def single_frames() -> Path:
    """The heap over an allocator of single frames."""
    return built_with("01-frames")


# --- the heap, when frames run out --------------------------------------------------------------------------------------------


def churn_script(*stories: tuple[int, int, int]) -> tuple[Script, list[int]]:
    script = Script()
    return script, [script.add(f"heapk.churn {seed} {steps} {largest}") for seed, steps, largest in stories]


@pytest.mark.parametrize("profile", PROFILES)
def test_blocks_of_all_sizes_keep_their_contents_and_lose_no_frame(boot, profile):
    script, stories = churn_script((7, 2000, 5000), (8, 1000, 200_000), (9, 200, 4_000_000))
    run = boot.finished(script, profile=profile)
    assert [run.values(story)[0] for story in stories] == [2000, 1000, 200], "a step went wrong"
    assert [run.values(story)[2:] for story in stories] == [(0, 0)] * 3, "findings, frames lost"
    assert run.values(stories[2])[1] > 0, "the last story should run out of memory"


def test_the_heap_stands_on_an_allocator_of_single_frames(boot, single_frames):
    script, stories = churn_script((7, 2000, 5000), (8, 1000, 200_000))
    large = script.add("heapk.kmalloc 100000")
    run = boot.finished(script, kernel=single_frames)
    assert [run.values(story)[0] for story in stories] == [2000, 1000]
    assert [run.values(story)[2:] for story in stories] == [(0, 0)] * 2
    assert run.value(large) >= 0xC000_0000, "a large block comes from vmalloc"


def inject_script() -> tuple[Script, list[int]]:
    script = Script()
    lines = [*(f"heapk.inject_kmalloc {bytes} {alignment}" for bytes, alignment in
               [(32, 8), (500, 8), (4096, 8), (4096, 4096), (100, 256), (70_000, 8), (70_000, 4096), (5_000_000, 8)]),
             *(f"heapk.inject_krealloc {old} {new}" for old, new in
               [(32, 100), (100, 5000), (5000, 70_000), (70_000, 5_000_000), (70_000, 100)]),
             *(f"heapk.inject_object {size} {alignment}" for size, alignment in [(64, 8), (700, 8), (4096, 8), (4096, 4096)]),
             "heapk.inject_caches", "pool.inject 100 20", "pool.inject 3000 20"]
    return script, [script.add(line) for line in lines]


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_is_lost_at_any_point_where_frames_end(boot, profile):
    script, attempts = inject_script()
    expect_no_trouble(script, attempts, boot.finished(script, profile=profile))


def test_nothing_is_lost_without_runs_of_frames(boot, single_frames):
    script, attempts = inject_script()
    expect_no_trouble(script, attempts, boot.finished(script, kernel=single_frames))


def expect_no_trouble(script: Script, attempts: list[int], run: Run) -> None:
    for attempt in attempts:
        needed, trouble = run.values(attempt)
        line = script.lines[attempt - 1]
        assert trouble == 0, f"{line}: {TROUBLES[trouble]}, with {needed} frames"
        shrinks = line in ("heapk.inject_krealloc 70000 100",)
        assert needed > 0 or shrinks, f"{line} needs no frame: the test tests nothing"


@pytest.mark.parametrize("profile", PROFILES)
def test_frames_without_objects_go_back_when_memory_is_short(boot, profile):
    script = Script()
    pressure = script.add("heapk.pressure")
    run = boot.finished(script, profile=profile)
    before, after = run.values(pressure)
    assert before >= 10 and after == 0


# --- pools --------------------------------------------------------------------------------------------------------------------


class PoolScript(Script):
    """A pool of number 0."""

    def allocate(self) -> int:
        return self.add("pool.allocate 0")

    def free(self, object: str) -> int:
        return self.add(f"pool.free 0 {object}")

    def figures(self) -> int:
        return self.add("pool.figures 0")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("size", [24, 1000])
def test_a_pools_reserve_cannot_fail_and_fills_up_first(boot, profile, size):
    script = PoolScript()
    script.add(f"pool.initialize 0 {size} 5")
    full = script.figures()
    script.add("heapk.fail_after 0")
    script.add("heapk.findings")
    taken = [script.allocate() for _ in range(3000)]
    script.add("heapk.fail_never")
    out = script.figures()
    given = [script.free(f"${taken[i]}") for i in range(7)]
    refilled = script.figures()
    again = script.allocate()
    plenty = script.figures()
    run = boot.finished(script, profile=profile)
    assert run.values(full) == (0, 5, 5)
    records = run.records()
    addresses = [records[op].values[0] for op in taken if not records[op].error]
    assert len(addresses) >= 5 and len(set(addresses)) == len(addresses)
    assert [records[op].error for op in taken[len(addresses):]] == ["OutOfMemory"] * (len(taken) - len(addresses)), "the end is the end"
    assert len(addresses) < len(taken)
    assert run.values(out) == (len(addresses), 5, 0)
    assert [records[op].error for op in given] == [""] * 7
    assert run.values(refilled) == (len(addresses) - 7, 5, 5), "the reserve fills up first, and is not overfilled"
    assert not records[again].error and run.values(plenty)[2] == 5, "while there is memory the reserve stays"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_pool_in_use_is_busy_and_its_end_loses_nothing(boot, profile):
    script = PoolScript()
    before = script.add("heapk.frames")
    script.add("pool.initialize 0 300 40")
    first, second = script.allocate(), script.allocate()
    script.free(f"${first}")
    busy = script.add("pool.destroy 0")
    unchanged = script.figures()
    script.free(f"${second}")
    ended = script.add("pool.destroy 0")
    after = script.add("heapk.frames")
    anew = script.add("pool.initialize 0 40 2")
    script.add("pool.destroy 0")
    run = boot.finished(script, profile=profile)
    assert run.error(busy) == "Busy" and run.values(unchanged) == (1, 40, 40)
    assert run.error(ended) == "" and run.value(after) == run.value(before)
    assert run.error(anew) == ""


def test_a_pool_refuses_what_is_not_its_own(boot):
    script = PoolScript()
    script.add("pool.initialize 0 32 4")
    object, foreign = script.allocate(), script.add("heapk.kmalloc 32")
    refused = [script.free(f"${foreign}"), script.free(f"${object}+8"), script.free("0x1234"), script.free("0xF0000000")]
    script.free(f"${object}")
    refused.append(script.free(f"${object}"))
    nothing = script.free("0")
    figures = script.figures()
    too_many = script.add("pool.initialize 1 4096 1000000000")
    wrong = script.add("pool.initialize 1 0 5")
    findings = script.add("heapk.findings")
    run = boot.finished(script)
    assert [run.error(op) for op in refused] == ["NotAllocated"] * 5
    assert run.error(nothing) == "" and run.values(figures) == (0, 4, 4)
    assert (run.error(too_many), run.error(wrong)) == ("OutOfMemory", "InvalidArgument")
    assert run.value(findings) == 5


# --- findings that stop the kernel, and none without CONFIG_MEMORY_DEBUGGING --------------------------------------------------


def test_a_panic_on_finding_needs_a_finding(boot):
    script = Script()
    script.add("heapk.churn 5 500 5000")
    boot.finished(script, options="panic_on_finding")
    script.add("heapk.kfree 0x1234")
    assert boot(script, options="panic_on_finding").to_panic().startswith("the heap has a finding")


def test_without_debugging_nothing_is_known_and_wrong_frees_are_refused_all_the_same(boot):
    script = Script()
    unknown = [script.add("leak.remember"), script.add("leak.report"), script.add("leak.find report"), script.add("leak.find collect")]
    block = script.add("heapk.kmalloc 30")
    script.add(f"heapk.write ${block}+30 65")
    wrong = [script.add(f"heapk.kfree {address}") for address in (f"${block}+8", "0x1000", "0xb8000", "0x20000000", "0xc0000000", "0xfffffff8")]
    right = script.add(f"heapk.kfree ${block}")
    wrong.append(script.add(f"heapk.kfree ${block}"))
    check, findings = script.add("heapk.check"), script.add("heapk.findings")
    run = boot.finished(script, profile=UNGUARDED)
    assert [run.error(op) for op in unknown] == ["Unsupported"] * 4
    assert run.error(right) == "" and [run.error(op) for op in wrong] == ["NotAllocated"] * 7
    assert (run.value(check), run.value(findings)) == (0, 0)
