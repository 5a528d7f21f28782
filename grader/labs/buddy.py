"""The scenario of lab 03-buddy: what its tests do with runs of frames, and the machines that they do it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.machine import MIB, RESERVED, Machine, MemoryEntry
from judge.scenario import Op, expect
from oracle.buddy import ORDERS, RunModel, fragmentation, run_counts
from oracle.frames import PAGE_SIZE, FrameSet, Zone

from labs.frame_lab import ALL, Bulk, FrameLabScenario, Look
from labs.frames_machines import LOW

WAYS = ("ascending", "descending", "scattered")


@dataclass(frozen=True)
class Damage:
    """What became of the contents of a run."""

    op: Op

    @property
    def text(self) -> str:
        """Where the run differs from what it should hold; empty when it does not."""
        frames, frame, offset, seen = self.op.values
        return f"{frames} frames differ; the first is {frame:#x}, which holds {seen:#010x} at offset {offset:#x}" if frames else ""


class BuddyScenario(FrameLabScenario):
    """Readable names for the guest's operations on runs."""

    def prepare(self) -> None:
        """Memory with an odd end, two runs of the largest order in it, and a beginning that is aligned to nothing. Unless a
        test is about zones, all of it lies in DMA. No heap and no processes: they would take frames before the test does."""
        end = 14 * MIB - self.random.randrange(1, 256) * PAGE_SIZE
        self.command_line = "harness without_heap"
        self.machine = Machine(14, (LOW, MemoryEntry(MIB, end - MIB)))

    def use_three_zones(self, high_frames: int | None = None) -> None:
        """A few megabytes in every zone, each with an odd end, and a hole in the middle of Normal."""
        some = self.random.randrange
        normal_end = 22 * MIB - some(1, 200) * PAGE_SIZE
        hole = MemoryEntry(20 * MIB + some(1, 200) * PAGE_SIZE, some(1, 40) * PAGE_SIZE, RESERVED)
        high = MemoryEntry(256 * MIB, (high_frames or some(300, 400)) * PAGE_SIZE)
        dma = MemoryEntry(1 * MIB, 9 * MIB + some(1, 200) * PAGE_SIZE)
        self.machine = Machine(258, (LOW, dma, MemoryEntry(16 * MIB, normal_end - 16 * MIB), hole, high))

    # One call each

    def allocate(self, order: int = 0, zone: str = "dma", contents: str = "unspecified", note: str = "") -> Op:
        """allocate(): its value is the first frame of the run."""
        return self.op("buddy.allocate", order, zone, contents, note=note)

    def free(self, first: object, order: int = 0, note: str = "") -> Op:
        return self.op("buddy.free", first, order, note=note)

    def free_runs(self, zone: Zone, order: int) -> Op:
        return self.op("buddy.free_runs", int(zone), order)

    def fragmentation(self, zone: Zone, order: int) -> Op:
        return self.op("buddy.fragmentation", int(zone), order)

    def pictures(self, note: str = "") -> list[Op]:
        """free_runs() of every order, zone by zone."""
        return [self.op("buddy.picture", int(zone), note=note) for zone in Zone]

    def indices(self, note: str = "") -> list[Op]:
        """fragmentation() of every order, zone by zone."""
        return [self.op("buddy.indices", int(zone), note=note) for zone in Zone]

    # Many runs

    def take(self, count: int, order: int = 0, zone: str = "dma", note: str = "") -> Bulk:
        """Allocates up to `count` runs; the guest keeps them."""
        return Bulk(self.op("buddy.take", count, order, zone, note=note))

    def exhaust(self, order: int = 0, zone: str = "dma", note: str = "") -> Bulk:
        """Allocates runs of this order until there is an error."""
        return self.take(ALL, order, zone, note)

    def take_everything(self, zone: str = "dma", note: str = "") -> list[Bulk]:
        """Exhausts every order, the largest first: what is free comes in its largest runs. Indexed by order."""
        return [self.exhaust(order, zone, note) for order in reversed(ORDERS)][::-1]

    def give_back(self, count: int = ALL, order: int = ALL, way: str = "scattered", note: str = "") -> Bulk:
        """Frees runs that the guest holds, of one order or of any: ascending, descending, scattered, or the odd ones only."""
        return Bulk(self.op("buddy.give_back", count, order, way, note=note))

    def churn(self, count: int, orders: int = 11, note: str = "") -> Bulk:
        """Allocates and frees runs at random, of orders below `orders`, with a pattern in each."""
        return Bulk(self.op("buddy.churn", self.random.getrandbits(31) + 1, count, orders, note=note))

    def leave_one_run(self, order: int, zone: str = "dma") -> Op:
        """Takes all memory up to this zone but one run of this order, which is the value."""
        kept = self.allocate(order, zone, note="the run that will be free")
        self.take_everything(zone, note="all the rest")
        self.free(kept, order)
        return kept

    # Contents

    def fill_run(self, first: object, order: int, word: int) -> Op:
        return self.op("buddy.fill", first, order, word)

    def compare_run(self, first: object, order: int, word: int, begin: int = 0) -> Damage:
        """Whether every frame of the run holds this word from byte `begin` on."""
        return Damage(self.op("buddy.compare", first, order, word, begin))

    # What must hold

    def expect_run(self, op: Op, order: int, model: RunModel, zone: Zone | None = None) -> None:
        """The answer is a run that may be handed out now; it is, from here on."""
        expect(op.ok, f"a run of order {order}, as there is one", f"{op}: {op.says}", operation=op.number)
        complaint = model.complaint(op.value, order, zone)
        expect(not complaint, f"{1 << order} free frames in a row, aligned to their number" + (f", from {model.serving_zone(order, zone).title}" if zone is not None else ""),
               f"{op} returned frame {op.value:#x}: {complaint}", operation=op.number)
        model.take(op.value, order)

    def expect_in_runs(self, taken: Sequence[Bulk], free: FrameSet, when: str) -> None:
        """take_everything() brought the free frames in the largest runs that they make."""
        for order, (bulk, wanted) in reversed(list(enumerate(zip(taken, run_counts(free))))):
            expect(bulk.done == wanted, f"{when}, the free frames make {wanted} runs of order {order} that are part of no larger one", f"{bulk.done} came ({bulk.op})",
                   "Two free buddies of one order are one run of the next, up to kMaxOrder.", operation=bulk.op.number)
            expect(bulk.error == "OutOfMemory", "allocate() ends with Error::OutOfMemory", f"Error::{bulk.error}", operation=bulk.op.number)

    def expect_pictures(self, ops: Sequence[Op], free: FrameSet, when: str) -> None:
        """free_runs() is what the host reckons from the frames that are free."""
        for zone, op in zip(Zone, ops):
            wanted = run_counts(free & zone.frames)
            expect(op.values == wanted, f"{when}, free_runs({zone.title}) for orders 0 to 10 is {_numbers(wanted)}, counted from the frames that are free", _numbers(op.values),
                   "A free run counts once, in the largest run of free frames that it is part of.", operation=op.number)

    def expect_indices(self, ops: Sequence[Op], free: FrameSet, when: str) -> None:
        """fragmentation() is what the host reckons from the frames that are free."""
        for zone, op in zip(Zone, ops):
            counts = run_counts(free & zone.frames)
            wanted = [fragmentation(counts, order) for order in ORDERS]
            expect(op.values == wanted, f"{when}, fragmentation({zone.title}) for orders 0 to 10 is {_numbers(wanted)}; free runs: {_numbers(counts)}", _numbers(op.values),
                   "1000 times the free frames in runs of lower orders, divided by all free frames.", operation=op.number)


def free_at(look: Look) -> FrameSet:
    """The frames that were free at a checkpoint, by the host's own reckoning."""
    return look.all_frames - look.held


def refused(op: Op, why: str, hint: str) -> None:
    """The operation was a free() of what is not a run in use."""
    expect(op.error == "NotAllocated", f"{why}: Error::NotAllocated", f"{op}: {op.says}", hint, operation=op.number)


def _numbers(values: Sequence[int]) -> str:
    return " ".join(str(value) for value in values)
