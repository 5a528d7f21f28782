"""The tests of lab 07-cow about sharing at fork()."""

from __future__ import annotations

from judge.scenario import expect
from labs.cow import PAGE, CowScenario


def test_share(cow: CowScenario) -> None:
    """fork() copies no frame of a page that was written."""
    begin = 0x4000_0000 + cow.random.randrange(1000) * PAGE
    cow.op("space.create", 0, cow.random.getrandbits(32))
    cow.op("space.map", 0, 3, "rw-", "private", "fixed", begin, "none", 0)
    cow.op("space.activate", 0)
    cow.op("copy.write", begin, 77)
    cow.op("space.fork", 0, 1)
    written = cow.op("cow.write", 0, begin)
    cow.boot()
    expect(written.values == [0, 7], "a write to a shared page copies", str(written.values), operation=written.number)
