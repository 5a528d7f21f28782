"""What the tests of lab 06-faults do to the piece, and how they look at what it answered."""

from __future__ import annotations

from emulator.machine import LOW_MEMORY_END, MIB, Machine, MemoryEntry
from judge.scenario import Op, Scenario

PAGE = 4096
OUTCOMES = ("Resolved", "Retry", "Signal", "OutOfMemory")


class FaultsScenario(Scenario):
    """One boot of a kernel with the demand paging piece under test."""

    def prepare(self) -> None:
        end = 16 * MIB - self.random.randrange(64) * PAGE
        self.machine = Machine(16, (MemoryEntry(0, LOW_MEMORY_END), MemoryEntry(MIB, end - MIB)))

    def resolve(self, space: int, address: int, access: str, who: str = "user", *, present: bool = False, stack_pointer: int = 0) -> Op:
        return self.op("fault.resolve", space, address, access, who, int(present), stack_pointer)
