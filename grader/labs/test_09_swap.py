"""The tests of lab 09-swap about one page on its way out and back."""

from __future__ import annotations

from judge.scenario import expect
from labs.swap import PAGE, SwapScenario


def test_out_and_in(swap: SwapScenario) -> None:
    """A page that goes out leaves its frame; when it is used again, its contents are what they were."""
    swap.op("space.create", 0, 1)
    begin = swap.op("space.map", 0, 4, "rw-", "private", "anywhere", 0, "none", 0)
    swap.op("space.activate", 0)
    words = [swap.random.getrandbits(32) for _ in range(4)]
    for i, word in enumerate(words):
        swap.op("copy.write", begin + i * PAGE, word)
    out = swap.op("swap.out", 0, begin, begin + PAGE, begin + 2 * PAGE, begin + 3 * PAGE)
    before = swap.op("swap.statistics")
    back = [swap.op("copy.read", begin + i * PAGE) for i in range(4)]
    after = swap.op("swap.statistics")
    swap.op("space.check", 0)
    swap.boot()
    expect(out.value == 4, "four pages go out", out.says, operation=out.number)
    expect([op.value for op in back] == words, "they come back with their contents", str([op.says for op in back]))
    expect(before.values[0] - before.values[1] == 4, "four slots are in use", before.says, operation=before.number)
    expect(after.values[5] == 4, "four pages were loaded", after.says, operation=after.number)
