"""What the labs of the frame allocator share: 01-frames and 03-buddy.

The host's own view of the machine's memory (who holds what), operations over many frames, and what must hold in both labs.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emulator.machine import LOW_MEMORY_END, MIB, Machine, MemoryEntry
from judge.scenario import Checkpoint, Failure, Op, Scenario, expect
from oracle.frames import FRAME_END, PAGE_SHIFT, PAGE_SIZE, FrameSet, Zone, usable_frames

ERRORS = ("None", "OutOfMemory", "Unsupported", "InvalidArgument", "Misaligned", "OutOfRange", "NotAllocated", "NotMapped", "Busy")

ALL = 0xFFFFFFFF
FRAME_INFO = 16  # sizeof(FrameInfo); the byte at 4 is FrameInfo::use
ALLOCATED, CACHED = 3, 4  # FrameUse
ZONE_STACKS = 8 + 32 * 4, 8 + 64 * 4  # frame_cache::ZoneStacks: the hot stack's bytes, then the zeroed stack's; each begins with its count
IDENTITY_END = 256 << 20
KMAP_INDEX = 0xF000_0000 >> 22  # the directory's entry for temporary mappings; kernel stacks come behind it
LARGE = 1 << 7  # in a directory entry: it maps 4 MiB itself
BIOS_FRAMES = FrameSet([(0x9F, 0x100)])
OTHER_FRAMES_AT_MOST = 8  # reserved by the kernel, and not among what the host can see in use

TROUBLES = {
    1: "allocate() handed out frame {frame:#x}, which the caller had been given before and still holds",
    2: "allocate() returned frame {frame:#x}, which lies past the end of memory",
    3: "allocate() returned frame {frame:#x}, which lies in a higher zone than the one asked for",
    4: "free() refused frame {frame:#x}, which the caller holds, with Error::{error}",
    5: "frame {frame:#x} no longer holds what its owner wrote into it",
    6: "allocate() returned a run that begins at frame {frame:#x}, which is no multiple of its size",
}
TROUBLE_HINTS = {
    1: "Does a frame leave your free list (or get its bit cleared) before allocate() returns it? Was a refused free() really without effect?",
    2: "Frames lie below frame_table::frame_count(). Are frame numbers and addresses mixed up?",
    3: "Fall back downwards only: a caller that asks for DMA cannot use a frame above 16 MiB.",
    4: "allocate() must remember that the frame is in use now.",
    5: "Only the frame's owner writes into it. Do your links lie in a frame that is handed out? Is a frame in two hands?",
    6: "A run of 2^order frames begins at a multiple of 2^order, counted from frame 0, not from the start of the memory it lies in.",
}


class Bulk:
    """An operation over many frames. Asking for what was done fails the test if something was wrong on the way."""

    def __init__(self, op: Op) -> None:
        self.op = op

    @property
    def done(self) -> int:
        """Frames that were handled."""
        done, trouble, frame, error = self.op.values
        if trouble:
            raise Failure("each frame has one owner, and only the owner writes into it or gives it back",
                          TROUBLES[trouble].format(frame=frame, error=_error_name(error)) + f" (in {self.op}, after {done} frames)",
                          TROUBLE_HINTS[trouble], operation=self.op.number)
        return done

    @property
    def error(self) -> str:
        """The error that ended the operation, or "None"."""
        return _error_name(self.op.values[3]) if self.done >= 0 else ""

    @property
    def ticks_each(self) -> float:
        """Ticks of the piece per frame."""
        return self.op.ticks / max(self.done, 1)


def _error_name(number: int) -> str:
    return ERRORS[number] if number < len(ERRORS) else f"number {number}"


@dataclass(frozen=True)
class Memory:
    """What lies in the machine's memory at one checkpoint, read there by the host. The piece is not asked."""

    reserved: FrameSet  # the kernel's list of what is taken, as it was handed to initialize()
    tables: FrameSet  # frame table, page directory and tables, kernel stack: where the CPU and the kernel really use them
    kernels: FrameSet  # frames that the kernel has allocated since
    held: FrameSet  # frames that the guest was given and has not given back
    samples: dict[int, bytes]  # contents of the frames that the test wanted to see


