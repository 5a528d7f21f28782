"""The scenario of lab 03-buddy."""

from __future__ import annotations

from judge.scenario import Scenario


class BuddyScenario(Scenario):
    """Readable names for the guest's operations."""

    reads_tables = False
