"""What the tests of lab 07-cow do to the piece, and how they look at what it answered."""

from __future__ import annotations

from emulator.machine import LOW_MEMORY_END, MIB, Machine, MemoryEntry
from judge.scenario import Scenario

PAGE = 4096


class CowScenario(Scenario):
    """One boot of a kernel with the copy-on-write piece under test."""

    def prepare(self) -> None:
        end = 16 * MIB - self.random.randrange(64) * PAGE
        self.machine = Machine(16, (MemoryEntry(0, LOW_MEMORY_END), MemoryEntry(MIB, end - MIB)))
