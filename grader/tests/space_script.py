"""Scripts about address spaces whose operations are each expected to answer something, and the words for the guest's numbers."""

from __future__ import annotations

from scripted import Run, Script

DATA = 0x3000_0000
LARGE = 4 << 20
OUTCOMES = ("resolved", "retry", "signal", "out of memory")
REASONS = ("", "null", "kernel", "not mapped", "guard", "not readable", "not writable", "not executable", "past end", "device",
           "stack limit")
RESOLVED, OUT_OF_MEMORY = 0, 3
HOWS = ("", "kernel table", "zero frame", "zeroed", "large page", "object page", "object copy", "copied", "last owner")


class Expectations:
    """A script whose operations are expected to answer something."""

    def __init__(self) -> None:
        self.script = Script()
        self._expected: dict[int, str] = {}
        self.in_use = self.add("paging.in_use")

    def add(self, line: str, error: str = "") -> int:
        operation = self.script.add(line)
        self._expected[operation] = error
        return operation

    def map(self, pages: int, protection: str = "rw-", begin: int | str = 0, *, space: int = 0, place: str = "", sharing: str = "private",
            file: str = "none 0", error: str = "") -> int:
        place = place or ("fixed" if begin else "anywhere")
        return self.add(f"space.map {space} {pages} {protection} {sharing} {place} {begin} {file}", error)

    def touch(self, begin: int | str, pages: int, access: str = "write", *, space: int = 0) -> int:
        """Page faults of user code, until one is not resolved: touched() reads the answer."""
        return self.add(f"space.touch {space} {begin} {pages} {access}")

    def checked(self, run: Run) -> Run:
        records = run.records()
        wrong = {self.script.lines[operation - 1]: records[operation].error for operation, error in self._expected.items()
                 if records[operation].error != error}
        assert not wrong, f"operation: what it answered instead: {wrong}"
        return run


def touched(run: Run, operation: int) -> tuple[dict[str, int], int]:
    """How pages became present, and the outcome of the last fault."""
    *counts, outcome = run.values(operation)
    return {how: count for how, count in zip(HOWS, counts) if how and count}, outcome
