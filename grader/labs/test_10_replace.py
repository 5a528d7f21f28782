"""The tests of lab 10-replace about single policies."""

from __future__ import annotations

from judge.scenario import expect
from labs.replace import PAGE, ReplaceScenario


def test_fifo(replace: ReplaceScenario) -> None:
    """FIFO: who came first leaves first, whatever was used since."""
    replace.op("space.create", 0, 1)
    begin = replace.op("space.map", 0, 16, "rw-", "private", "anywhere", 0, "none", 0)
    replace.op("space.activate", 0)
    replace.op("replace.policy", 0, 4)
    string = [replace.random.randrange(8) for _ in range(60)]
    ops = [replace.op("replace.use", "w", begin + page * PAGE) for page in string]
    replace.boot()
    memory: list[int] = []
    for page, op in zip(string, ops):
        wanted = []
        if page not in memory:
            if len(memory) == 4:
                wanted.append(memory.pop(0))
            memory.append(page)
        seen = [(value - begin.value) // PAGE for value in op.values]
        expect(seen == wanted, f"page {page} comes, and {wanted} leave", f"{seen} leave", operation=op.number)
