"""Lab 04-heap."""

from __future__ import annotations

from labs.heap import HeapScenario


def test_boots(heap: HeapScenario) -> None:
    """The kernel boots with the piece."""
    heap.op("say", "hello")
    heap.boot()
