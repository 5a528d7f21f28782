"""The two scores of lab 04: how fast the heap is, and how little memory it takes beyond what its callers asked for.

Both run the traces of grader/traces on the submission's kernel and on the reference's, one boot each, with the same trace of the run's
seed added. No figure is stored: what counts are the ratios of this run. Kernels without CONFIG_MEMORY_DEBUGGING are measured.

    speed of a trace        reference's ticks / submission's ticks, in kmalloc, krealloc and kfree together
    utilisation of a trace  most bytes in use at a time / (most frames held at a time * 4096), divided by the reference's

Each counts as 1 where the submission is better than the reference: a quick trace does not pay for a slow one. The geometric mean over
all traces gives the points: all from FULL on, none at the low mark, in a straight line between them.

A heap that fails in a trace (a block in two hands, contents lost, memory that runs out) has no score, and so has one that does
not use again what was freed: the second run of a trace must do with the frames of the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from emulator.machine import Machine
from judge.scenario import Failure, Op, Scenario, expect, fail
from traces.generate import make_seeded, seeded_random
from traces.trace import KINDS, Trace, checked_in, module_of

PAGE = 4096
FULL = 0.8  # of the reference's: all points
NO_SPEED = 0.05  # and none from here down
NO_UTILISATION = 0.1
MEGABYTES = 32
LEAK_FACTOR, LEAK_FRAMES = 1.25, 8  # more frames than this after the second run: what was freed is lost

TROUBLES = {
    1: ("kmalloc() and krealloc() find memory, kfree() takes every block", "Error::{error}",
        "The machine has 32 MiB, and no trace has more than 2 MiB in use at a time."),
    2: ("every block lies at a multiple of 8", "a null pointer or one that is no multiple of 8", "kHeapAlignment holds for every size."),
    3: ("blocks lie in frames that the heap has taken from mm::frames", "a block inside the kernel's image, or past the end of memory",
        "Tables in the kernel's own data are no heap: they are gone when they are full."),
    4: ("a block holds what its owner wrote into it until it is freed", "other contents",
        "Is a block in two free lists? Does krealloc() copy all that both sizes have?"),
}
ERRORS = ("None", "OutOfMemory", "Unsupported", "InvalidArgument", "Misaligned", "OutOfRange", "NotAllocated", "NotMapped", "Busy")


class TraceRun:
    """One trace on one kernel: its part of the script, and its figures after the boot."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self.trace = trace
        self._load = scenario.op("trace.load", trace.name)
        scenario.op("trace.shrink")
        self._check = scenario.op("trace.check", note=f"trace {trace.name}, with contents")
        scenario.op("trace.shrink")
        self._time = scenario.op("trace.time", note=f"trace {trace.name}, for ticks")
        self._left = scenario.op("trace.shrink")

    def verify(self) -> None:
        """Raises a Failure unless the heap did in both runs what it had to do."""
        trace = self.trace
        expect(self._load.values == [len(trace.operations), trace.digest, trace.peak], f"trace {trace.name} is run as it was given",
               "the guest has read another one: something has written to the kernel's memory", operation=self._load.number)
        for op in (self._check, self._time):
            self._verify_run(op)
        left, most = self._left.value, self.frames
        expect(left <= LEAK_FACTOR * most + LEAK_FRAMES, f"memory that was freed is used again: after two runs of trace {trace.name}, and with all "
               f"blocks freed, the heap holds no more than the {most} frames of the first run", f"{left} frames",
               "A heap that never gives anything out twice is quick, and soon at its end.", operation=self._left.number)

    def _verify_run(self, op: Op) -> None:
        trouble, number, error = op.values[:3]
        if trouble:
            expected, seen, hint = TROUBLES[trouble]
            name = ERRORS[error] if error < len(ERRORS) else f"number {error}"
            raise Failure(expected, f"{seen.format(error=name)} at operation {number} (`{self.trace.operations[number - 1]}`) of trace {self.trace.name}",
                          hint, operation=op.number)

    @property
    def frames(self) -> int:
        """The most frames that the heap held in the first run; never fewer than the blocks lay in."""
        most, pages = self._check.values[3:]
        return max(most, pages, 1)

    @property
    def utilisation(self) -> float:
        return self.trace.peak / (self.frames * PAGE)

    @property
    def ticks_each(self) -> float:
        """Of an operation, whatever its kind."""
        return self._time.values[3] / len(self.trace.operations)

    def ticks_of(self, kind: str) -> int:
        """Of one call of kmalloc ("a"), kfree ("f") or krealloc ("r"), for people; 0 when the trace has none."""
        calls = sum(operation.kind == kind for operation in self.trace.operations)
        return round(self._time.values[4 + KINDS.index(kind)] / max(calls, 1))


@dataclass(frozen=True)
class Pair:
    """One trace on both kernels."""

    own: TraceRun
    reference: TraceRun

    @property
    def speed(self) -> float:
        """1 and more: as fast as the reference."""
        return self.reference.ticks_each / max(self.own.ticks_each, 1)

    @property
    def utilisation(self) -> float:
        return self.own.utilisation / self.reference.utilisation


def traces_of(seed: int) -> list[Trace]:
    """The traces of a run: those that are checked in, and one of the seed's own."""
    return [*checked_in(), make_seeded(seeded_random(seed))]


def run_traces(heap: Scenario) -> list[Pair]:
    """Runs all traces on both kernels. A heap that does not work is a Failure."""
    traces = traces_of(heap.seed)
    runs = []
    for scenario in (heap, heap.reference_machine()):
        scenario.machine = Machine(MEGABYTES)
        scenario.module("traces", module_of(traces))
        runs.append([TraceRun(scenario, trace) for trace in traces])
        scenario.boot()
        for run in runs[-1]:
            run.verify()
    return [Pair(own, reference) for own, reference in zip(*runs)]


def mean(ratios: Sequence[float]) -> float:
    """The geometric mean, of what is at most 1 each."""
    return math.exp(sum(math.log(max(min(ratio, 1), 1e-6)) for ratio in ratios) / len(ratios))


def share(score: float, low: float) -> float:
    """The part of the points that a score earns: all from FULL on, none at `low`, in tenths of a percent."""
    return round(min(max((score - low) / (FULL - low), 0), 1), 3)


def give_points(heap: Scenario, most: float, ratios: Sequence[float], low: float, what: str) -> None:
    """Passes the test, gives it a part of its points, or fails it."""
    score = mean(ratios)
    earned = round(most * share(score, low), 2)
    if earned <= 0:
        fail(f"{what} of more than {low:g} of the reference's", f"{score:.3f}")
    if earned < most:
        heap.partial(earned, f"{what} of {score:.3f} of the reference's; all points from {FULL:g} on, none at {low:g}")
