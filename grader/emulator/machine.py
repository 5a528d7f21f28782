"""The machine that a test asks for: how much memory, and what its firmware says about it."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

USABLE = 1
RESERVED = 2
ACPI_RECLAIMABLE = 3
ACPI_NON_VOLATILE = 4
BAD = 5

LOW_MEMORY_END = 640 * KIB  # then come video memory and the BIOS
HIGH_MEMORY_START = 1 * MIB
SMALLEST_MEGABYTES = 2
# Above 3 GiB lie the devices' addresses. Bochs's start grows with the square of its memory: it looks for each block of 128 KiB
# in a list of them. 64 MiB take 0.07 s, 1 GiB 0.27 s, 2 GiB 1.0 s, 3 GiB 2.4 s.
LARGEST_MEGABYTES = 3072
LARGEST_BOCHS_HOST_MEGABYTES = 2048  # Bochs keeps at most so much in memory, and the rest in a temporary file


@dataclass(frozen=True)
class MemoryEntry:
    """One entry of the firmware's memory map: `length` bytes from `base`, of a kind that the map's reader must know.

    Nothing is checked but that the numbers fit their fields: tests give unaligned, overlapping and wrapping entries on purpose.
    """

    base: int
    length: int
    kind: int = USABLE

    def __post_init__(self) -> None:
        if not (0 <= self.base < 2**64 and 0 <= self.length < 2**64 and 0 <= self.kind < 2**32):
            raise ValueError(f"memory map entry does not fit 64-bit base, 64-bit length and 32-bit kind: {self}")

    @property
    def end(self) -> int:
        """The first address behind it; past 2^64 for an entry that wraps."""
        return self.base + self.length


@dataclass(frozen=True)
class Machine:
    """`megabytes` of memory, described by `memory_map` exactly and in that order. None gives a map as a PC has it."""

    megabytes: int = 16
    memory_map: tuple[MemoryEntry, ...] | None = None

    def __post_init__(self) -> None:
        if not SMALLEST_MEGABYTES <= self.megabytes <= LARGEST_MEGABYTES:
            raise ValueError(f"a machine has {SMALLEST_MEGABYTES} to {LARGEST_MEGABYTES} MiB of memory, not {self.megabytes}")

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory, whatever the map says of them."""
        return self.megabytes * MIB

    @property
    def entries(self) -> tuple[MemoryEntry, ...]:
        """The memory map that the kernel gets."""
        if self.memory_map is not None:
            return self.memory_map
        return (
            MemoryEntry(0, LOW_MEMORY_END),
            MemoryEntry(0xF0000, 64 * KIB, RESERVED),
            MemoryEntry(HIGH_MEMORY_START, self.memory_bytes - HIGH_MEMORY_START),
            MemoryEntry(0xFFC00000, 4 * MIB, RESERVED),
        )

    @property
    def lower_kib(self) -> int:
        """Multiboot's mem_lower: KiB of usable memory from address 0, at most 640."""
        return min(self._usable_from(0), LOW_MEMORY_END) // KIB

    @property
    def upper_kib(self) -> int:
        """Multiboot's mem_upper: KiB of usable memory from 1 MiB to the first hole."""
        return max(0, min(self._usable_from(HIGH_MEMORY_START), 2**32) - HIGH_MEMORY_START) // KIB

    def _usable_from(self, start: int) -> int:
        """Where the usable memory that begins at `start` ends (`start` itself when there is none)."""
        end = start
        for entry in sorted((e for e in self.entries if e.kind == USABLE), key=lambda e: e.base):
            if entry.base <= end < entry.end:
                end = entry.end
        return end


def bochs_memory(machine: Machine) -> str:
    """The line of a bochsrc that gives the machine its memory."""
    return f"memory: guest={machine.megabytes}, host={min(machine.megabytes, LARGEST_BOCHS_HOST_MEGABYTES)}"
