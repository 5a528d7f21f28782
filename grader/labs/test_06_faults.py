"""The tests of lab 06-faults about memory of zeros."""

from __future__ import annotations

from judge.scenario import expect
from labs.faults import PAGE, FaultsScenario


def test_zeroed(faults: FaultsScenario) -> None:
    """The first write to private memory brings a frame of zeros."""
    begin = 0x4000_0000 + faults.random.randrange(1000) * PAGE
    faults.op("space.create", 0, faults.random.getrandbits(32))
    faults.op("space.map", 0, 3, "rw-", "private", "fixed", begin, "none", 0)
    written = faults.resolve(0, begin + PAGE + 12, "write")
    faults.boot()
    expect(written.values[:3] == [0, 0, 3], "a write to an untouched page is resolved by a zeroed frame", str(written.values), operation=written.number)
