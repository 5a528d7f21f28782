"""What the tests of lab 10-replace do to the piece, and how they look at what it did."""

from __future__ import annotations

from emulator.machine import Machine
from emulator.swap_disk import SwapDisk
from judge.scenario import Scenario

PAGE = 4096


class ReplaceScenario(Scenario):
    """One boot of a kernel with the policy under test and a swap disk."""

    def prepare(self) -> None:
        self.machine = Machine(16)
        self.swap = SwapDisk(kib=4096)
