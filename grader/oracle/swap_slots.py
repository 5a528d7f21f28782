"""The slots of a swap area: which are free, kept or good for nothing, and which ones pages may go to.

Where the contract (kernel/mm/reclaim/swap.h) leaves a choice, the machine's answer is checked to be a possible one. A disagreement is an
exception, Wrong, with two sentences: what should be, and what was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oracle.swap_pages import Frame, Slot

CLUSTER = 8  # swap::kCluster


class Wrong(Exception):
    """What the machine did is not what the contract says."""

    def __init__(self, expected: str, seen: str, hint: str = "") -> None:
        super().__init__(f"{expected}; {seen}")
        self.expected, self.seen, self.hint = expected, seen, hint


def demand(condition: object, expected: str, seen: str, hint: str = "") -> None:
    if not condition:
        raise Wrong(expected, seen, hint)


@dataclass(frozen=True)
class Traffic:
    """What went over the disk, as the machine told."""

    reads: int = 0
    writes: int = 0
    pages_read: int = 0
    pages_written: int = 0
    read_errors: int = 0
    write_errors: int = 0


class SwapSlots:
    """Of an area with `count` slots, the header among them. Those in use are in `used`, by number."""

    def __init__(self, count: int, bad: Sequence[int] = (), *, counts_commands: bool = True) -> None:
        self.counts_commands = counts_commands
        self.used: dict[int, Slot] = {}
        self.last, self.bad = count - 1, frozenset(bad)
        self.usable = self.last - len(self.bad)
        self.retired: set[int] = set()  # could not be written; as far as their numbers are known

    @property
    def free(self) -> int:
        return self.usable - len(self.used)

    @property
    def kept(self) -> list[Slot]:
        return [slot for slot in self.used.values() if slot.is_kept]

    @property
    def is_full(self) -> bool:
        """Whether nobody can have a slot who has none."""
        return self.free <= 0 and not self.kept

    def block(self, slot: Slot) -> list[Slot]:
        """A slot and its neighbours that are worth reading with it."""
        def is_worth(number: int) -> bool:
            one = self.used.get(number)
            return one is not None and one.entries > 0 and one.copy is None

        begin = slot.number // CLUSTER * CLUSTER
        first = last = slot.number
        while first > begin and is_worth(first - 1):
            first -= 1
        while last + 1 < begin + CLUSTER and is_worth(last + 1):
            last += 1
        return [self.used[number] for number in range(first, last + 1)]

    def check_out(self, frames: list[Frame], gone: list[Frame], out: int, traffic: Traffic) -> None:
        """So many are out as there is room for."""
        demand(out == len(gone), f"swap_out() answers how many frames are out, {len(gone)}", f"it answers {out}")
        if traffic.write_errors:
            return
        safe = sum(1 for frame in frames if frame.is_held)
        room = min(len(frames), safe + self.free + len(self.kept))
        demand(len(gone) == room, f"{room} of {len(frames)} pages go out: {self.free} slots are free, and {len(self.kept)} kept for copies that nobody has an entry of",
               f"{len(gone)} did")

    def check_taken(self, taken: dict[Frame, int], traffic: Traffic) -> None:
        """Where frames went, 0 for those that stayed."""
        used = [number for number in taken.values() if number]
        demand(len(used) == len(set(used)), "every page has a slot of its own", f"two have slot {max(used, key=used.count, default=0)}")
        stolen = 0
        for frame, number in taken.items():
            if number == 0 or (frame.slot and frame.slot.number == number):
                continue
            demand(1 <= number <= self.last, f"slots are numbers from 1 to {self.last}", f"an entry names slot {number}")
            demand(number not in self.bad, "no page goes to a slot that is bad", f"one has slot {number}", "swap_area::is_bad() says which.")
            demand(number not in self.retired, "no page goes to a slot that could not be written", f"one has slot {number}")
            demand(frame.slot is None or frame.slot.number in used, "a page that has a slot goes to that one", f"slot {frame.slot.number if frame.slot else 0} was its own, and it went to {number}")
            other = self.used.get(number)
            if other:
                whose = f"it has {other.entries} entries" if other.entries else "another frame is its copy"
                demand(other.is_kept, "pages go to slots that nobody has an entry of", f"one went to slot {number}, and {whose}")
                stolen += 1
        fresh = sum(1 for frame, number in taken.items() if number and number not in self.used)
        demand(stolen == 0 or self.free - fresh <= 0 or traffic.write_errors, "while slots are free, those of copies are left alone",
               f"{stolen} were taken, and {self.free - fresh} are free", "A copy whose slot is taken must be written again.")

    def check_writes(self, frames: list[Frame], written: list[Frame], slots: dict[Frame, int], traffic: Traffic) -> None:
        """What is on the disk already is not written, and neighbours are written together."""
        if traffic.write_errors:
            return
        demand(traffic.pages_written == len(written), f"{len(written)} pages are written: those without a slot, and those that were changed since they had theirs",
               f"{traffic.pages_written} were")
        if not self.counts_commands:
            return
        numbers = [slots[frame] if frame in written else 0 for frame in frames]
        runs = sum(1 for before, number in zip([0, *numbers], numbers) if number and (not before or number != before + 1)) + max(len(frames) - 1, 0) // CLUSTER
        demand(traffic.writes <= runs, f"neighbours are written together: with at most {runs} commands for frames that go to slots {', '.join(map(str, numbers))} (0: not written)",
               f"there were {traffic.writes} commands")

    def assign(self, frame: Frame, number: int) -> Slot:
        """The frame's slot, or that number's where it has none, holds what is in the frame; a copy that the slot was kept for has none any more."""
        other = self.used.get(number)
        if other and other is not frame.slot:
            self.unkeep(other)
        slot = frame.slot or self.used.setdefault(number, Slot(number, frame.contents))
        slot.contents = frame.contents
        return slot

    def retire(self, frame: Frame) -> None:
        """The slot that the frame was to be written to is good for nothing: its own, or one that nobody knows."""
        self.usable -= 1
        if frame.slot:
            self.retired.add(frame.slot.number)
            self.unkeep(frame.slot)

    def unkeep(self, slot: Slot) -> None:
        """The slot is free, and no frame is its copy."""
        if slot.copy:
            slot.copy.slot, slot.copy = None, None
        self.used.pop(slot.number, None)
