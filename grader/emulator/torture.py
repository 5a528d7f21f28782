"""Memory pressure as a test mode: with FAULTLINE_TORTURE=N in the environment, machines of programs get a swap disk, and their kernels take a
page out of memory for every N-th frame that is allocated. What programs see must not change by it (`make torture`).
"""

from __future__ import annotations

import os
from typing import Protocol

from emulator.swap_disk import SwapDisk

VARIABLE = "FAULTLINE_TORTURE"
SWAP_KIB = 32 << 10


class Tortured(Protocol):
    """The part of a scenario that says what its machine is."""

    swap: SwapDisk | None
    command_line: str


def interval() -> int:
    """The N of the environment; 0 without it."""
    return int(os.environ.get(VARIABLE, "0"))


def apply(scenario: Tortured) -> None:
    """Does what the environment says, to a scenario that has no swap disk of its own."""
    n = interval()
    if n and scenario.swap is None:
        scenario.swap = SwapDisk(kib=SWAP_KIB)
        scenario.command_line += f" torture={n}"
