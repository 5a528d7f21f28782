"""Lab 03's model: runs that a set of free frames makes, fragmentation, and which run may serve a request."""

from __future__ import annotations

import random

import pytest

from oracle.buddy import MAX_ORDER, ORDERS, RunModel, blocks, crossed_boundaries, fragmentation, run, run_counts, runs
from oracle.frames import FrameSet, Zone


def _free_blocks(frames: set[int], order: int) -> set[int]:
    """First frames of all aligned runs of free frames, looked for one by one."""
    size = 1 << order
    return {first for first in range(0, max(frames, default=0) + 1, size) if all(first + i in frames for i in range(size))}


def _some_frames(rng: random.Random) -> FrameSet:
    stretches = ((rng.randrange(4000), rng.choice((1, 2, 3, 7, 40, 600, 3000))) for _ in range(rng.randrange(12)))
    return FrameSet((begin, begin + length) for begin, length in stretches)


def test_runs_agree_with_a_search_frame_by_frame() -> None:
    rng = random.Random(1)
    for _ in range(60):
        frames = _some_frames(rng)
        found = {order: _free_blocks(set(frames), order) for order in ORDERS}
        expected = [len([first for first in found[order] if order == MAX_ORDER or first & ~((2 << order) - 1) not in found[order + 1]]) for order in ORDERS]
        assert run_counts(frames) == expected
        assert [blocks(frames, order) for order in ORDERS] == [len(found[order]) for order in ORDERS]


def test_the_runs_are_the_set_and_none_could_be_larger() -> None:
    rng = random.Random(2)
    for _ in range(100):
        frames = _some_frames(rng)
        listed = list(runs(frames))
        assert FrameSet((first, first + (1 << order)) for first, order in listed) == frames
        assert sum(1 << order for _, order in listed) == len(frames)
        assert [sum(1 for _, order in listed if order == wanted) for wanted in ORDERS] == run_counts(frames)
        for first, order in listed:
            assert first % (1 << order) == 0
            assert order == MAX_ORDER or ((first ^ 1 << order), order) not in listed


@pytest.mark.parametrize("ranges, counts", [
    ([], {}),
    ([(0, 1)], {0: 1}),
    ([(1, 3)], {0: 2}),  # neighbours, but not buddies
    ([(2, 4)], {1: 1}),
    ([(0, 2048)], {10: 2}),
    ([(512, 1536)], {9: 2}),  # 1024 in a row, and no run of 1024
    ([(1023, 2049)], {0: 2, 10: 1}),
    ([(4095, 4097)], {0: 2}),
])
def test_runs_of_a_few_sets(ranges: list[tuple[int, int]], counts: dict[int, int]) -> None:
    assert run_counts(FrameSet(ranges)) == [counts.get(order, 0) for order in ORDERS]


def test_fragmentation_is_the_part_that_is_too_small() -> None:
    counts = run_counts(FrameSet([(0, 1), (2, 4), (4096, 5120)]))  # 1 + 2 + 1024 frames
    assert [fragmentation(counts, order) for order in ORDERS] == [0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    assert fragmentation(run_counts(FrameSet([(0, 1), (2, 3), (4, 5), (8, 10)])), 1) == 600
    assert fragmentation(run_counts(FrameSet([(1, 3)])), 1) == 1000
    assert fragmentation(run_counts(FrameSet()), 5) == 0
    assert fragmentation([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 << 9], 10) == 0  # 2 of 524290 frames, rounded down


def test_boundaries_that_a_run_crosses() -> None:
    assert crossed_boundaries(16, 16, 16) == 0
    assert crossed_boundaries(15, 2, 16) == 1
    assert crossed_boundaries(8, 16, 16) == 1
    assert crossed_boundaries(0, 48, 16) == 2


def test_the_model_knows_which_runs_may_come() -> None:
    model = RunModel(FrameSet([(16, 24), (4096, 4100), (65537, 65539)]))
    assert [model.serving_zone(order, Zone.HIGH) for order in range(5)] == [Zone.HIGH, Zone.NORMAL, Zone.NORMAL, Zone.DMA, None]
    assert model.serving_zone(3, Zone.NORMAL) == Zone.DMA and model.serving_zone(2, Zone.DMA) == Zone.DMA
    assert not model.complaint(4098, 1, Zone.HIGH)
    assert "no multiple" in model.complaint(4097, 1, Zone.HIGH)
    assert "not free" in model.complaint(4098, 2, Zone.HIGH) or "no multiple" in model.complaint(4098, 2, Zone.HIGH)
    assert "0x1004" in model.complaint(4100, 1, Zone.HIGH)
    assert "Normal has" in model.complaint(16, 1, Zone.NORMAL)
    assert "High has" in model.complaint(4096, 0, Zone.HIGH)


def test_the_model_follows_runs_and_restores_them() -> None:
    rng = random.Random(3)
    start = FrameSet([(10, 3000), (4100, 4700)])
    model = RunModel(start)
    for _ in range(300):
        if model.held and rng.random() < 0.45:
            model.give_back(rng.choice(list(model.held)))
        else:
            order = rng.randrange(8)
            choices = [first for first, size in runs(model.free) if size >= order]
            if choices:
                model.take(rng.choice(choices), order)
        taken = [frame for first, order in model.held.items() for frame in run(first, order)]
        assert len(taken) == len(set(taken)) == len(start) - len(model.free)
        assert sum(model.free_count(zone) for zone in Zone) == len(model.free)
        assert all(sum(count << order for order, count in enumerate(model.counts(zone))) == model.free_count(zone) for zone in Zone)
    for first in list(model.held):
        model.give_back(first)
    assert model.free == start