class Look:
    """A checkpoint at which the host reads who holds what."""

    def __init__(self, scenario: FrameLabScenario, name: str, sample: Any) -> None:
        self._scenario = scenario
        self._sample = sample
        self.memory: Memory | None = None
        self.checkpoint: Checkpoint = scenario.checkpoint(name.replace(" ", "-"), self._read)

    def _read(self, target: Any) -> None:
        """The probe: runs while the machine stands still."""
        frame_count = min(_word(target, "mm::frame_table::(anonymous namespace)::entries"), FRAME_END)
        held = FrameSet.from_bitmap(target.physical(target.symbol("frames_guest::owned"), -(-frame_count // 32) * 4))
        samples = {frame: target.physical(frame << PAGE_SHIFT, PAGE_SIZE) for frame in self._sample(held)}
        self.memory = Memory(_reserved(target), _tables(target, frame_count), _kernels_frames(target, frame_count), held, samples)

    @property
    def held(self) -> FrameSet:
        """The frames that the guest holds."""
        return self._after_boot.held

    @property
    def samples(self) -> dict[int, bytes]:
        return self._after_boot.samples

    @property
    def all_frames(self) -> FrameSet:
        """The frames that initialize() had to make free, less those that the kernel has allocated since: what the firmware's
        map calls memory, by the host's own reckoning, and nobody has reserved."""
        memory = self._after_boot
        usable = usable_frames(self._scenario.machine.entries)
        self._check_reserved(usable, memory.reserved)
        return usable - memory.reserved - memory.kernels

    @property
    def places(self) -> dict[str, FrameSet]:
        """What must never be handed out, by name, as the host knows it."""
        run = self._scenario.run
        assert run is not None
        return {
            "frame 0": FrameSet([(0, 1)]),
            "the BIOS area": BIOS_FRAMES,
            "the kernel's image": FrameSet.covering_bytes([run.layout.kernel]),
            "a boot module": FrameSet.covering_bytes(run.layout.modules),
            "the kernel's tables and stack": self._after_boot.tables,
            "what else the kernel has reserved": self._after_boot.reserved,
        }

    @property
    def _after_boot(self) -> Memory:
        if self.memory is None:
            raise RuntimeError(f"{self.checkpoint} was not reached: call boot() first")
        return self.memory

    def _check_reserved(self, usable: FrameSet, reserved: FrameSet) -> None:
        """The list of reserved ranges lies in the kernel's memory: a piece that inflates it must not profit."""
        known = FrameSet([(0, 1)]) | BIOS_FRAMES | self.places["the kernel's image"] | self.places["a boot module"] | self._after_boot.tables
        missing, extra = known & usable - reserved, reserved - known
        expect(not missing and len(extra) <= OTHER_FRAMES_AT_MOST,
               "the kernel's list of reserved ranges is as the boot made it: BIOS, image, modules, frame table, page tables, stack",
               f"{len(extra)} frames too many in the list, {len(missing)} missing: something has written to the kernel's memory",
               "initialize() gets these ranges to read, not to change.")


def _word(target: Any, symbol: str) -> int:
    return struct.unpack("<I", target.physical(target.symbol(symbol), 4))[0]


def _reserved(target: Any) -> FrameSet:
    """boot_memory::reserved_frames: pairs of begin and end."""
    count = min(_word(target, "mm::boot_memory::reserved_count"), 64)
    words = target.physical(target.symbol("mm::boot_memory::reserved_frames"), count * 8)
    return FrameSet(struct.iter_unpack("<II", words))


def _tables(target: Any, frame_count: int) -> FrameSet:
    """The frame table, and what CR3 leads to: the page directory, its tables, and the stacks mapped through the shared range."""
    home = _word(target, "mm::frame_table::(anonymous namespace)::table")
    directory = target.registers()["cr3"] & ~0xFFF
    entries = _entries(target, directory)
    tables = {index: entry & ~0xFFF for index, entry in entries.items() if not entry & LARGE}
    stacks = [entry & ~0xFFF for index, table in tables.items() if index > KMAP_INDEX for entry in _entries(target, table).values()]
    frames = FrameSet.of_frames(address >> PAGE_SHIFT for address in (directory, *tables.values(), *stacks))
    return frames | FrameSet.covering_bytes([(home, home + frame_count * FRAME_INFO)])


def _entries(target: Any, table: int) -> dict[int, int]:
    """The entries of a page directory or page table that are present, by index."""
    words = struct.unpack("<1024I", target.physical(table, PAGE_SIZE))
    return {index: word for index, word in enumerate(words) if word & 1}


def _kernels_frames(target: Any, frame_count: int) -> FrameSet:
    """Frames whose entry in the frame table says that the kernel has them: in use, or at hand in the frame cache. The table is
    large, so it is only read when there are any; and it must say of as many frames as the kernel counts."""
    given, back = (_word(target, f"mm::frames::(anonymous namespace)::frames_{way}") for way in ("given", "back"))
    in_use = (given - back) % 2**32
    cached = _cached_frames(target)
    if in_use == 0 and cached == 0:
        return FrameSet()
    table_address = _word(target, "mm::frame_table::(anonymous namespace)::table")
    expect(table_address + frame_count * FRAME_INFO <= IDENTITY_END, "the frame table is where the kernel made it",
           f"its address is now {table_address:#x}: something has written to the kernel's memory")
    table = target.physical(table_address, frame_count * FRAME_INFO)
    uses = table[4::FRAME_INFO]
    expect((uses.count(ALLOCATED), uses.count(CACHED)) == (in_use, cached),
           f"the frame table shows the {in_use} frames that the kernel uses and the {cached} that it keeps at hand",
           f"it shows {uses.count(ALLOCATED)} and {uses.count(CACHED)}: something has written to the kernel's memory",
           "FrameInfo::use and FrameInfo::references belong to the kernel; your allocator has allocator_tag and, while a frame is free, link.")
    return FrameSet.of_frames(frame for frame, use in enumerate(uses) if use in (ALLOCATED, CACHED))


def _cached_frames(target: Any) -> int:
    """How many frames the kernel's frame cache keeps at hand."""
    stacks = target.physical(target.symbol("mm::frame_cache::stacks"), len(Zone) * sum(ZONE_STACKS))
    begins = [zone * sum(ZONE_STACKS) + skip for zone in range(len(Zone)) for skip in (0, ZONE_STACKS[0])]
    return sum(struct.unpack_from("<I", stacks, begin)[0] for begin in begins)


class FrameLabScenario(Scenario):
    """What both labs ask the guest to do, and expect."""

    reads_tables = False

    def prepare(self) -> None:
        """A small machine with an odd end. Unless a test is about zones, all memory lies in DMA: zones are a late step. Nobody but the
        test uses the allocator: the tests of the memory map come before allocate() is written."""
        self.command_line = "harness without_heap"
        end = 8 * MIB - self.random.randrange(512) * PAGE_SIZE
        self.machine = Machine(8, (MemoryEntry(0, LOW_MEMORY_END), MemoryEntry(MIB, end - MIB)))

    def free_count(self, zone: Zone, note: str = "") -> Op:
        """free_frames() of one zone."""
        return self.op("frames.free_count", int(zone), note=note)

    def free_counts(self, note: str = "") -> list[Op]:
        """free_frames() of every zone."""
        return [self.free_count(zone, note) for zone in Zone]

    # Contents

    def fill(self, frame: object, word: int) -> Op:
        return self.op("frames.fill", frame, word)

    def mark_all(self, seed: int) -> Op:
        """Fills every frame that the guest holds with a word of its own."""
        return self.op("frames.mark", seed)

    def check_all(self, seed: int, note: str = "") -> Bulk:
        """Looks whether they still hold it."""
        return Bulk(self.op("frames.check", seed, note=note))

    # The host's own view

    def look(self, name: str, sample: Any = lambda held: ()) -> Look:
        """Stops the machine and reads who holds what. `sample` chooses frames whose contents are kept."""
        return Look(self, name, sample)

    def some_of(self, frames: FrameSet, count: int) -> list[int]:
        """Up to `count` frames of the set, from all over it."""
        return sorted(frames[self.random.randrange(len(frames))] for _ in range(min(count, len(frames))))

    # What must hold

    def expect_counts(self, ops: Sequence[Op], expected: Sequence[int], when: str) -> None:
        """free_frames() of each zone is what the host counts."""
        for zone, op, count in zip(Zone, ops, expected):
            expect(op.value == count, f"free_frames({zone.title}) is {count} {when}", f"{op.value}",
                   "Every frame counts for exactly the zone it lies in, and every path of allocate() and free() keeps the count.",
                   operation=op.number)

    def expect_all_taken(self, taken: FrameSet, available: FrameSet, when: str) -> None:
        """The guest holds every frame that there is, and none that there is not."""
        extra, missing = taken - available, available - taken
        expect(not extra, f"{when}, only frames that are free were handed out",
               f"{len(extra)} other frames were handed out: {extra}", "Which range did initialize() take for free memory?")
        expect(not missing, f"{when}, the {len(available)} free frames of memory have all been handed out",
               f"{len(missing)} never came: {missing}",
               "Lost frames: look for an end that is rounded the wrong way, an off-by-one at a range's last frame, or a frame "
               "that free() does not put back.")


def zone_counts(frames: FrameSet) -> list[int]:
    """How many frames of the set lie in each zone."""
    return [len(frames & zone.frames) for zone in Zone]
