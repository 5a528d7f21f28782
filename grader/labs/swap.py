"""What the tests of lab 09-swap do to the piece, and how they look at what it did."""

from __future__ import annotations

from emulator.machine import Machine
from emulator.swap_disk import SwapDisk
from judge.scenario import Scenario

PAGE = 4096


class SwapScenario(Scenario):
    """One boot of a kernel with the piece under test and a swap disk."""

    def prepare(self) -> None:
        self.machine = Machine(16)
        self.swap = SwapDisk(kib=1024)
