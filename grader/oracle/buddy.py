"""What correct allocators of runs have in common, in plain Python: which runs a set of free frames makes, and how broken up it is.

A run of order k is 2^k frames in a row that begin at a multiple of 2^k. Nothing here knows how a kernel keeps them: all is
reckoned from the set of free frames, whatever pieces they were freed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from oracle.frames import FrameSet, Zone

MAX_ORDER = 10
ORDERS = range(MAX_ORDER + 1)


def run(first: int, order: int) -> FrameSet:
    """The frames of one run."""
    return FrameSet([(first, first + (1 << order))])


def blocks(frames: FrameSet, order: int) -> int:
    """How many aligned runs of this order fit into the set side by side: what a caller who asks for this order only can get."""
    return sum(max((end >> order) - -(-begin >> order), 0) for begin, end in frames.ranges)


def run_counts(frames: FrameSet) -> list[int]:
    """How many runs of each order there are when the frames are sorted into the largest runs that they make: those of an
    order that lie in none of the next."""
    return [blocks(frames, order) - (2 * blocks(frames, order + 1) if order < MAX_ORDER else 0) for order in ORDERS]


def runs(frames: FrameSet) -> Iterator[tuple[int, int]]:
    """Those runs: (first frame, order), lowest first."""
    for begin, end in frames.ranges:
        while begin < end:
            aligned = (begin & -begin).bit_length() - 1 if begin else MAX_ORDER
            order = min(aligned, (end - begin).bit_length() - 1, MAX_ORDER)
            yield begin, order
            begin += 1 << order


def fragmentation(counts: list[int], order: int) -> int:
    """The unusable free space index for requests of this order, in thousandths, rounded down: the part of the free frames
    that lies in runs which are too small. 0 when no frame is free."""
    frames = [count << i for i, count in enumerate(counts)]
    return 1000 * sum(frames[:order]) // sum(frames) if any(frames) else 0


def crossed_boundaries(first: int, frames: int, boundary: int) -> int:
    """How many multiples of `boundary` (in frames) lie strictly inside the run."""
    return (first + frames - 1) // boundary - first // boundary


@dataclass
class RunModel:
    """The set of free frames, followed call by call. Which run allocate() takes is the allocator's choice; the model only says what
    it may be."""

    free: FrameSet
    held: dict[int, int] = field(default_factory=dict)  # first frame -> order

    def serving_zone(self, order: int, zone: Zone) -> Zone | None:
        """The zone that must serve this request now: the highest allowed one that has a run of this order; None for no zone."""
        return next((Zone(i) for i in range(zone, -1, -1) if blocks(self.free & Zone(i).frames, order)), None)

    def complaint(self, first: int, order: int, zone: Zone | None = None) -> str:
        """What is wrong with this answer to a request, or nothing. Without a zone, any will do."""
        frames = run(first, order)
        if first % (1 << order):
            return f"it begins at frame {first:#x}, which is no multiple of {1 << order:#x}"
        if taken := frames - self.free:
            return f"frames {taken} of it are not free"
        serving = self.serving_zone(order, zone) if zone is not None else None
        if serving is not None and first not in serving.frames:
            return f"it lies in another zone, and {serving.title} has a free run of this order"
        return ""

    def take(self, first: int, order: int) -> None:
        self.free -= run(first, order)
        self.held[first] = order

    def give_back(self, first: int) -> None:
        self.free |= run(first, self.held.pop(first))

    def free_count(self, zone: Zone) -> int:
        return len(self.free & zone.frames)

    def counts(self, zone: Zone) -> list[int]:
        return run_counts(self.free & zone.frames)
