"""Lab 03-buddy."""

from __future__ import annotations

from labs.buddy import BuddyScenario


def test_boots(buddy: BuddyScenario) -> None:
    """The kernel boots with the piece."""
    buddy.op("say", "hello")
    buddy.boot()
