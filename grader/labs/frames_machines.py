"""Machines for the tests of lab 01-frames, with memory maps made for the purpose."""

from __future__ import annotations

import random

from emulator.machine import ACPI_NON_VOLATILE, ACPI_RECLAIMABLE, BAD, KIB, MIB, RESERVED, Machine, MemoryEntry
from oracle.frames import ADDRESS_END, PAGE_SIZE, WRAP

NOT_USABLE = (RESERVED, ACPI_RECLAIMABLE, ACPI_NON_VOLATILE, BAD, 0, 7, 0x80000001)  # known kinds and unknown ones

LOW = MemoryEntry(0, 640 * KIB)


def three_zones(rng: random.Random, high_frames: int | None = None) -> Machine:
    """Some memory in every zone, and not much of it."""
    normal_end = 16 * MIB + 2 * MIB + rng.randrange(100) * PAGE_SIZE
    high = MemoryEntry(256 * MIB, (high_frames or rng.randrange(80, 160)) * PAGE_SIZE)
    return Machine(260, (LOW, MemoryEntry(1 * MIB, rng.randrange(8, 12) * MIB), MemoryEntry(16 * MIB, normal_end - 16 * MIB), high))


def hostile_machine(rng: random.Random) -> Machine:
    """A machine that works, with a memory map that is as bad as they come."""
    megabytes = rng.randrange(8, 11)
    end = megabytes * MIB
    hole = 5 * MIB + rng.randrange(1 << 20)  # well above kernel and module
    entries = [
        LOW,
        MemoryEntry(1 * MIB, end - 1 * MIB - rng.randrange(1, 3 * PAGE_SIZE)),
        MemoryEntry(hole, rng.randrange(1, 1 << 19), RESERVED),
        MemoryEntry(hole + rng.randrange(1 << 18), rng.randrange(1, 1 << 19), rng.choice(NOT_USABLE)),
        MemoryEntry(4 * MIB + 123, 3 * MIB),  # inside the usable range
        MemoryEntry(640 * KIB - rng.randrange(1, 3000), 80 * KIB, RESERVED),
        MemoryEntry(rng.randrange(end), 0, RESERVED),
        MemoryEntry(ADDRESS_END + 5 * MIB, 64 * MIB),
        MemoryEntry(WRAP - 16 * MIB, 32 * MIB),
        MemoryEntry(end + 2 * MIB, WRAP - 1, RESERVED),
    ]
    rng.shuffle(entries)
    return Machine(megabytes, tuple(entries))
