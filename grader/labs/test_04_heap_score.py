"""Lab 04: the two tests that measure. How the points come about stands in heap_score.py and in the handout."""

from __future__ import annotations

from labs.heap import HeapScenario
from labs.heap_score import NO_SPEED, NO_UTILISATION, give_points, run_traces

POINTS = 3  # of each test, as in lab.toml


def test_throughput(heap: HeapScenario) -> None:
    """Runs eight traces (seven that everybody knows, one of the run's seed) and compares the ticks of kmalloc, krealloc and kfree with the
    reference's in the same run. Kernels are built without CONFIG_MEMORY_DEBUGGING."""
    pairs = run_traces(heap)
    rows = [[pair.own.trace.name, len(pair.own.trace.operations), *map(pair.own.ticks_of, "afr"), round(pair.own.ticks_each),
             round(pair.reference.ticks_each), round(min(pair.speed, 1.0), 3)] for pair in pairs]
    heap.table("heap.throughput: ticks per call, and per operation of the trace",
               ["trace", "operations", "kmalloc", "kfree", "krealloc", "yours", "reference", "score"], rows)
    give_points(heap, POINTS, [pair.speed for pair in pairs], NO_SPEED, "a speed")


def test_utilisation(heap: HeapScenario) -> None:
    """Runs the same traces and compares the bytes in use, at the most, with the memory that the heap has taken from mm::frames for them."""
    pairs = run_traces(heap)
    rows = [[pair.own.trace.name, pair.own.trace.peak, pair.own.frames, pair.reference.frames, round(pair.own.utilisation, 3),
             round(pair.reference.utilisation, 3), round(min(pair.utilisation, 1.0), 3)] for pair in pairs]
    heap.table("heap.utilisation: bytes in use at the most, and frames held for them",
               ["trace", "bytes", "frames", "reference's", "yours", "reference", "score"], rows)
    give_points(heap, POINTS, [pair.utilisation for pair in pairs], NO_UTILISATION, "a utilisation")
