"""The scenario of lab 04-heap."""

from __future__ import annotations

from judge.scenario import Scenario


class HeapScenario(Scenario):
    """Readable names for the guest's operations."""

    reads_tables = False
