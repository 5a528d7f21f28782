"""Physical memory as the grader's guest hands it out: what the kernel counts, the kernels that are tested, and scripts that one of them runs.

Whatever a test does: the frames of memory are those that are free, cached, in use or reserved, each one once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from emulator.machine import Machine
from gdb.client import GdbSession
from guest_script import Guest, Line, Script, run
from oracle.frames import Zone
from profiles import built

HOT, ZEROED, BATCH, MAX_ORDER = 256, 64, 8, 10
FREE, ALLOCATED, CACHED = 2, 3, 4  # FrameUse
KERNELS = {"runs": "03-buddy", "single frames": "01-frames"}  # an allocator of all orders, and one of single frames

Boot = Callable[..., AbstractContextManager[Guest]]


@dataclass(frozen=True)
class Counts:
    """physical.counts: what the kernel says of all frames."""

    memory: int
    reserved: int
    in_use: int
    zones: tuple[tuple[int, int, int], ...]  # free in the allocator, hot, zeroed

    @classmethod
    def of(cls, guest: Guest, line: Line) -> Counts:
        memory, reserved, in_use, *rest = guest[line].values
        counts = cls(memory, reserved, in_use, tuple(zip(rest[0::3], rest[1::3], rest[2::3])))
        assert memory == reserved + in_use + sum(map(sum, counts.zones)), f"each frame counts once: {counts}"
        return counts

    def free(self, zone: Zone) -> int:
        return self.zones[zone][0]

    def hot(self, zone: Zone) -> int:
        return self.zones[zone][1]

    def zeroed(self, zone: Zone) -> int:
        return self.zones[zone][2]

    @property
    def available(self) -> int:
        return sum(map(sum, self.zones))


def booter(folder: Path) -> Iterator[Boot]:
    """The body of a fixture: boot(script, MiB, profile or ELF file) is the guest that has run the script."""
    with GdbSession() as session:

        def boot(script: Script, megabytes: int = 16, kernel: str | Path = "grading") -> AbstractContextManager[Guest]:
            elf = kernel if isinstance(kernel, Path) else built(kernel)
            return run(session, script, elf, Machine(megabytes), folder)

        yield boot


def finished(guest: Guest) -> Guest:
    assert not guest.panicked, guest.text[-1500:]
    return guest
