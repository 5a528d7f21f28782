"""The scenario of lab 01-frames: what its tests do to the frame allocator, and which memory maps they have read."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.machine import MemoryEntry
from judge.scenario import Op, expect
from oracle.frames import PAGE_SHIFT, FrameSet, usable_frames

from labs.frame_lab import ALL, Bulk, FrameLabScenario

MAX_ENTRIES = 64  # memory_map::kMaxEntries
RANGES_PER_LINE = 6
ENTRIES_PER_LINE = 3


class MapQuestion:
    """One memory map that was given to sanitise(), and its answer."""

    def __init__(self, scenario: FramesScenario, entries: Sequence[MemoryEntry], room: int, note: str) -> None:
        self.entries = tuple(entries)
        self.room = room
        self.note = note
        self.expected = usable_frames(entries)
        scenario.op("memory_map.clear")
        for i in range(0, len(entries), ENTRIES_PER_LINE):
            words = [word for entry in entries[i : i + ENTRIES_PER_LINE] for word in _entry_words(entry)]
            scenario.op("memory_map.entries", *words)
        self.op = scenario.op("memory_map.sanitise", room, note=note)
        lines = -(-(len(self.expected.ranges) + 1) // RANGES_PER_LINE)
        self._ranges = [scenario.op("memory_map.ranges", i * RANGES_PER_LINE) for i in range(lines)]

    @property
    def answer(self) -> list[tuple[int, int]]:
        """The ranges as sanitise() wrote them."""
        words = [word for op in self._ranges for word in op.values]
        return list(zip(words[0::2], words[1::2]))[: self.op.values[0]]

    def check(self) -> None:
        """The answer is what the firmware's entries are worth, no more and no less."""
        count, spoilt = self.op.values
        self.expect(spoilt == 0, "sanitise() writes into the buffer that it was given, and not past its end",
                    f"it wrote to {spoilt} ranges behind a buffer of {self.room}", "Compare your count with usable.size() before each write.")
        expected = list(self.expected.ranges)
        shown = f"{count} ranges: {_ranges_text(self.answer)}{' ...' if count > len(self.answer) else ''}"
        missing = self.expected - FrameSet(self.answer)
        extra = FrameSet(self.answer) - self.expected
        hint = ""
        if extra:
            hint = f"Frame {extra[0]:#x} must not be there: {self.why_not(extra[0])}."
        elif missing:
            hint = f"Frame {missing[0]:#x} is missing: every byte of it is memory, and no other entry claims any."
        elif self.answer != expected:
            hint = "The frames are right; the ranges must be sorted, not empty, and merged where they overlap or touch."
        self.expect(count == len(expected) and self.answer == expected, f"ranges {_ranges_text(expected)} (frame numbers, end excluded)", shown, hint)

    def check_refused(self) -> None:
        """The buffer is too small: an error, and nothing written behind it."""
        self.expect(self.op.error == "OutOfMemory", f"Error::OutOfMemory, as {len(self.expected.ranges)} ranges do not fit into {self.room}", self.op.says,
                    "Say so when the buffer is full; do not drop ranges in silence.")

    def expect(self, condition: object, expected: str, seen: str, hint: str = "") -> None:
        expect(condition, f"for the map {self}: {expected}", seen, hint, operation=self.op.number)

    def why_not(self, frame: int) -> str:
        """Why a frame is not usable."""
        begin, end = frame << PAGE_SHIFT, (frame + 1) << PAGE_SHIFT
        for entry in self.entries:
            if entry.kind != 1 and entry.length and entry.base < end and begin < entry.end:
                return f"an entry of kind {entry.kind} has part of it"
        return "not all of its 4096 bytes lie in usable entries" if begin < 1 << 32 else "it lies at or above 4 GiB"

    def __str__(self) -> str:
        entries = ", ".join(f"{entry.base:#x}+{entry.length:#x} kind {entry.kind}" for entry in self.entries)
        return f"[{entries}]" + (f" ({self.note})" if self.note else "")


def _entry_words(entry: MemoryEntry) -> tuple[int, ...]:
    return (entry.base >> 32, entry.base & ALL, entry.length >> 32, entry.length & ALL, entry.kind)


def _ranges_text(ranges: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"[{begin:#x}, {end:#x})" for begin, end in ranges) or "none"


class FramesScenario(FrameLabScenario):
    """Readable names for the guest's operations on the frame allocator."""

    # One call each

    def allocate(self, zone: str = "dma", contents: str = "unspecified", order: int = 0, note: str = "") -> Op:
        """allocate(): its value is the frame."""
        return self.op("frames.allocate", order, zone, contents, note=note)

    def free(self, frame: object, order: int = 0, note: str = "") -> Op:
        return self.op("frames.free", frame, order, note=note)

    # Many frames

    def take(self, count: int, zone: str = "dma", note: str = "") -> Bulk:
        """Allocates up to `count` frames; the guest keeps them."""
        return Bulk(self.op("frames.take", count, zone, note=note))

    def exhaust(self, zone: str = "dma", note: str = "") -> Bulk:
        """Allocates until there is an error."""
        return Bulk(self.op("frames.exhaust", zone, note=note))

    def give_back(self, count: int = ALL, order: str = "scattered", note: str = "") -> Bulk:
        """Frees frames that the guest holds: ascending, descending or scattered."""
        return Bulk(self.op("frames.give_back", count, order, note=note))

    def churn(self, count: int, note: str = "") -> Bulk:
        """Allocates and frees at random, with a pattern in each frame."""
        return Bulk(self.op("frames.churn", self.random.getrandbits(31) + 1, count, note=note))

    # The memory map

    def sanitise(self, entries: Sequence[MemoryEntry], room: int = MAX_ENTRIES, note: str = "") -> MapQuestion:
        """Has sanitise() read a firmware map; call check() on what comes back, after the boot."""
        return MapQuestion(self, entries, room, note)
