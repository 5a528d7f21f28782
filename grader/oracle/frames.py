"""What correct frame allocators have in common, in plain Python: which frames are memory, which are free, who has them.

Nothing here knows a data structure of the kernel. `usable_frames` says what a firmware map is worth, `FrameSet` does
arithmetic with ranges of frames, and `AllocatorModel` follows the kernel call by call and says what may not happen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

PAGE_SIZE = 4096
PAGE_SHIFT = 12
ADDRESS_END = 1 << 32  # 32-bit page tables without PAE name nothing above
FRAME_END = ADDRESS_END >> PAGE_SHIFT
WRAP = 1 << 64
USABLE = 1

FREED_FRAME_POISON = 0xF4EEDF4E
FREE_FRAME_HEADER = 16  # bytes of a free frame that an allocator may use for links


class Zone(IntEnum):
    """Where in memory a frame lies; a request for one zone may be served from a lower one, never from a higher."""

    DMA = 0
    NORMAL = 1
    HIGH = 2

    @property
    def frames(self) -> FrameSet:
        """The frames of the zone, whether or not there is memory."""
        bounds = (0, 16 << 20, 256 << 20, ADDRESS_END)
        return FrameSet([(bounds[self] >> PAGE_SHIFT, bounds[self + 1] >> PAGE_SHIFT)])

    @property
    def title(self) -> str:
        return ("DMA", "Normal", "High")[self]


def zone_of(frame: int) -> Zone:
    """The zone that a frame lies in; a number that is no frame counts as High."""
    return next((zone for zone in Zone if frame in zone.frames), Zone.HIGH)


class FrameSet:
    """A set of frames as sorted, disjoint, half-open ranges that do not touch. Never changes."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[tuple[int, int]] = []
        for begin, end in sorted((begin, end) for begin, end in ranges if begin < end):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((begin, end))
        self.ranges: tuple[tuple[int, int], ...] = tuple(merged)
        self._begins = [begin for begin, _ in merged]

    @classmethod
    def of_frames(cls, frames: Iterable[int]) -> FrameSet:
        return cls((frame, frame + 1) for frame in frames)

    @classmethod
    def covering_bytes(cls, ranges: Iterable[tuple[int, int]]) -> FrameSet:
        """Every frame of which at least one byte lies in one of the byte ranges."""
        return cls((begin >> PAGE_SHIFT, -(-end >> PAGE_SHIFT)) for begin, end in ranges if begin < end)

    @classmethod
    def from_bitmap(cls, bitmap: bytes) -> FrameSet:
        """Frame N is in the set when bit N % 8 of byte N / 8 is set."""
        ranges: list[tuple[int, int]] = []
        bits, index = int.from_bytes(bitmap, "little"), 0
        while bits:
            skip = (bits & -bits).bit_length() - 1
            bits >>= skip
            run = (~bits & (bits + 1)).bit_length() - 1
            ranges.append((index + skip, index + skip + run))
            bits >>= run
            index += skip + run
        return cls(ranges)

    def __len__(self) -> int:
        return sum(end - begin for begin, end in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __iter__(self) -> Iterator[int]:
        for begin, end in self.ranges:
            yield from range(begin, end)

    def __contains__(self, frame: int) -> bool:
        index = bisect_right(self._begins, frame) - 1
        return index >= 0 and frame < self.ranges[index][1]

    def __getitem__(self, index: int) -> int:
        """The frame at a position, counted from the lowest."""
        for begin, end in self.ranges:
            if index < end - begin:
                return begin + index
            index -= end - begin
        raise IndexError("no such frame in the set")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrameSet) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __or__(self, other: FrameSet) -> FrameSet:
        return FrameSet(self.ranges + other.ranges)

    def __and__(self, other: FrameSet) -> FrameSet:
        return self - (self - other)

    def __sub__(self, other: FrameSet) -> FrameSet:
        rest: list[tuple[int, int]] = []
        for begin, end in self.ranges:
            for other_begin, other_end in other.ranges:
                if other_end <= begin or end <= other_begin:
                    continue
                rest.append((begin, other_begin))
                begin = max(begin, other_end)
            rest.append((begin, end))
        return FrameSet(rest)

    def __str__(self) -> str:
        return ", ".join(_range_text(*bounds) for bounds in self.ranges[:8]) + (", ..." if len(self.ranges) > 8 else "") or "none"

    def __repr__(self) -> str:
        return f"FrameSet({self})"


def _range_text(begin: int, end: int) -> str:
    return f"{begin:#x}" if end == begin + 1 else f"{begin:#x}-{end - 1:#x}"


class FirmwareEntry(Protocol):
    """An entry of the firmware's memory map."""

    @property
    def base(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def kind(self) -> int: ...


def usable_frames(entries: Sequence[FirmwareEntry]) -> FrameSet:
    """The frames that are memory: every byte in some usable entry, no byte in any other; cut off at 4 GiB."""
    usable = _byte_ranges(entry for entry in entries if entry.kind == USABLE)
    taken = FrameSet.covering_bytes(_byte_ranges(entry for entry in entries if entry.kind != USABLE))
    whole = FrameSet((-(-begin >> PAGE_SHIFT), end >> PAGE_SHIFT) for begin, end in FrameSet(usable).ranges)
    return whole - taken


def _byte_ranges(entries: Iterable[FirmwareEntry]) -> list[tuple[int, int]]:
    """The entries as half-open byte ranges below 4 GiB. One that wraps past 2^64 is cut off there."""
    ranges = ((entry.base, min(entry.base + entry.length, WRAP, ADDRESS_END)) for entry in entries)
    return [(begin, end) for begin, end in ranges if begin < end]


@dataclass
class AllocatorModel:
    """The set of free frames, followed call by call.

    Which frame allocate() takes is the allocator's choice; the model only says which ones it may take.
    """

    free: FrameSet
    taken: set[int] = field(default_factory=set)

    def may_take(self, zone: Zone) -> FrameSet:
        """The frames that a request for `zone` may be given now: the highest zone that has any, from `zone` downwards."""
        for candidate in range(zone, -1, -1):
            frames = (self.free & Zone(candidate).frames) - FrameSet.of_frames(self.taken)
            if frames:
                return frames
        return FrameSet()

    def free_count(self, zone: Zone) -> int:
        """Free frames of exactly this zone."""
        in_zone = zone.frames
        return len(self.free & in_zone) - sum(1 for frame in self.taken if frame in in_zone)

    def take(self, frame: int) -> None:
        self.taken.add(frame)

    def give_back(self, frame: int) -> None:
        self.taken.discard(frame)
